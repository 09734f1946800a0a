"""The contract that every tensor model passes, and the smallest model that passes it."""
