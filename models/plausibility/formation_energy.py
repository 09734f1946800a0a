"""Formation energies from the energies of a potential, and their intervals.

Energies of a potential become formation energies by what is subtracted for each atom: the reference of its element; for
V, Cr, Mn, Fe, Co, Ni, Mo and W beside oxygen or fluorine the shift between calculations with and without a Hubbard U;
for anions that of their references. All three are fitted, with the same energies that the Materials Project corrects in
this way (A. Jain et al., Phys. Rev. B 84, 045115 (2011); A. Wang et al., Sci. Rep. 11, 15496 (2021)).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import MAX_ATOMIC_NUMBER, SYMBOLS, CrystalBatch, Floats, Ints
from models.plausibility.charge_balance import ChargeAnswer, charge_balance

_REFERENCES = Path(__file__).with_name("energy_references.csv")
_HULL = Path(__file__).with_name("known_hull.csv")

N_ELEMENTS = MAX_ATOMIC_NUMBER + 1
_WITH_U = np.isin(np.arange(N_ELEMENTS), [23, 24, 25, 26, 27, 28, 42, 74])
_IONIC = [ChargeAnswer.BALANCED.value, ChargeAnswer.MIXED_VALENCE.value, ChargeAnswer.PEROXIDE.value]

HIGH_FORCE_EV_PER_ANGSTROM = 0.3
"""Above it an interval is that of crystals about whose relaxed positions the potential disagrees."""


@dataclass(frozen=True)
class EnergyReferences:
    """What is subtracted from the energies of the shipped potential, and how far formation energies then are off.

    Attributes:
        shifts_ev: of each column of `reference_columns` per share of atoms, NaN where no crystal shows it, [357].
        half_width_ev_per_atom: of the 90 % interval below and above `HIGH_FORCE_EV_PER_ANGSTROM`.
    """

    shifts_ev: Floats
    half_width_ev_per_atom: tuple[float, float]

    def formation_energies(self, batch: CrystalBatch, energy_ev_per_atom: Floats) -> Floats:
        """Formation energies in eV per atom, NaN where an element has no reference, shape [n_crystals].

        Args:
            batch: the crystals.
            energy_ev_per_atom: of the potential, shape [n_crystals].
        """
        columns, is_unknown = reference_columns(batch), np.isnan(self.shifts_ev)
        lacking = (columns[:, is_unknown] > 0).any(axis=1)
        energies = energy_ev_per_atom - columns @ np.nan_to_num(self.shifts_ev)
        return np.where(lacking, np.nan, energies)

    def half_widths(self, force_ev_per_angstrom: Floats) -> Floats:
        """Half widths of the 90 % intervals in eV per atom, shape [n_crystals].

        Args:
            force_ev_per_angstrom: largest on an atom of each crystal, shape [n_crystals].
        """
        low, high = self.half_width_ev_per_atom
        return np.where(force_ev_per_angstrom > HIGH_FORCE_EV_PER_ANGSTROM, high, low)


def reference_columns(batch: CrystalBatch) -> Floats:
    """Shares of atoms by which an energy is shifted, shape [n_crystals, 3 * 119].

    First of each element; then of each metal with a U in crystals with oxygen or fluorine; then of each element that is
    an anion in balanced charges.
    """
    shares = np.zeros((batch.n_crystals, N_ELEMENTS))
    np.add.at(shares, (batch.crystal_of_atom, batch.numbers), 1.0)
    shares /= batch.atoms_per_crystal[:, None]
    has_u = ((shares[:, 8] > 0) | (shares[:, 9] > 0))[:, None] & _WITH_U
    balance = charge_balance(batch)
    is_anion = np.zeros(shares.shape, dtype=bool)
    entries, owner = balance.compositions.numbers, balance.compositions.owner
    negative = (balance.states < 0) & np.isin(balance.answers, _IONIC)[owner]
    is_anion[owner[negative], entries[negative]] = True
    return np.concatenate([shares, shares * has_u, shares * is_anion], axis=1)


@dataclass(frozen=True)
class KnownHull:
    """Formation energies of known crystals on the convex hull; elements are at 0 and not among them.

    Attributes:
        fractions: atomic fractions, shape [n_known, 119].
        formation_ev_per_atom: shape [n_known].
        is_present: which elements each has, shape [n_known, 119].
    """

    fractions: Floats
    formation_ev_per_atom: Floats
    is_present: NDArray[np.bool_]

    def part(self, elements: Ints) -> tuple[Floats, Floats]:
        """The crystals that are made of some elements alone, these elements themselves included.

        Args:
            elements: atomic numbers, shape [n_elements].

        Returns:
            Atomic fractions of the elements, shape [n_crystals, n_elements], and formation energies in eV per atom.
        """
        others = np.ones(N_ELEMENTS, dtype=bool)
        others[elements] = False
        rows = ~self.is_present[:, others].any(axis=1)
        fractions = np.concatenate([np.eye(len(elements)), self.fractions[rows][:, elements]])
        return fractions, np.concatenate([np.zeros(len(elements)), self.formation_ev_per_atom[rows]])


@cache
def energy_references() -> EnergyReferences:
    """The references of the shipped potential; `python -m benchmarks.plausibility.formation_energies` makes them."""
    lines = _REFERENCES.read_text(encoding="utf-8").splitlines()
    widths = [float(value) for value in lines[0].split(",")[1:]]
    shifts = np.full((3, N_ELEMENTS), np.nan)
    for number, line in enumerate(lines[2:], start=1):
        shifts[:, number] = [float(value or "nan") for value in line.split(",")[1:]]
    return EnergyReferences(shifts.ravel(), (widths[0], widths[1]))


@cache
def known_hull() -> KnownHull:
    """The hull of known crystals that comes with the program: of the Materials Project, CC BY 4.0."""
    fractions, energies = [], []
    for line in _HULL.read_text(encoding="utf-8").splitlines()[2:]:
        *parts, energy = line.split(" ")
        row = np.zeros(N_ELEMENTS)
        for part in parts:
            symbol = part.rstrip("0123456789")
            row[_NUMBERS[symbol]] = int(part[len(symbol) :])
        fractions.append(row / row.sum())
        energies.append(float(energy))
    table = np.array(fractions).reshape(-1, N_ELEMENTS)
    return KnownHull(table, np.array(energies), table > 0)


_NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS)}
