"""An OPTIMADE 1.2 server on SQL."""
