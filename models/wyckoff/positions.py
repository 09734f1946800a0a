"""The Wyckoff positions of the 230 space groups, each by its first coordinate triplet, in one setting per group.

The setting is the one that crystals are brought to here (moyopy's default). The table beside this file holds, per
position, letter, multiplicity, oriented site symmetry and the first triplet of International Tables, e.g. `x;2x;z`; all
other triplets follow from the operations of the group. It was made by finding the fixed spaces of all operations and
their intersections; a test finds them again and compares with what moyopy says of crystals that occupy them.

Source: International Tables for Crystallography A, section 2.1.3.
"""

import csv
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from models.crystals.crystal import Floats, Ints
from models.symmetry.operations import conventional_operations
from models.symmetry.space_group_tables import space_group_table

LETTERS = "abcdefghijklmnopqrstuvwxyzA"
"""In the order of International Tables: from the most special position to the general one."""

N_SPACE_GROUPS = 230

_TABLE = Path(__file__).with_name("positions.csv")
_TERM = re.compile(r"([+-]?)(\d*)([xyz])|([+-]?\d+(?:/\d+)?)")


@dataclass(frozen=True)
class WyckoffPosition:
    """One Wyckoff position of a space group.

    Attributes:
        letter: as International Tables name it.
        multiplicity: sites of an orbit in the conventional cell.
        site_symmetry: oriented symbol, e.g. "-42m".
        matrix: takes free parameters to the first triplet, together with `shift`, [3, 3]; columns of axes that are
            not free are zero.
        shift: [3].
        free: indices of the free parameters (0 for x), ascending.
    """

    letter: str
    multiplicity: int
    site_symmetry: str
    matrix: Floats
    shift: Floats
    free: tuple[int, ...]

    @property
    def is_fixed(self) -> bool:
        """Whether a single orbit can occupy it."""
        return not self.free

    def first_site(self, parameters: Floats) -> Floats:
        """The first triplet for parameters x, y, z, of which those that are not free are not read, [3]."""
        site: Floats = self.matrix @ parameters + self.shift
        return site


@dataclass(frozen=True)
class SpaceGroup:
    """A space group with its operations and Wyckoff positions in the conventional cell of one setting.

    Attributes:
        number: 1 to 230.
        hall_number: of the setting.
        rotations: integers acting on columns, centrings included, [n_ops, 3, 3].
        translations: [n_ops, 3].
        positions: in the order of their letters.
        basis: columns: a primitive basis in the conventional one, [3, 3].
    """

    number: int
    hall_number: int
    rotations: Floats
    translations: Floats
    positions: tuple[WyckoffPosition, ...]
    basis: Floats

    def images(self, point: Floats) -> Floats:
        """All images of a point in the conventional cell, in [0, 1), equal ones repeated, [n_ops, 3]."""
        images: Floats = (self.rotations @ point + self.translations) % 1.0
        return images

    def orbit(self, position: int, parameters: Floats) -> Floats:
        """The sites of an orbit in the conventional cell, the first triplet first.

        Args:
            position: index of its Wyckoff position.
            parameters: x, y, z; those that are not free are not read, [3].

        Returns:
            Fractional coordinates in [0, 1), [multiplicity, 3].
        """
        return self.images(self.positions[position].first_site(parameters))[_cosets(self.number)[position].all_sites]

    def primitive_orbit(self, position: int, parameters: Floats) -> Floats:
        """The sites of an orbit in the primitive cell, fractional coordinates there, [n_sites, 3].

        Args:
            position: index of its Wyckoff position.
            parameters: x, y, z; those that are not free are not read, [3].
        """
        images = self.images(self.positions[position].first_site(parameters))
        sites = images[_cosets(self.number)[position].primitive_sites]
        return np.asarray(sites @ np.linalg.inv(self.basis).T % 1.0)

    def parameters(self, position: int, points: Floats, tolerance: float) -> Floats | None:
        """The free parameters of an orbit, the smallest ones of those that describe it.

        Args:
            position: index of its Wyckoff position.
            points: sites of the orbit in the conventional cell, [n_points, 3].
            tolerance: of fractional coordinates.

        Returns:
            x, y, z in [0, 1), 0 where they are not free, [3]; None where no site has the form of the first triplet.
        """
        chosen = self.positions[position]
        candidates = _solved(chosen, points)
        misses = candidates @ chosen.matrix.T + chosen.shift - points
        fits = np.abs(misses - np.rint(misses)).max(axis=1) < tolerance
        if not fits.any():
            return None
        candidates = np.where(np.abs(candidates[fits] - 1.0) < tolerance, 0.0, candidates[fits])
        return np.asarray(candidates[np.lexsort(np.round(candidates, 4).T[::-1])[0]])


def _solved(position: WyckoffPosition, points: Floats) -> Floats:
    """Parameters that points would have, each from the coordinate that is this parameter and a shift alone."""
    parameters = np.zeros_like(points)
    for axis in position.free:
        alone = (np.abs(position.matrix).sum(axis=1) == 1) & (position.matrix[:, axis] != 0)
        row = int(np.flatnonzero(alone)[0])
        parameters[:, axis] = (points[:, row] - position.shift[row]) / position.matrix[row, axis] % 1.0
    return parameters


@cache
def space_group(number: int) -> SpaceGroup:
    """A space group by its number, 1 to 230."""
    rows = _rows()[number]
    hall_number = int(rows[0]["hall_number"])
    rotations, translations = conventional_operations(hall_number)
    basis = space_group_table(hall_number).basis
    return SpaceGroup(number, hall_number, rotations, translations, tuple(map(_position, rows)), basis)


@cache
def _rows() -> dict[int, list[dict[str, str]]]:
    """The table by space-group number."""
    rows: dict[int, list[dict[str, str]]] = {}
    with _TABLE.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            rows.setdefault(int(row["space_group"]), []).append(row)
    return rows


def _position(row: dict[str, str]) -> WyckoffPosition:
    """One row of the table."""
    matrix, shift = np.zeros((3, 3)), np.zeros(3)
    for axis, text in enumerate(row["coordinates"].split(";")):
        for sign, factor, name, number in _TERM.findall(text):
            if name:
                matrix[axis, "xyz".index(name)] += int(f"{sign}{factor or 1}")
            else:
                shift[axis] += float(Fraction(number))
    free = tuple(np.flatnonzero(matrix.any(axis=0)).tolist())
    return WyckoffPosition(row["letter"], int(row["multiplicity"]), row["site_symmetry"], matrix, shift, free)


class _Cosets(NamedTuple):
    """Operations that take the first triplet to the distinct sites of a position.

    Attributes:
        all_sites: in the conventional cell, [multiplicity].
        primitive_sites: those that no centring translation takes to each other.
    """

    all_sites: Ints
    primitive_sites: Ints


@cache
def _cosets(number: int) -> list[_Cosets]:
    """Per position of a group."""
    group = space_group(number)
    generic = np.array([0.1234567, 0.2718281, 0.5772156])  # on no special position, whatever the group
    to_primitive = np.linalg.inv(group.basis).T
    cosets = []
    for position in group.positions:
        images = group.images(position.first_site(generic))
        apart = images[:, None] - images[None]
        cosets.append(_Cosets(_distinct(apart), _distinct(apart @ to_primitive)))
    return cosets


def _distinct(apart: Floats) -> Ints:
    """The first of all images that are apart by lattice vectors alone, of [n, n, 3] fractional differences."""
    is_same = (np.abs(apart - np.rint(apart)) < 1e-6).all(axis=2)
    return np.flatnonzero(is_same.argmax(axis=1) == np.arange(len(apart)))


@cache
def first_position_id(number: int) -> int:
    """The id of the first Wyckoff position of a group; ids run through all groups from 1 on."""
    return 1 + sum(len(rows) for other, rows in _rows().items() if other < number)
