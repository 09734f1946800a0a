"""Whether a label is accepted for training: schema, physics, symmetry, units, duplicates, whole batches."""
