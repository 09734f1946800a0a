"""Crystals as space group, cell and occupied Wyckoff positions: to that form and back.

A crystal in this form has its space group by construction. The free parameters are those of the first coordinate
triplet of each position, in the conventional cell of the group's setting; orbits stand in the order of their letters,
then of their elements, then of their parameters.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats, Ints, rows_of
from models.symmetry.operations import moyo_dataset
from models.wyckoff.positions import LETTERS, SpaceGroup, space_group

_SITE_TOLERANCE = 1e-3  # of fractional coordinates in a cell that is idealised to rounding


class Orbits(NamedTuple):
    """The occupied orbits of one crystal.

    Attributes:
        position: index of the Wyckoff position of each in the group, [n_orbits].
        numbers: atomic number of each, [n_orbits].
        parameters: x, y, z of the first triplet, [n_orbits, 3].
    """

    position: Ints
    numbers: Ints
    parameters: Floats


@dataclass(frozen=True)
class WyckoffCrystals:
    """Many crystals by their occupied Wyckoff positions, as flat arrays.

    Attributes:
        space_group: number, [n_crystals].
        cell: of the conventional cell a, b, c in angstrom, alpha, beta, gamma in degrees, [n_crystals, 6].
        position: index of the Wyckoff position of each orbit in its group, [n_orbits].
        numbers: atomic number of each orbit, [n_orbits].
        parameters: x, y, z of the first triplet in [0, 1), 0 where they are not free, [n_orbits, 3].
        crystal_of_orbit: ascending, [n_orbits].
    """

    space_group: Ints
    cell: Floats
    position: Ints
    numbers: Ints
    parameters: Floats
    crystal_of_orbit: Ints

    @property
    def n_crystals(self) -> int:
        """Number of crystals."""
        return len(self.space_group)

    @cached_property
    def orbits_per_crystal(self) -> Ints:
        """Number of occupied orbits, [n_crystals]."""
        return np.bincount(self.crystal_of_orbit, minlength=self.n_crystals).astype(np.int64)

    def orbits(self) -> Iterator["Orbits"]:
        """The occupied orbits of each crystal."""
        last = np.cumsum(self.orbits_per_crystal).tolist()
        for first, stop in zip([0, *last], last, strict=False):
            yield Orbits(self.position[first:stop], self.numbers[first:stop], self.parameters[first:stop])

    def select(self, crystals: Sequence[int] | Ints) -> "WyckoffCrystals":
        """The crystals of the given indices, in that order."""
        chosen = np.asarray(crystals, dtype=np.int64)
        orbits, owner = rows_of(self.orbits_per_crystal, chosen)
        return WyckoffCrystals(
            self.space_group[chosen],
            self.cell[chosen],
            self.position[orbits],
            self.numbers[orbits],
            self.parameters[orbits],
            owner,
        )

    @staticmethod
    def join(parts: Sequence["WyckoffCrystals"]) -> "WyckoffCrystals":
        """Concatenates in order."""
        before = np.cumsum([0, *(part.n_crystals for part in parts)])
        owners = [part.crystal_of_orbit + n for part, n in zip(parts, before, strict=False)]
        return WyckoffCrystals(
            np.concatenate([part.space_group for part in parts]),
            np.concatenate([part.cell for part in parts]),
            np.concatenate([part.position for part in parts]),
            np.concatenate([part.numbers for part in parts]),
            np.concatenate([part.parameters for part in parts]),
            np.concatenate(owners),
        )

    def to_crystals(self) -> CrystalBatch:
        """The crystals in their primitive cells, b in the plane of x and y, not validated.

        A cell whose angles allow no lattice gives NaN.
        """
        lattices, frac_coords, numbers = [], [], []
        for number, cell, orbits in zip(self.space_group, self.cell, self.orbits(), strict=True):
            group = space_group(int(number))
            occupied = zip(orbits.position.tolist(), orbits.parameters, strict=True)
            sites = [group.primitive_orbit(position, parameters) for position, parameters in occupied]
            lattices.append(group.basis.T @ lattice_of_cell(cell))
            frac_coords.append(np.concatenate([*sites, np.zeros((0, 3))]))
            numbers.append(np.repeat(orbits.numbers, [len(s) for s in sites]))
        return CrystalBatch.from_arrays(lattices, frac_coords, numbers)


def lattice_of_cell(cell: Floats) -> Floats:
    """Rows a, b, c in angstrom of a cell given as lengths in angstrom and angles in degrees, [3, 3].

    a lies along x, b in the plane of x and y. NaN where the angles allow no lattice.
    """
    a, b, c = cell[:3]
    cos_alpha, cos_beta, cos_gamma = np.round(np.cos(np.radians(cell[3:])), 15)
    sin_gamma = np.sqrt(1.0 - cos_gamma**2)
    along_y = (cos_alpha - cos_beta * cos_gamma) / sin_gamma
    with np.errstate(invalid="ignore"):
        along_z = np.sqrt(1.0 - cos_beta**2 - along_y**2)
    rows = [[a, 0.0, 0.0], [b * cos_gamma, b * sin_gamma, 0.0], [c * cos_beta, c * along_y, c * along_z]]
    return np.array(rows)


def occupied_positions(batch: CrystalBatch, symprec: float = 1e-2) -> tuple[WyckoffCrystals, Ints]:
    """Crystals by their occupied Wyckoff positions.

    Args:
        batch: validated crystals.
        symprec: distance tolerance of the symmetry search, angstrom.

    Returns:
        The crystals that have this form, and their rows in the batch; without a space group a crystal has none.
    """
    parts, rows = [], []
    for row in range(batch.n_crystals):
        part = _occupied(batch, row, symprec)
        if part is not None:
            parts.append(part)
            rows.append(row)
    if not parts:
        none = np.zeros(0, np.int64)
        return WyckoffCrystals(none, np.zeros((0, 6)), none, none, np.zeros((0, 3)), none), none
    return WyckoffCrystals.join(parts), np.array(rows, dtype=np.int64)


def _occupied(batch: CrystalBatch, row: int, symprec: float) -> WyckoffCrystals | None:
    """One crystal, None where no search or no orbit succeeds."""
    dataset = moyo_dataset(batch, row, symprec)
    if dataset is None:
        return None
    group = space_group(dataset.number)
    basis, primitive = np.array(dataset.std_cell.basis), dataset.prim_std_cell
    if dataset.hall_number != group.hall_number:
        return None
    # the primitive cell lists every orbit once per lattice point; its atoms are taken to the conventional basis
    points = np.array(primitive.positions) @ np.array(primitive.basis) @ np.linalg.inv(basis)
    standard_atom = np.array(dataset.mapping_std_prim)
    position, numbers, parameters = [], [], []
    for first in sorted(set(dataset.orbits)):
        place = LETTERS.index(dataset.wyckoffs[first])
        atom = standard_atom[first]
        found = group.parameters(place, group.images(points[atom]), _SITE_TOLERANCE)
        if found is None:
            return None
        position.append(place)
        numbers.append(int(primitive.numbers[atom]))
        parameters.append(found)
    columns = np.array(parameters)
    order = np.lexsort([*np.round(columns, 4).T[::-1], np.array(numbers), np.array(position)])
    lengths = np.linalg.norm(basis, axis=1)
    cosines = [basis[i] @ basis[j] / (lengths[i] * lengths[j]) for i, j in ((1, 2), (0, 2), (0, 1))]
    return WyckoffCrystals(
        np.array([group.number]),
        np.concatenate([lengths, np.degrees(np.arccos(np.round(cosines, 12)))])[None],
        np.array(position)[order],
        np.array(numbers)[order],
        columns[order],
        np.zeros(len(order), dtype=np.int64),
    )


def n_sites(group: SpaceGroup, position: int) -> int:
    """Sites of an orbit in the primitive cell."""
    return round(group.positions[position].multiplicity * float(np.linalg.det(group.basis)))
