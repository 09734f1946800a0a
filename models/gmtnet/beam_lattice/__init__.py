"""The network on periodic nets of beams: struts as edges, their radii as edge features."""
