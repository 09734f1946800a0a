"""What makes two representations the same crystal: environment fingerprints, content ids, structure match."""
