"""Public predictions and our models on the benchmarks that others use, in one table each."""
