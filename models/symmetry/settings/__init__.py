"""Standard settings of space groups from lists of operations: which group, about which origin, along which axes."""
