"""What a user would write otherwise: pymatgen, ASE, torch_geometric, e3nn, SQL one crystal at a time."""
