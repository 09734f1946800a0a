"""Crystals made here: prototypes decorated with ions, well-known reference crystals."""
