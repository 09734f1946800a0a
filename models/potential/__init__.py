"""A universal interatomic potential as second opinion: relaxed cells, stiffness, modes at Γ."""
