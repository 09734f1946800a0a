"""Space groups: search, operations, the projector onto allowed tensors, orbits, irreps of modes."""
