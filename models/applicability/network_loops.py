"""Compiled loops behind `models.applicability.dimensionality`: which edges are bonds, and what hangs together."""

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@compiled
def bonds_among(
    edges: tuple[Ints, Ints, Floats],
    radius: Floats,
    slack: tuple[float, float],
    frac_coords: Floats,
    inverse: Floats,
    crystal_of_atom: Ints,
) -> tuple[Ints, Ints, Ints]:
    """The edges that are bonds, with the cell of the second atom when the first is in the home cell.

    Args:
        edges: center, neighbour and vector in angstrom, [n_edges], [n_edges], [n_edges, 3].
        radius: covalent radius of each atom in angstrom, [n_atoms].
        slack: how much longer than the radii a bond may be: in angstrom, and as a factor, whichever is more.
        frac_coords: [n_atoms, 3].
        inverse: of the cells, [n_crystals, 3, 3].
        crystal_of_atom: ascending, [n_atoms].
    """
    center, neighbor, vector = edges
    first, second = np.empty(len(center), np.int64), np.empty(len(center), np.int64)
    shift, n_bonds = np.empty((len(center), 3), np.int64), 0
    for edge in range(len(center)):
        i, j, x, y, z = center[edge], neighbor[edge], vector[edge, 0], vector[edge, 1], vector[edge, 2]
        radii = radius[i] + radius[j]
        if sqrt(x * x + y * y + z * z) < max(radii + slack[0], slack[1] * radii):
            cell = inverse[crystal_of_atom[i]]
            first[n_bonds], second[n_bonds] = i, j
            for axis in range(3):
                steps = x * cell[0, axis] + y * cell[1, axis] + z * cell[2, axis]
                shift[n_bonds, axis] = np.rint(steps - frac_coords[j, axis] + frac_coords[i, axis])
            n_bonds += 1
    return first[:n_bonds], second[:n_bonds], shift[:n_bonds]


@compiled
def loop_directions(first: Ints, second: Ints, shift: Ints, lattice: Floats, crystal_of_atom: Ints) -> Floats:
    """Sums of r r over the directions r in which each connected piece meets its own images, [n_atoms, 3, 3].

    A bond that closes a ring leads back to the same atom, or to an image of it; r is the direction between them. The
    sums of a piece stand at its first atom, all others are zero.

    Args:
        first: atoms, [n_bonds].
        second: the other atoms, [n_bonds].
        shift: cell of the second atom when the first is in the home cell, [n_bonds, 3].
        lattice: rows in angstrom, [n_crystals, 3, 3].
        crystal_of_atom: ascending, [n_atoms].
    """
    n_atoms = len(crystal_of_atom)
    parent, cell = np.arange(n_atoms), np.zeros((n_atoms, 3), np.int64)
    step = np.empty(3, np.int64)
    for bond in range(len(first)):
        i, j = _root(first[bond], parent, cell), _root(second[bond], parent, cell)
        if i != j:
            # the lower root becomes that of both: where the higher one lies then
            for axis in range(3):
                step[axis] = cell[first[bond], axis] + shift[bond, axis] - cell[second[bond], axis]
                cell[max(i, j), axis] = step[axis] if i < j else -step[axis]
            parent[max(i, j)] = min(i, j)
    spread, back = np.zeros((n_atoms, 3, 3)), np.empty(3)
    for bond in range(len(first)):
        root, square = _root(first[bond], parent, cell), 0.0
        _root(second[bond], parent, cell)
        for axis in range(3):
            step[axis] = cell[first[bond], axis] + shift[bond, axis] - cell[second[bond], axis]
        for axis in range(3):
            rows = lattice[crystal_of_atom[root]]
            back[axis] = step[0] * rows[0, axis] + step[1] * rows[1, axis] + step[2] * rows[2, axis]
            square += back[axis] * back[axis]
        if square > 0.0:
            for k in range(9):
                spread[root, k // 3, k % 3] += back[k // 3] * back[k % 3] / square
    return spread


@compiled
def _root(atom: int, parent: Ints, cell: Ints) -> int:
    """The first atom of a piece; from then on the atom hangs there directly, with its cell relative to it."""
    root, x, y, z = atom, 0, 0, 0
    while parent[root] != root:
        x, y, z = x + cell[root, 0], y + cell[root, 1], z + cell[root, 2]
        root = parent[root]
    if root != atom:
        parent[atom], cell[atom, 0], cell[atom, 1], cell[atom, 2] = root, x, y, z
    return root
