"""Runs in the database: the ledger, leases of shards, deduplication, reports."""
