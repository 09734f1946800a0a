"""Backbones: invariant features of atoms and edges -> features of all kinds of irreps; one file each."""
