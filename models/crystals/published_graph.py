"""The neighbour graph of the published GMTNet code, flaws included, so that its weights can be compared with ours.

What it gets wrong, and what models/crystals/graph.py does instead:

* an atom's neighbours are all images whose distance is not above that of the 16th nearest, compared as floats: where
  the 16th lies in a shell of equal distances, rounding errors decide which of the shell are in. The graph changes when
  the crystal is turned or its origin moved;
* an edge is stored once per pair of ends and then taken in both directions. An atom's edge to its own image is stored
  for both images and taken in both directions too, so it counts twice: a supercell, where the images are atoms of
  their own, has another graph.

Source: E3Graph and build_undirected_edgedata of the code published with arXiv:2406.12888 (divelab/AIRS,
OpenMat/GMTNet/graphs.py); distances as jarvis.core.atoms.Atoms.get_all_neighbors computes them.
"""

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.crystals.neighbors import Neighbors


def published_edges(batch: CrystalBatch, found: Neighbors, n_neighbors: int) -> Neighbors:
    """Edges as the published code takes them, sorted by center.

    The published search starts at 4 angstrom and grows until every atom has enough neighbours; the nearest ones are
    the same whatever radius they were found in, so it is not repeated here.

    Args:
        batch: validated crystals.
        found: neighbours of every atom out to at least its `n_neighbors`-th.
        n_neighbors: 16 in the published configuration.

    Returns:
        center, neighbor, vector from center to neighbour in angstrom, distance; self-edges twice.
    """
    image = _images(batch, found)
    distance = _distances(batch, found, image)
    near = distance <= _kth_smallest(found.center, distance, len(batch.numbers), n_neighbors)[found.center]
    ends = np.column_stack([found.center, found.neighbor, image])[near]
    back = ends[:, 1] < ends[:, 0]
    ends[back] = np.column_stack([ends[back, 1], ends[back, 0], -ends[back, 2:]])
    ends = np.unique(ends, axis=0)
    return _both_ways(batch, ends[:, 0], ends[:, 1], ends[:, 2:])


def _images(batch: CrystalBatch, found: Neighbors) -> Ints:
    """Which cell each neighbour lies in, relative to the listed positions, shape [n_edges, 3]."""
    inverse = np.linalg.inv(batch.lattice)[batch.crystal_of_atom[found.center]]
    step = np.einsum("ei,eij->ej", found.vector, inverse)
    shift = step - (batch.frac_coords[found.neighbor] - batch.frac_coords[found.center])
    image: Ints = np.rint(shift).astype(np.int64)
    return image


def _distances(batch: CrystalBatch, found: Neighbors, image: Ints) -> Floats:
    """Distances by the published sequence of operations: the rounding errors are the point."""
    cartesian = np.einsum("ni,nij->nj", batch.frac_coords, batch.lattice[batch.crystal_of_atom])
    offset = np.einsum("ei,eij->ej", image.astype(np.float64), batch.lattice[batch.crystal_of_atom[found.center]])
    squares = (offset + cartesian[found.neighbor] - cartesian[found.center]) ** 2
    distances: Floats = np.sqrt(squares.sum(axis=1))
    return distances


def _kth_smallest(center: Ints, distance: Floats, n_atoms: int, k: int) -> Floats:
    """The k-th smallest distance of each atom in angstrom, shape [n_atoms]."""
    order = np.lexsort((distance, center))
    counts = np.bincount(center, minlength=n_atoms)
    smallest: Floats = distance[order][np.cumsum(counts) - counts + k - 1]
    return smallest


def _both_ways(batch: CrystalBatch, source: Ints, target: Ints, image: Ints) -> Neighbors:
    """Every stored edge in both directions."""
    difference = batch.frac_coords[target] + image - batch.frac_coords[source]
    vector = np.einsum("ei,eij->ej", difference, batch.lattice[batch.crystal_of_atom[source]])
    center, neighbor = np.concatenate([source, target]), np.concatenate([target, source])
    vector = np.concatenate([vector, -vector])
    order = np.argsort(center, kind="stable")
    edges = Neighbors(center, neighbor, vector, np.linalg.norm(vector, axis=1))
    return edges.take(order)
