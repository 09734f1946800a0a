"""UnconvBench with a network of gmtscreen, for users who have its files."""
