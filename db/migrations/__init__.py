"""Alembic revisions, one history for both dialects; `upgrade.py` runs them when a store is opened."""
