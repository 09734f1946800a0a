"""A design for people: its rounds and what it proposes as tables, and a picture."""
