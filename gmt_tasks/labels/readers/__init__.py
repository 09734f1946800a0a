"""Where labels come from: label files, output of VASP, JARVIS-DFT, the Materials Project."""
