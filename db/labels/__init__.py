"""Labels in the database: rows, links to crystals, what was decided."""
