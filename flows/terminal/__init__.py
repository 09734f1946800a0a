"""How the program speaks on a terminal: facts, messages and errors, progress."""
