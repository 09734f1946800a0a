"""What a reader makes of one input: a `ParsedCrystal`, or a `RefusedInputError` with a reason from the closed list."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.errors import Reason

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OCCUPANCY_TOLERANCE = 0.01
"""Occupancy sums this close to 1 are rounded, with a note; refinements rarely claim more."""

_ATOMIC_NUMBER = {symbol: number for number, symbol in enumerate(SYMBOLS) if number}
_ISOTOPES = {"D": 1, "T": 1}
_LONGEST_LABEL = 40  # beyond it no label is looked at: matching takes time with the square of its digits
_DECORATED = re.compile(r"^([A-Z][a-z]?)(?:\d*\.?\d*[+-]\d*)?(?:,spin=.*)?$")


class RefusedInputError(Exception):
    """One input is no readable crystal; carries the closed-list reason and the detail that goes to the database."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class ParsedCrystal:
    """One readable crystal, not validated.

    Attributes:
        lattice: rows a, b, c in angstrom, shape [3, 3].
        frac_coords: fractional coordinates, shape [n_atoms, 3].
        numbers: atomic numbers, shape [n_atoms].
        notes: what the reader changed or doubts, e.g. "isotope_merged: D read as H (2 sites)".
        source_id: the id that came with the crystal, if any.
        extra: everything else that came with it, JSON-serialisable.
    """

    lattice: Floats
    frac_coords: Floats
    numbers: Ints
    notes: tuple[str, ...] = ()
    source_id: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


def as_batch(crystals: Sequence[ParsedCrystal]) -> CrystalBatch:
    """The crystals as one batch, in order."""
    return CrystalBatch.from_arrays(
        [crystal.lattice for crystal in crystals],
        [crystal.frac_coords for crystal in crystals],
        [crystal.numbers for crystal in crystals],
    )


def atomic_number(label: str) -> int | None:
    """Atomic number of an element symbol, with or without an oxidation state ("Fe", "Fe3+", "O2-"); None if unknown.

    Deuterium and tritium are hydrogen here; `isotope_notes` says so to the user.
    """
    return _number_of_label(label) if len(label) <= _LONGEST_LABEL else None


@lru_cache(4096)
def _number_of_label(label: str) -> int | None:
    match = _decorated(label)
    if match is None:
        return None
    return _ATOMIC_NUMBER.get(match[1], _ISOTOPES.get(match[1]))


def is_isotope(label: str) -> bool:
    """True for D and T, decorated or not."""
    match = _decorated(label)
    return match is not None and match[1] in _ISOTOPES


def _decorated(label: str) -> re.Match[str] | None:
    return _DECORATED.match(label.strip()) if len(label) <= _LONGEST_LABEL else None


def atomic_numbers(labels: Sequence[object]) -> tuple[Ints, tuple[str, ...]]:
    """Atomic numbers of symbols or of numbers, shape [n_atoms], and notes about merged isotopes.

    Raises:
        RefusedInputError: some label is no element (`unknown_species`).
    """
    numbers = [atomic_number(label) if isinstance(label, str) else _whole_number(label) for label in labels]
    unknown = [site for site, number in enumerate(numbers) if number is None or not 1 <= number < len(SYMBOLS)]
    if unknown:
        shown = repr(labels[unknown[0]])[:40]
        detail = f"{shown} at site {unknown[0]} (0-based) is no element; {len(unknown)} of {len(labels)} sites"
        raise RefusedInputError(Reason.UNKNOWN_SPECIES, detail)
    notes = isotope_notes(label for label in labels if isinstance(label, str))
    return np.array(numbers, dtype=np.int64), notes


def isotope_notes(labels: Iterable[str]) -> tuple[str, ...]:
    """The note that isotopes were read as hydrogen, if there are any."""
    merged = [label for label in labels if is_isotope(label)]
    return (f"isotope_merged: {merged[0]} read as H ({len(merged)} sites)",) if merged else ()


def ordered_species(occupancies: Sequence[Sequence[tuple[str, float]]]) -> tuple[list[str], tuple[str, ...]]:
    """The one species of each site, if every site is fully occupied by one.

    Args:
        occupancies: per site the species labels and their occupancies.

    Returns:
        One label per site, and a note when an occupancy was rounded to 1.

    Raises:
        RefusedInputError: `occupancy` when a site holds more than 1, `disordered` when it is shared or partly empty.
    """
    labels, rounded, shared = [], 0, []
    for site, species in enumerate(occupancies):
        total = sum(occupancy for _, occupancy in species)
        if not math.isfinite(total) or total > 1 + OCCUPANCY_TOLERANCE or any(occ < 0 for _, occ in species):
            detail = f"site {site} (0-based) has occupancy {total:g} of {', '.join(label for label, _ in species)}"
            raise RefusedInputError(Reason.OCCUPANCY, detail)
        present = [(label, occupancy) for label, occupancy in species if occupancy > OCCUPANCY_TOLERANCE]
        # Isotopes and oxidation states of one element on one site are one element.
        if len({atomic_number(label) or label for label, _ in present}) != 1 or total < 1 - OCCUPANCY_TOLERANCE:
            shared.append((site, species))
            continue
        rounded += total != 1
        labels.append(present[0][0])
    if shared:
        site, species = shared[0]
        mix = " ".join(f"{label}{occupancy:g}" for label, occupancy in species)
        detail = f"{len(shared)} of {len(occupancies)} sites, first site {site} (0-based): {mix}"
        raise RefusedInputError(Reason.DISORDERED, detail)
    note = (f"occupancy_rounded: {rounded} sites within {OCCUPANCY_TOLERANCE:.0%} of 1",) if rounded else ()
    return labels, note


def require_finite(lattice: Floats, frac_coords: Floats) -> None:
    """Raises `nonfinite` before a NaN or an infinity can reach a native library."""
    bad_cell = int(np.count_nonzero(~np.isfinite(lattice)))
    bad_sites = np.flatnonzero(~np.isfinite(frac_coords).all(axis=1))
    if bad_cell or len(bad_sites):
        first = f", first at site {bad_sites[0]} (0-based)" if len(bad_sites) else ""
        detail = f"{bad_cell} lattice entries and {len(bad_sites)} positions are not finite{first}"
        raise RefusedInputError(Reason.NONFINITE, detail)


def _whole_number(label: object) -> int | None:
    if isinstance(label, bool) or not isinstance(label, (int, float)):
        return None
    if isinstance(label, int):
        return label  # of any size: a float of it might not exist
    return int(label) if math.isfinite(label) and label.is_integer() else None
