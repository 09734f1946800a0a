"""The neighbour graph of the published GMTNet code, flaws included, so that its weights can be compared with ours.

What it gets wrong, and what models/crystals/graph.py does instead:

* an atom's neighbours are all images whose distance is not above that of the 16th nearest, compared as floats: where
  the 16th lies in a shell of equal distances, rounding errors decide which of the shell are in. The graph changes when
  the crystal is rotated or its origin moved;
* an edge is stored once per pair of ends and then taken in both directions. An atom's edge to its own image is stored
  for both images and taken in both directions too, so it counts twice: a supercell, where the images are atoms of
  their own, has another graph.

Source: E3Graph and build_undirected_edgedata of the code published with arXiv:2406.12888 (divelab/AIRS,
OpenMat/GMTNet/graphs.py); distances as jarvis.core.atoms.Atoms.get_all_neighbors computes them.
"""

import numpy as np

from models.crystals.crystal import CrystalBatch, Ints
from models.crystals.neighbors import Neighbors


def published_edges(batch: CrystalBatch, pairs: Neighbors, n_neighbors: int) -> Neighbors:
    """Edges as the published code takes them, sorted by center.

    The published search starts at 4 angstrom and grows until every atom has enough neighbours; the nearest ones are
    the same whatever radius was searched, so it is not repeated here.

    Args:
        batch: validated crystals.
        pairs: neighbours of every atom out to at least its `n_neighbors`-th.
        n_neighbors: 16 in the published configuration.

    Returns:
        center, neighbor, vector from center to neighbour in angstrom, distance; self-edges twice.
    """
    lattice = batch.lattice[batch.crystal_of_atom[pairs.center]]
    # which cell each neighbour lies in, relative to the positions as given
    steps = np.einsum("ei,eij->ej", pairs.vector, np.linalg.inv(lattice))
    image = np.rint(steps - (batch.frac_coords[pairs.neighbor] - batch.frac_coords[pairs.center])).astype(np.int64)
    # distances by the published sequence of operations: the rounding errors are the point
    cartesian = np.einsum("ni,nij->nj", batch.frac_coords, batch.lattice[batch.crystal_of_atom])
    offset = np.einsum("ei,eij->ej", image.astype(np.float64), lattice)
    distance = np.sqrt(((offset + cartesian[pairs.neighbor] - cartesian[pairs.center]) ** 2).sum(axis=1))
    order = np.lexsort((distance, pairs.center))
    counts = np.bincount(pairs.center, minlength=len(batch.numbers))
    limit = distance[order][np.cumsum(counts) - counts + n_neighbors - 1]
    ends = np.column_stack([pairs.center, pairs.neighbor, image])[distance <= limit[pairs.center]]
    # an edge that leads back to an earlier atom is the one from there, with the opposite image
    back = ends[:, 1] < ends[:, 0]
    ends[back] = np.column_stack([ends[back, 1], ends[back, 0], -ends[back, 2:]])
    ends = np.unique(ends, axis=0)
    return _in_both_directions(batch, ends[:, 0], ends[:, 1], ends[:, 2:])


def _in_both_directions(batch: CrystalBatch, source: Ints, target: Ints, image: Ints) -> Neighbors:
    """Every stored edge in both directions."""
    difference = batch.frac_coords[target] + image - batch.frac_coords[source]
    vector = np.einsum("ei,eij->ej", difference, batch.lattice[batch.crystal_of_atom[source]])
    center, neighbor = np.concatenate([source, target]), np.concatenate([target, source])
    vector = np.concatenate([vector, -vector])
    order = np.argsort(center, kind="stable")
    edges = Neighbors(center, neighbor, vector, np.linalg.norm(vector, axis=1))
    return edges.take(order)
