"""How fast crystals are screened: the line, its stages, an earlier version, what one would write otherwise."""
