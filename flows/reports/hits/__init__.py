"""Pictures of hits: plots of their numbers, directional surfaces, as images or as one HTML file."""
