"""Fusion blocks: trees of Clebsch-Gordan products over the features of an atom."""
