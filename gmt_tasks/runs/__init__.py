"""A run from its opening to its closed balance: session, lifecycle, driving of shards."""
