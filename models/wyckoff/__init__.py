"""Crystals as occupied Wyckoff positions, and a network that learned to write them down."""
