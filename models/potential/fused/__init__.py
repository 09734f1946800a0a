"""The convolutions of equivariant potentials on CPUs, each in one pass over the edges."""
