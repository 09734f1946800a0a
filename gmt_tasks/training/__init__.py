"""Labelled crystals to a checkpoint: configuration, data, training loop."""
