"""Child processes for hostile input: confinement, messages, deadlines."""
