"""Commands about second opinions by a potential."""
