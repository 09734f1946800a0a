"""What a CIF says of its crystal beside the atoms: formula, formula units, density, volume; and whether it holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from math import gcd

import gemmi
import numpy as np
from numpy.typing import NDArray

from gmt_tasks.sources.files.cif.items import Items
from gmt_tasks.sources.parsed import RefusedInputError
from models.crystals.formula import formula_text, parse_formula
from models.errors import Doubt, Reason

_CONTRADICTORY, _DOUBTFUL = 0.03, 0.002
"""Relative deviation of an element's share: formulas are rounded to two or three digits."""

_DENSITY_TOLERANCE, _VOLUME_TOLERANCE = 0.03, 0.01
_GRAMS_PER_CM3 = 1.66053907  # of one atomic mass unit per cubic angstrom
_SMALLEST_VOLUME = 4.5
_SMALLEST_VOLUME_OF_HYDRIDES = 2.0
"""Cubic angstrom per atom: diamond has 5.7, the densest hydrides about 3."""


@dataclass(frozen=True)
class Statement:
    """What the block says; None for what it does not say.

    Attributes:
        formula: amounts by atomic number.
        formula_units: Z, formula units per cell.
        density: in g/cm^3.
        volume: of the cell, in cubic angstrom.
        line: where the formula stands, for messages.
    """

    formula: dict[int, float] | None
    formula_units: float | None
    density: float | None
    volume: float | None
    line: str

    @classmethod
    def of(cls, items: Items) -> "Statement":
        """What a block says; a formula that cannot be read says nothing."""
        name = next(
            (name for name in ("_chemical_formula_sum", "_chemical_formula_structural") if items.text(name)), ""
        )
        density = items.number("_exptl_crystal_density_diffrn", "_exptl_crystal_density_meas")
        return cls(
            formula=parse_formula(items.text(name)) if name else None,
            formula_units=items.number("_cell_formula_units_z"),
            density=density if density and 0 < density < 50 else None,
            volume=items.number("_cell_volume"),
            line=items.line(name),
        )

    def fits_formula(self, counts: Mapping[int, float]) -> bool:
        """Whether the ratios of the elements are those of the formula; True where there is none."""
        return self.formula is None or self._deviation(counts) <= _CONTRADICTORY

    def _deviation(self, counts: Mapping[int, float]) -> float:
        """Largest relative deviation of an element's amount from the formula's; infinite where an element differs."""
        if self.formula is None:
            return 0.0
        if set(self.formula) != set(counts):
            return float("inf")
        factor = sum(counts.values()) / sum(self.formula.values())
        return max(abs(factor * amount / counts[number] - 1) for number, amount in self.formula.items())

    def fits_formula_units(self, n_atoms: int) -> bool | None:
        """Whether a cell with so many atoms holds Z formula units; None where the file says too little."""
        sizes = self._sizes()
        return any(abs(n_atoms - expected) <= 0.01 * n_atoms for expected in sizes) if sizes else None

    def _sizes(self) -> tuple[float, ...]:
        """Atoms of Z formulas, and of Z reduced formulas; empty where the file says too little.

        Some programs write the content of the whole cell as the formula, so that Z times it is too much.
        """
        if self.formula is None or not self.formula_units or self.formula_units <= 0:
            return ()
        size = sum(self.formula.values())
        whole = [round(amount) for amount in self.formula.values()]
        is_whole = np.allclose(whole, list(self.formula.values()), atol=1e-6) and all(whole)
        divisor = reduce(gcd, whole) if is_whole else 1
        return self.formula_units * size, self.formula_units * size / divisor

    def fits_density(self, counts: Mapping[int, float], volume: float) -> bool | None:
        """Whether the density is the stated one; None where none is stated."""
        if self.density is None:
            return None
        return abs(_density(counts, volume) / self.density - 1) <= _DENSITY_TOLERANCE

    def check(self, numbers: NDArray[np.int64], volume: float, n_stated: float = 0.0) -> tuple[str, ...]:
        """Doubts about a crystal that was read.

        Args:
            numbers: atomic numbers of the cell, shape [n_atoms].
            volume: of the cell, in cubic angstrom.
            n_stated: atoms in the cell by the multiplicities that the file states; 0 where it does not.

        Raises:
            RefusedInputError: `composition_mismatch`, elements or ratios are not those of the formula, formula units
                and density are not those of the cell, or formula units and multiplicities agree on another cell.
        """
        counts = counts_of(numbers)
        deviation = self._deviation(counts)
        if self.formula is not None and deviation > _CONTRADICTORY:
            detail = f"{self.line}the formula is {formula_text(self.formula)}, the atoms are {formula_text(counts)}"
            raise RefusedInputError(Reason.COMPOSITION_MISMATCH, detail)
        doubts = []
        if self.formula is not None and deviation > _DOUBTFUL:
            doubts.append(f"{Doubt.COMPOSITION}: formula {formula_text(self.formula)}, atoms {formula_text(counts)}")
        fits_units, fits_density = self.fits_formula_units(len(numbers)), self.fits_density(counts, volume)
        density = _density(counts, volume)
        if fits_units is False:
            doubts.append(
                f"{Doubt.COMPOSITION}: Z = {self.formula_units:g} in the file, {len(numbers)} atoms in the cell"
            )
        if fits_density is False:
            doubts.append(
                f"{Doubt.COMPOSITION}: {self.density:g} g/cm^3 in the file, {density:.4g} g/cm^3 by its atoms"
            )
        if fits_units is False and n_stated and n_stated in self._sizes():
            detail = f"Z and multiplicities say {n_stated:g} atoms in the cell, the operations make {len(numbers)}"
            raise RefusedInputError(Reason.COMPOSITION_MISMATCH, detail)
        if fits_units is False and fits_density is False:
            raise RefusedInputError(Reason.COMPOSITION_MISMATCH, "; ".join(doubt.split(": ", 1)[1] for doubt in doubts))
        if self.volume and abs(self.volume / volume - 1) > _VOLUME_TOLERANCE:
            doubts.append(
                f"{Doubt.CELL}: {self.volume:g} angstrom^3 in the file, {volume:.6g} by its lengths and angles"
            )
        if not is_plausible_volume(numbers, volume):
            doubts.append(f"{Doubt.CELL}: {volume / len(numbers):.3g} angstrom^3 per atom")
        return tuple(doubts)


def counts_of(numbers: NDArray[np.int64]) -> dict[int, float]:
    """How many atoms there are of each element."""
    species, counts = np.unique(numbers, return_counts=True)
    return dict(zip(species.tolist(), counts.astype(float).tolist(), strict=True))


def is_plausible_volume(numbers: NDArray[np.int64], volume: float) -> bool:
    """Whether the atoms have as much room as in the densest crystals at ordinary pressure."""
    smallest = _SMALLEST_VOLUME_OF_HYDRIDES if (numbers <= 2).any() else _SMALLEST_VOLUME
    return volume >= smallest * len(numbers)


def _density(counts: Mapping[int, float], volume: float) -> float:
    """In g/cm^3."""
    mass = sum(gemmi.Element(number).weight * amount for number, amount in counts.items())
    return _GRAMS_PER_CM3 * mass / volume
