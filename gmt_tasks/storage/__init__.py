"""Object storage: addresses, what lies there, and the local cache through which it is read."""
