"""The network: configuration, layers, heads, loss, checkpoints, predictor."""
