"""The network, graph mask and layers as published with GMTNet, for comparison."""
