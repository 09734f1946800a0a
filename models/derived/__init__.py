"""Rotation-invariant properties from tensors: dielectric, elastic, piezoelectric, directional."""
