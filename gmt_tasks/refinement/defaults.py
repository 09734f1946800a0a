"""Bounds of a refine run unless its command says otherwise; read by the command's help, which loads nothing else."""

DEFAULT_TOP = 20
"""Crystals that get a second opinion."""

DEFAULT_REFERENCES = 20
"""Competing crystals of each whose energies are computed for the convex hull."""

DEFAULT_MAX_ATOMS = 60
"""Atoms of a primitive cell; larger crystals are refused."""
