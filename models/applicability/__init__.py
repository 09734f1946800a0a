"""How far a crystal is from the training data, and what kind of structure it is: dimensionality, vacuum."""
