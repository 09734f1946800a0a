"""The closed loop of design: crystals written, gated, predicted, ranked, and the generator shifted to the good ones."""
