"""Searches: the filter language, what can be asked for, pages of hits."""
