"""Whether a crystal that was made here can exist: distances, charges, volume, symmetry, energy."""
