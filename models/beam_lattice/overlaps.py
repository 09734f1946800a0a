"""Struts that lie on others, and nodes that lie on others: solid that would be counted twice."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PARALLEL = 1e-2
"""Angle in radians between two struts of a node below which one lies on the other along its whole length."""

_GENERIC = np.array([0.36, 0.48, 0.80])  # a unit vector; which one does not matter


def overlapping_struts(ends: Ints, vector: Floats) -> Ints:
    """Struts that another one, from the same node in the same direction, is part of.

    Args:
        ends: nodes of each strut, [n_struts, 2].
        vector: from the first to the image of the second, none of length zero, [n_struts, 3].

    Returns:
        Rows of the longer struts, ascending.
    """
    node = ends.T.ravel()
    strut = np.tile(np.arange(len(ends)), 2)
    vectors = np.concatenate([vector, -vector])
    length = np.linalg.norm(vectors, axis=1)
    direction = vectors / length[:, None]
    height = direction @ _GENERIC
    order = np.lexsort((height, node))
    node, strut, length, direction, height = (x[order] for x in (node, strut, length, direction, height))
    longer: list[Ints] = []
    # parallel struts of a node have heights that are at most as far apart as their directions
    for step in range(1, len(node)):
        close = np.flatnonzero((node[step:] == node[:-step]) & (height[step:] - height[:-step] < PARALLEL))
        if not len(close):
            break
        other = close + step
        parallel = np.linalg.norm(direction[close] - direction[other], axis=1) < PARALLEL
        close, other = close[parallel], other[parallel]
        longer.append(np.where(length[close] > length[other], strut[close], strut[other]))
    return np.unique(np.concatenate([np.zeros(0, np.int64), *longer]))


def coincident_nodes(lattice: Floats, frac_coords: Floats, net_of_node: Ints, distance: Floats) -> Ints:
    """Nets in which two nodes, or images of them, are less than a distance apart.

    Args:
        lattice: rows a, b, c, [n_nets, 3, 3].
        frac_coords: of the nodes, [n_nodes, 3].
        net_of_node: ascending, [n_nodes].
        distance: of each net, [n_nets].
    """
    found: list[Ints] = []
    for step in range(1, len(net_of_node)):
        first = np.flatnonzero(net_of_node[step:] == net_of_node[:-step])
        if not len(first):
            break
        between = frac_coords[first + step] - frac_coords[first]
        between -= np.rint(between)
        net = net_of_node[first]
        apart = np.linalg.norm(np.einsum("ni,nij->nj", between, lattice[net]), axis=1)
        found.append(net[apart < distance[net]])
    return np.unique(np.concatenate([np.zeros(0, np.int64), *found]))
