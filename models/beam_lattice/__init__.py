"""Periodic nets of beams: their stiffness as a metamaterial, numpy only."""
