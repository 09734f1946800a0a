"""A structure as cell, setting and one site of each orbit: what databases publish. All symmetry is spglib's."""

from dataclasses import dataclass, replace
from functools import reduce
from math import gcd

import numpy as np
import spglib
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure

from models.crystals.crystal import SYMBOLS
from tests.gmt_tasks.sources.files.cif.generated import N_SETTINGS, operations_of
from tests.gmt_tasks.sources.files.other_writers.structures import structure_of

_SYMPREC = 1e-3
_SAME_PLACE = 1e-4  # fractional

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Site:
    """One site of the asymmetric unit."""

    number: int
    label: str
    position: tuple[float, ...]
    multiplicity: int
    wyckoff: str

    @property
    def symbol(self) -> str:
        """Element symbol."""
        return SYMBOLS[self.number]


@dataclass(frozen=True)
class Asymmetric:
    """A crystal in a setting of its space group.

    Attributes:
        hall_number: 1 to 530 in spglib's table.
        parameters: a, b, c in angstrom, alpha, beta, gamma in degrees.
        sites: one of each orbit.
        structure: all atoms, in the cell that six numbers describe.
    """

    hall_number: int
    parameters: tuple[float, ...]
    sites: tuple[Site, ...]
    structure: Structure

    @property
    def kind(self) -> spglib.SpaceGroupType:
        """Names and number of the space group."""
        return spglib.get_spacegroup_type(self.hall_number)

    @property
    def operations(self) -> list[str]:
        """All operations of the setting, e.g. "-y,x-y,z+1/3"."""
        rotations, translations = operations_of(self.hall_number)
        return [triplet(*operation) for operation in zip(rotations, translations, strict=True)]

    @property
    def counts(self) -> dict[str, int]:
        """Atoms of each element in the cell."""
        return {key: int(value) for key, value in self.structure.composition.get_el_amt_dict().items()}

    @property
    def formula_units(self) -> int:
        """Largest common divisor of the counts."""
        return reduce(gcd, self.counts.values())

    @property
    def formula(self) -> str:
        """Formula of one unit, e.g. "Cl1 Na1"."""
        return " ".join(f"{symbol}{count // self.formula_units}" for symbol, count in sorted(self.counts.items()))

    def listing(self) -> "Asymmetric":
        """The same atoms as P 1, each of them a site."""
        numbers = [site.specie.Z for site in self.structure]
        rows = enumerate(zip(numbers, self.structure.frac_coords.tolist(), strict=True), start=1)
        sites = [Site(number, f"{SYMBOLS[number]}{row}", tuple(xyz), 1, "a") for row, (number, xyz) in rows]
        return replace(self, hall_number=1, sites=tuple(sites))


def triplet(rotation: NDArray[np.int64], translation: Floats) -> str:
    """An operation as International Tables write it, the translation last."""
    parts = []
    for row, shift in zip(rotation, translation, strict=True):
        text = "".join(f"{'+' if sign > 0 else '-'}{axis}" for sign, axis in zip(row, "xyz", strict=True) if sign)
        twelfths = round(float(shift) * 24)
        divisor = gcd(twelfths, 24)
        parts.append(text.lstrip("+") + (f"+{twelfths // divisor}/{24 // divisor}" if twelfths else ""))
    return ",".join(parts)


def asymmetric(structure: Structure, choice: str = "") -> Asymmetric:
    """The structure in the cell that International Tables choose, or in the setting of that choice where there is one.

    Args:
        structure: any cell.
        choice: "2" (origin) or "R" (axes).
    """
    numbers = np.array([site.specie.Z for site in structure])
    cell = (structure.lattice.matrix, structure.frac_coords, numbers)
    dataset = spglib.get_symmetry_dataset(cell, symprec=_SYMPREC)
    for other in range(dataset.hall_number + 1, min(dataset.hall_number + 3, N_SETTINGS + 1)):
        kind = spglib.get_spacegroup_type(other)
        if choice and kind.number == dataset.number and kind.choice == choice:
            dataset = spglib.get_symmetry_dataset(cell, symprec=_SYMPREC, hall_number=other)
            break
    lattice = Lattice.from_parameters(*np.round(Lattice(dataset.std_lattice).parameters, 5).tolist())
    positions = dataset.std_positions % 1.0
    whole = structure_of(lattice.matrix, positions, dataset.std_types)
    sites = _sites(positions, dataset.std_types, dataset.hall_number)
    return Asymmetric(dataset.hall_number, lattice.parameters, sites, whole)


def _sites(positions: Floats, numbers: NDArray[np.int32], hall_number: int) -> tuple[Site, ...]:
    """The first atom of each orbit."""
    rotations, translations = operations_of(hall_number)
    left = np.ones(len(positions), dtype=bool)
    sites: list[Site] = []
    for row, position in enumerate(positions):
        if not left[row]:
            continue
        images = rotations @ position + translations
        differences = images[:, None] - positions[None]
        differences -= np.rint(differences)
        is_image = (np.abs(differences).max(axis=2) < _SAME_PLACE).any(axis=0) & (numbers == numbers[row])
        left &= ~is_image
        multiplicity, letter = int(is_image.sum()), "abcdefghijklmnopqrstuvwxyz"[len(sites) % 26]
        label = f"{SYMBOLS[numbers[row]]}{len(sites) + 1}"
        sites.append(Site(int(numbers[row]), label, tuple(position.tolist()), multiplicity, letter))
    if sum(site.multiplicity for site in sites) != len(positions):
        raise ValueError(f"the orbits of setting {hall_number} are not the atoms")
    return tuple(sites)
