"""Crystals and batches of them: canonical order, neighbors, graphs, primitive cells, radii."""
