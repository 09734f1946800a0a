"""Bonds, and connected pieces of periodic networks by union and find with translations.

Source: R. E. Tarjan, J. ACM 22, 215 (1975).
"""

from typing import Any

import numpy as np

from models.compiled import compiled


@compiled
def list_bonds(
    edges: tuple[Any, Any, Any],
    radius: Any,
    longest: tuple[float, float],
    frac_coords: Any,
    inverse_of_atom: Any,
    bonds: tuple[Any, Any, Any],
) -> int:
    """The edges that are bonds.

    Args:
        edges: their atoms, each [n_edges], and vectors in angstrom, [n_edges, 3].
        radius: covalent radii in angstrom, [n_atoms].
        longest: slack in angstrom and ratio: a bond is shorter than the sum of the radii with either.
        frac_coords: [n_atoms, 3].
        inverse_of_atom: inverse of the rows a, b, c, [n_atoms, 3, 3].
        bonds: for first, second [n_edges] and shift [n_edges, 3] as of `join_pieces`.

    Returns:
        Number of bonds, whose places are the first ones.
    """
    center, neighbor, vector = edges
    n_bonds = 0
    for edge in range(len(center)):
        i, j = center[edge], neighbor[edge]
        x, y, z = vector[edge, 0], vector[edge, 1], vector[edge, 2]
        radii = radius[i] + radius[j]
        if not np.sqrt(x * x + y * y + z * z) < max(radii + longest[0], longest[1] * radii):
            continue
        bonds[0][n_bonds], bonds[1][n_bonds] = i, j
        for k in range(3):
            step = x * inverse_of_atom[i, 0, k] + y * inverse_of_atom[i, 1, k] + z * inverse_of_atom[i, 2, k]
            bonds[2][n_bonds, k] = int(np.rint(step - frac_coords[j, k] + frac_coords[i, k]))
        n_bonds += 1
    return n_bonds


@compiled
def root_of(atom: int, parent: Any, cell: Any) -> int:
    """The atom that stands for the piece of an atom, of which it becomes the direct parent."""
    root, a, b, c = atom, 0, 0, 0
    while parent[root] != root:
        a, b, c = a + cell[root, 0], b + cell[root, 1], c + cell[root, 2]
        root = parent[root]
    while parent[atom] != root and atom != root:
        above, x, y, z = parent[atom], cell[atom, 0], cell[atom, 1], cell[atom, 2]
        parent[atom], cell[atom, 0], cell[atom, 1], cell[atom, 2] = root, a, b, c
        atom, a, b, c = above, a - x, b - y, c - z
    return int(root)


@compiled
def join_pieces(first: Any, second: Any, shift: Any, parent: Any, cell: Any) -> None:
    """Joins what bonds connect.

    Args:
        first: atoms, [n_bonds].
        second: atoms, [n_bonds].
        shift: cell of the second atom's image when the first is in the home cell, [n_bonds, 3].
        parent: every atom itself at first, then the atom that stands for its piece, [n_atoms].
        cell: zeros at first, then where a path from that atom in the home cell meets each, [n_atoms, 3].
    """
    for bond in range(len(first)):
        i, j = first[bond], second[bond]
        a, b = root_of(i, parent, cell), root_of(j, parent, cell)
        if a == b:
            continue
        # the lower atom stands for both
        low, high, sign = (a, b, 1) if a < b else (b, a, -1)
        parent[high] = low
        for k in range(3):
            cell[high, k] = sign * (cell[i, k] + shift[bond, k] - cell[j, k])
    for atom in range(len(parent)):
        root_of(atom, parent, cell)


@compiled
def spread_of_loops(bonds: tuple[Any, Any, Any], parent: Any, cell: Any, lattice_of_atom: Any, out: Any) -> None:
    """Sums over the bonds that close a loop around the lattice, of the products of its direction, by piece.

    Args:
        bonds: first, second and shift as of `join_pieces`.
        parent: see there.
        cell: see there.
        lattice_of_atom: rows a, b, c in angstrom, [n_atoms, 3, 3].
        out: zeros; products 11, 22, 33, 23, 13, 12 at the atoms that stand for pieces, [n_atoms, 6].
    """
    first, second, shift = bonds
    loop = np.empty(3)
    for bond in range(len(first)):
        i, j = first[bond], second[bond]
        for k in range(3):
            loop[k] = cell[i, k] + shift[bond, k] - cell[j, k]
        if loop[0] == 0.0 and loop[1] == 0.0 and loop[2] == 0.0:
            continue
        rows = lattice_of_atom[i]
        x = loop[0] * rows[0, 0] + loop[1] * rows[1, 0] + loop[2] * rows[2, 0]
        y = loop[0] * rows[0, 1] + loop[1] * rows[1, 1] + loop[2] * rows[2, 1]
        z = loop[0] * rows[0, 2] + loop[1] * rows[1, 2] + loop[2] * rows[2, 2]
        squared = x * x + y * y + z * z
        sums = out[parent[i]]
        sums[0] += x * x / squared
        sums[1] += y * y / squared
        sums[2] += z * z / squared
        sums[3] += y * z / squared
        sums[4] += x * z / squared
        sums[5] += x * y / squared
