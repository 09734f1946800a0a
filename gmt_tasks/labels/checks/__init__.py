"""Whether a label may teach: schema, physics, symmetry, units, duplicates, whole batches."""
