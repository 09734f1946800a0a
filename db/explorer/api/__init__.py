"""The JSON interface of the explorer, for what OPTIMADE has no word for."""
