"""Infer, average, symmetrize, derive, and what is said beside the numbers: intervals, reliability."""
