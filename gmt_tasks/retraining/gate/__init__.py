"""Whether a candidate may become the current model, and if not, why."""
