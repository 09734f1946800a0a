"""What makes two listings the same crystal: environment fingerprints, content ids, structure match."""
