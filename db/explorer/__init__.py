"""The read-only web application: pages, the JSON interface and the OPTIMADE server."""
