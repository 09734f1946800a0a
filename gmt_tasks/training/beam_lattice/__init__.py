"""Training of the network of beam nets: nets from the bonds of crystals, homogenized, kept out by topology."""
