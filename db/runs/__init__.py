"""Runs in the database: ledger, leases of shards, reports, look-ups for deduplication."""
