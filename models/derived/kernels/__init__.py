"""Compiled loops over crystals, for searches that take many short steps each."""
