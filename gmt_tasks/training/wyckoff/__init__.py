"""The training of the network that writes crystals."""
