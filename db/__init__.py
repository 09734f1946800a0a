"""Memory: SQL and nothing but."""
