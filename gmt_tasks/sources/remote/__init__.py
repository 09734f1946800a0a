"""Crystals from the network: mirrored OPTIMADE providers, JARVIS-DFT, the Materials Project."""
