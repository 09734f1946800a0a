"""The mask as published with GMTNet, for comparison."""
