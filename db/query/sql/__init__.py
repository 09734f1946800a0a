"""Filters as SQL that means the same on SQLite and PostgreSQL; nothing in here knows pages or columns."""
