"""Figures beside the averages: how sure rankings are, single networks, signs, sizes, labels of other codes."""
