"""What a model carries of its training data beside its weights: its split, and what its distance score refers to."""
