"""Compiled loops over atoms, bonds and training crystals."""
