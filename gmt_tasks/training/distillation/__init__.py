"""An ensemble distilled into one network: its answers, the crystals it is asked about, a wider start, the loop."""
