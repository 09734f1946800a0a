"""Metamaterials of beams: files of nets, what is known of one, meshes for printing."""
