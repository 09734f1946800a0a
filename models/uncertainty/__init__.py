"""Ensembles and conformal intervals."""
