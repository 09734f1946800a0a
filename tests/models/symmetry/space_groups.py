"""Crystals of any space group, made from spglib's tables of operations."""

from typing import Any

import moyopy
import numpy as np
import spglib

from models.crystals.crystal import Crystal, Floats
from models.crystals.neighbors import closest_pairs
from models.reference.crystals import cell_from_parameters
from models.symmetry.space_group_tables import space_group_table


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


def random_conventional_cell(number: int, rng: np.random.Generator) -> Floats:
    """Columns of a conventional cell (unique axis b, hexagonal axes) that a space group keeps, in angstrom."""
    a, b, c = rng.uniform(4.0, 9.0, size=3)
    alpha, beta, gamma = rng.uniform(75.0, 115.0, size=3)
    if number > 2:
        alpha = gamma = 90.0
    if number > 15:
        beta = 90.0
    if number > 74:
        b = a
    if 142 < number < 195:
        gamma = 120.0
    if number > 194:
        c = a
    return np.asarray(cell_from_parameters(a, b, c, alpha, beta, gamma).T)


def primitive_crystal(hall_number: int, rng: np.random.Generator) -> Crystal:
    """Two general orbits under the operations of a table, in a primitive cell of its setting."""
    table = space_group_table(hall_number)
    n_atoms = 2 * int(table.n_ops)
    lattice = (random_conventional_cell(number_of(hall_number), rng) @ table.basis).T
    lattice *= np.cbrt(25.0 * n_atoms / abs(np.linalg.det(lattice)))
    for _ in range(500):
        frac = np.concatenate([table.rotations @ rng.random(3) + table.translations for _ in range(2)])
        if not closest_pairs(lattice[None], frac, np.zeros(n_atoms, np.int64), 0.6):
            return Crystal(lattice, frac, np.repeat([14, 8], n_atoms // 2))
    raise LookupError("no room for the atoms")


# moyopy's choice of one setting of each space group (unique axis b, origin 2 in a centre, hexagonal axes)
STANDARD_SETTINGS = [
    int(moyopy.SpaceGroup(t.rotations.astype(int).tolist(), t.translations.tolist()).hall_number)
    for t in (space_group_table(next(h for h in range(1, 531) if number_of(h) == n)) for n in range(1, 231))
]
