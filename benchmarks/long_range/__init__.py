"""What a network that sees beyond its cutoff gains."""
