"""Translations under which most atoms of a cell fall on atoms of the same element."""

from typing import Any

import numpy as np

from models.compiled import compiled

_STRIDE = 0.6180339887498949  # atoms are looked at in an order that is spread over the cell
_MOST_EARLY = 2.0  # atoms off their places before a translation is given up, beside the share that is allowed


@compiled
def nearest_squared(place: Any, block: Any, frac: Any, lattice: Any, near: float) -> float:
    """Square of the distance between a place and the nearest atom of a block, in square angstrom.

    Args:
        place: fractional coordinates, [3].
        block: first atom and the one after the last.
        frac: fractional coordinates, [n_atoms, 3].
        lattice: rows a, b, c in angstrom, [3, 3]; of images whose fractional differences are above 1/2, which are
            farther off than half the thickness of the cell, the distance may come out too large.
        near: in angstrom; no nearer atom is looked for once one is closer.
    """
    least = np.inf
    for atom in range(block[0], block[1]):
        a, b, c = place[0] - frac[atom, 0], place[1] - frac[atom, 1], place[2] - frac[atom, 2]
        a, b, c = a - np.rint(a), b - np.rint(b), c - np.rint(c)
        squared = 0.0
        for axis in range(3):
            step = a * lattice[0, axis] + b * lattice[1, axis] + c * lattice[2, axis]
            squared += step * step
        least = min(least, squared)
        if least < near * near:
            break
    return float(least)


@compiled
def count_unmatched(
    shift: Any, atoms: Any, blocks: Any, frac: Any, lattice: Any, limits: tuple[float, float, float, float]
) -> int:
    """Atoms that a translation moves to where no atom of their element is far and wide; -1 if it is no translation.

    Args:
        shift: fractional, [3].
        atoms: first atom of the crystal and the one after its last.
        blocks: first atom of each atom's element and the one after its last, [n_atoms, 2].
        frac: see `nearest_squared`.
        lattice: see `nearest_squared`.
        limits: from where on in angstrom an atom of the element is off its place, of which share of the atoms that may
            be, from where on there is none, and of which share of the atoms there may be none.
    """
    n_atoms, displaced, unmatched = atoms[1] - atoms[0], 0, 0
    step = max(int(_STRIDE * n_atoms), 1)
    # a stride that has no divisor in common with the number meets every atom once
    while True:
        a, b = n_atoms, step
        while b:
            a, b = b, a % b
        if a == 1:
            break
        step += 1
    place, atom = np.empty(3), 0
    for seen in range(n_atoms):
        atom = (atom + step) % n_atoms
        row = atoms[0] + atom
        for axis in range(3):
            place[axis] = frac[row, axis] + shift[axis]
        squared = nearest_squared(place, blocks[row], frac, lattice, limits[0])
        if squared >= limits[0] * limits[0]:
            displaced += 1
            unmatched += int(squared >= limits[2] * limits[2])
            if displaced > _MOST_EARLY + limits[1] * seen or displaced > limits[1] * n_atoms:
                return -1
            if unmatched > limits[3] * n_atoms:
                return -1
    return unmatched


@compiled
def near_translations(
    cells: tuple[Any, Any], atoms_of: tuple[Any, Any], frac: Any, limits: Any, unmatched: Any
) -> None:
    """The translations that map a crystal on itself, in full or but for a few atoms.

    Args:
        cells: rows a, b, c in angstrom, [n_crystals, 3, 3], and the atom of each crystal that is moved to all others of
            its element, -1 for crystals that are not looked at, [n_crystals].
        atoms_of: first atom of each crystal, and their number, [n_crystals + 1]; first atom of each atom's element in
            its crystal and the one after its last, [n_atoms, 2].
        frac: fractional coordinates, atoms of an element one after the other, [n_atoms, 3].
        limits: as of `count_unmatched`.
        unmatched: the result of `count_unmatched` for the translation that moves a crystal's atom to this one; other
            entries stay as they are, [n_atoms].
    """
    lattices, reference = cells
    first_atom, blocks = atoms_of
    shift = np.empty(3)
    for crystal in range(len(lattices)):
        origin = reference[crystal]
        if origin < 0:
            continue
        atoms = first_atom[crystal : crystal + 2]
        for atom in range(blocks[origin, 0], blocks[origin, 1]):
            if atom == origin:
                continue
            for axis in range(3):
                shift[axis] = frac[atom, axis] - frac[origin, axis]
            unmatched[atom] = count_unmatched(shift, atoms, blocks, frac, lattices[crystal], limits)
