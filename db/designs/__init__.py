"""Designs: searches for new crystals with wanted properties, round by round."""
