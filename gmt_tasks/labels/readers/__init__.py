"""Where labels come from: label files, JARVIS-DFT, the Materials Project."""
