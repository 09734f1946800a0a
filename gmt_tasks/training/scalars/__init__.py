"""Networks of one number per crystal, whatever number: energies, gaps, what a benchmark asks for."""
