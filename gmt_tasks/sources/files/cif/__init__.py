"""CIF: data blocks, their grammar, space groups and settings, sites, and what the file says of its crystal."""
