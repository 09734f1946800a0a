"""Crystals whose bonded network everybody knows, and the same layers in vacuum."""

from itertools import product
from typing import NamedTuple

import numpy as np

from models.crystals.crystal import Crystal, CrystalBatch, Floats
from models.reference.crystals import cell_from_parameters

THIRD = 1 / 3


class Known(NamedTuple):
    """A structure, its dimension, and whether it stands in vacuum."""

    name: str
    dimension: int
    in_vacuum: bool
    crystal: CrystalBatch


def crystal(lattice: Floats, frac_coords: object, numbers: list[int]) -> CrystalBatch:
    """One validated crystal as a batch."""
    return Crystal(lattice, np.array(frac_coords, dtype=np.float64), np.array(numbers)).as_batch()


def hexagonal(a: float, c: float) -> Floats:
    """A hexagonal cell, lengths in angstrom."""
    return cell_from_parameters(a, a, c, 90, 90, 120)


def buckyball(edge: float = 14.0) -> CrystalBatch:
    """C60 on the corners of a cube of the given edge in angstrom: the 60 corners of a truncated icosahedron."""
    golden = (1 + 5**0.5) / 2
    corners = set()
    for base in ((0, 1, 3 * golden), (1, 2 + golden, 2 * golden), (golden, 2, 2 * golden + 1)):
        for signs in product((1, -1), repeat=3):
            x, y, z = (s * v for s, v in zip(signs, base, strict=True))
            corners |= {(x, y, z), (y, z, x), (z, x, y)}
    distinct = np.unique(np.round(np.array(sorted(corners)), 9), axis=0)
    return crystal(edge * np.eye(3), 0.71 * distinct / edge + 0.5, [6] * len(distinct))


def known_networks() -> list[Known]:
    """Lattice constants in angstrom: Wyckoff, Crystal Structures (1963); slabs are single layers of the crystals."""
    chain = [[0.2254, 0, THIRD], [0, 0.2254, 2 * THIRD], [-0.2254, -0.2254, 0]]
    two = [[THIRD, 2 * THIRD, 0.25], [2 * THIRD, THIRD, 0.75]]
    molybdenite = [
        *two,
        *([THIRD, 2 * THIRD, z] for z in (0.621, 0.879)),
        *([2 * THIRD, THIRD, z] for z in (0.121, 0.379)),
    ]
    honeycomb = [[THIRD, 2 * THIRD, 0.5], [2 * THIRD, THIRD, 0.5]]
    corner = np.array([0.1185, 0.1185, 0.1185])
    carbon = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    flips = np.array([[1, 1, 1], [1, -1, -1], [-1, -1, 1], [-1, 1, -1]])  # each molecule along its own diagonal
    oxygen = np.concatenate([carbon + flips * corner, carbon - flips * corner])
    fcc = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    water = np.array([[0, 0, 0], [0.757, 0.586, 0], [-0.757, 0.586, 0]]) / 12 + 0.5
    return [
        Known("diamond", 3, False, crystal(3.567 * fcc, [[0, 0, 0], [0.25, 0.25, 0.25]], [6, 6])),
        Known("rock salt", 3, False, crystal(5.64 * fcc, [[0, 0, 0], [0.5, 0.5, 0.5]], [11, 17])),
        Known("potassium", 3, False, crystal(5.33 * np.eye(3), [[0, 0, 0], [0.5, 0.5, 0.5]], [19, 19])),
        Known("copper", 3, False, crystal(3.615 * fcc, [[0, 0, 0]], [29])),
        Known(
            "graphite",
            2,
            False,
            crystal(hexagonal(2.464, 6.711), [[0, 0, 0.25], [0, 0, 0.75], *two], [6, 6, 6, 6]),
        ),
        Known(
            "boron nitride",
            2,
            False,
            crystal(hexagonal(2.504, 6.661), [*two, [2 * THIRD, THIRD, 0.25], [THIRD, 2 * THIRD, 0.75]], [5, 5, 7, 7]),
        ),
        Known("molybdenite", 2, False, crystal(hexagonal(3.16, 12.294), molybdenite, [42, 42, 16, 16, 16, 16])),
        Known("selenium", 1, False, crystal(hexagonal(4.366, 4.954), chain, [34, 34, 34])),
        Known("dry ice", 0, False, crystal(5.624 * np.eye(3), np.concatenate([carbon, oxygen]), [6] * 4 + [8] * 8)),
        Known("C60", 0, False, buckyball(10.0)),
        Known("graphene", 2, True, crystal(hexagonal(2.464, 15.0), honeycomb, [6, 6])),
        Known(
            "molybdenite layer",
            2,
            True,
            crystal(
                hexagonal(3.16, 20.0), [*honeycomb[:1], *([2 * THIRD, THIRD, z] for z in (0.422, 0.578))], [42, 16, 16]
            ),
        ),
        Known(
            "selenium chain",
            1,
            True,
            crystal(hexagonal(14.0, 4.954), 0.312 * np.array(chain) * [1, 1, 1 / 0.312], [34] * 3),
        ),
        Known("water molecule", 0, True, crystal(12.0 * np.eye(3), water, [8, 1, 1])),
        Known("C60 in a box", 0, True, buckyball(18.0)),
    ]
