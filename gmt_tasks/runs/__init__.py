"""A run from its start to its closed balance: session, ingest and screening, the driver of shards."""
