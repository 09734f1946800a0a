"""Commands that compute with what is stored."""
