"""Where crystals come from: files, the network, generators."""
