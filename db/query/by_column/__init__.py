"""Searches over the stored columns of results."""
