"""How good and how fast the homogenizer of beam lattices is, and a picture of three of them."""
