"""Largest and smallest values over all directions, or over all frames, of what a tensor gives along them."""
