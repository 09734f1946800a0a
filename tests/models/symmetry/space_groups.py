"""Crystals of any space group, made from spglib's tables of operations."""

from typing import Any

import numpy as np
import spglib

from models.crystals.crystal import Crystal
from models.crystals.neighbors import closest_pairs
from models.reference.crystals import cell_from_parameters


def number_of(hall_number: int) -> int:
    kind: Any = spglib.get_spacegroup_type(hall_number)
    return int(kind.number)


def crystal_of_space_group(hall_number: int) -> Crystal:
    """Two general orbits under the operations in spglib's tables, in the conventional cell of that setting."""
    rng = np.random.default_rng(hall_number)
    table: Any = spglib.get_symmetry_from_database(hall_number)
    number = number_of(hall_number)
    families = [(2, (80, 98, 75)), (15, (90, 104, 90)), (142, (90, 90, 90)), (194, (90, 90, 120)), (230, (90, 90, 90))]
    angles = next(angles for last, angles in families if number <= last)
    a, b, c = (1.0, 1.0, 1.0) if number > 194 else (1.0, 1.0, 1.45) if number > 74 else (1.0, 1.2, 1.45)
    n_atoms = 2 * len(table["rotations"])
    lattice = cell_from_parameters(a, b, c, *angles)
    lattice *= np.cbrt(25.0 * n_atoms / np.linalg.det(lattice))
    for _ in range(500):
        orbits = [table["rotations"] @ rng.random(3) + table["translations"] for _ in range(2)]
        frac = np.concatenate(orbits)
        if not closest_pairs(lattice[None], frac, np.zeros(n_atoms, np.int64), 0.6):
            return Crystal(lattice, frac, np.repeat([14, 8], n_atoms // 2))
    raise LookupError("no room for the atoms")


# every sixth space group up to 215 in its first setting (unique axis b, origin 1, hexagonal axes)
FIRST_SETTINGS = [next(h for h in range(1, 531) if number_of(h) == n) for n in range(1, 216, 6)]
