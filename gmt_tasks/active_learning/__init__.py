"""Which calculations to do next: acquisition, job folders, simulated campaigns."""
