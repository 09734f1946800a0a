"""Documents, plots and tables."""
