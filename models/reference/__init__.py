"""Crystals of all 32 crystal classes, against which every model is checked."""
