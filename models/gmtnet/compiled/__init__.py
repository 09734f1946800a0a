"""The network on a CPU: compiled loops over edges between matrix products, on one atom of each orbit."""
