"""Voigt and Mandel forms, irreps, rotations and frames of Cartesian tensors."""
