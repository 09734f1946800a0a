"""Second opinions by a potential: what is stored of them, and the energies of competing crystals."""
