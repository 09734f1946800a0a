"""What a reader makes of one input: a `ParsedCrystal`, or a `Refusal` with a reason from the closed list."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.records import Lineage, RejectedInput
from gmt_tasks.sources.metadata import metadata_json
from gmt_tasks.sources.row_errors import error_text, row_or_refusal
from gmt_tasks.sources.source import SourceBlock
from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.errors import Reason

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

OCCUPANCY_TOLERANCE = 0.01
"""Occupancy sums this close to 1 are rounded, with a note; refinements rarely claim more."""

ID_KEYS = (
    "id", "material_id", "mat_id", "immutable_id", "entry_id", "jid", "uuid", "task_id", "mp_id", "mpid",
)  # fmt: skip
"""Keys and columns that hold an id, in order: the first that holds a text or a whole number is taken."""

MIN_VOLUME = 1e-6
"""Of a cell in cubic angstrom, below which Cartesian positions say nothing about fractional ones."""

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
        lineage: how it was made; None for a crystal that was read.
    """

    lattice: Floats
    frac_coords: Floats
    numbers: Ints
    notes: tuple[str, ...] = ()
    source_id: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    lineage: Lineage | None = None


@dataclass(frozen=True)
class Refusal:
    """Why an input is no crystal, as a value (an exception would lose its attributes between processes).

    Attributes:
        reason: from the closed list.
        detail: where and what.
        source_id: the id that the input has of its own, where it could be read.
    """

    reason: Reason
    detail: str
    source_id: str | None = None


Reading = ParsedCrystal | Refusal


def refusal_of(error: Exception) -> Refusal:
    """The refusal that an error means: that of a reader as it says, any other as `parse`."""
    if isinstance(error, RefusedInputError):
        return Refusal(error.reason, error.detail)
    return Refusal(Reason.PARSE, error_text(error))


def reading_or_refusal(read: Callable[..., Reading], *arguments: Any) -> Reading:
    """What a reader makes of one input, whatever it or a library beneath it raises; see `row_or_refusal`."""
    return row_or_refusal(partial(read, *arguments), refusal_of)


def with_metadata(readings: Iterable[Reading]) -> Iterator[tuple[Reading, str | None]]:
    """Each reading with its metadata as JSON text; a crystal whose metadata cannot be written is refused."""
    for reading in readings:
        if isinstance(reading, Refusal):
            yield reading, None
            continue
        text = row_or_refusal(partial(metadata_json, reading.extra, reading.notes), refusal_of)
        if isinstance(text, Refusal):
            yield replace(text, source_id=reading.source_id), None
        else:
            yield reading, text


def as_batch(crystals: Sequence[ParsedCrystal]) -> CrystalBatch:
    """The crystals as one batch, in order."""
    return CrystalBatch.from_arrays(
        [crystal.lattice for crystal in crystals],
        [crystal.frac_coords for crystal in crystals],
        [crystal.numbers for crystal in crystals],
    )


def block_of_readings(
    start: int, readings: Sequence[Reading], ids: Sequence[str], places: Sequence[str] = ()
) -> SourceBlock:
    """The block of consecutive inputs.

    Args:
        start: input position of the first.
        readings: what each was read as.
        ids: id of each.
        places: where each stands, for messages; empty where the ids say it.
    """
    written = list(with_metadata(readings))
    rows = [row for row, (reading, _) in enumerate(written) if isinstance(reading, ParsedCrystal)]
    crystals = [reading for reading, _ in written if isinstance(reading, ParsedCrystal)]
    return SourceBlock(
        start=start,
        stop=start + len(written),
        positions=np.array([start + row for row in rows], dtype=np.int64),
        source_ids=[ids[row] for row in rows],
        crystals=as_batch(crystals),
        metadata=[written[row][1] for row in rows],
        rejected=[
            RejectedInput(start + row, ids[row], reading.reason, reading.detail)
            for row, (reading, _) in enumerate(written)
            if isinstance(reading, Refusal)
        ],
        places=[places[row] for row in rows] if places else [],
        lineage=[crystal.lineage for crystal in crystals] if any(crystal.lineage for crystal in crystals) else [],
    )


def atomic_number(label: str) -> int | None:
    """Atomic number of an element symbol, with or without an oxidation state ("Fe", "Fe3+", "O2-"); None if unknown.

    Deuterium and tritium are hydrogen here; `isotope_notes` says so to the user.
    """
    symbol = _symbol(label) if len(label) <= _LONGEST_LABEL else ""
    return _ATOMIC_NUMBER.get(symbol, _ISOTOPES.get(symbol))


def is_isotope(label: str) -> bool:
    """True for D and T, decorated or not."""
    return len(label) <= _LONGEST_LABEL and _symbol(label) in _ISOTOPES


@lru_cache(4096)  # a table repeats few labels millions of times
def _symbol(label: str) -> str:
    """The symbol of a decorated label; empty if it is none."""
    match = _DECORATED.match(label.strip())
    return match[1] if match else ""


def atomic_numbers(labels: Sequence[object]) -> tuple[Ints, tuple[str, ...]]:
    """Atomic numbers of symbols or of numbers, shape [n_atoms], and notes about merged isotopes.

    Raises:
        RefusedInputError: some label is no element (`unknown_species`).
    """
    numbers: list[int] = []
    for label in labels:
        if isinstance(label, str):
            numbers.append(atomic_number(label) or 0)
        elif isinstance(label, int) and not isinstance(label, bool):
            numbers.append(label)  # of any size: a float of it might not exist
        else:
            numbers.append(int(label) if isinstance(label, float) and label.is_integer() else 0)
    unknown = [site for site, number in enumerate(numbers) if not 1 <= number < len(SYMBOLS)]
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
            names = ", ".join(label for label, _ in species)
            raise RefusedInputError(Reason.OCCUPANCY, f"site {site} (0-based) has occupancy {total:g} of {names}")
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


def fractional(lattice: Floats, positions: Floats, where: str = "") -> Floats:
    """Fractional coordinates of Cartesian positions.

    Args:
        lattice: rows a, b, c in angstrom, shape [3, 3].
        positions: in angstrom, shape [n_atoms, 3].
        where: the start of a detail, e.g. "line 2: ".

    Returns:
        Shape [n_atoms, 3].

    Raises:
        RefusedInputError: the cell has no volume (`degenerate_cell`), or a coordinate overflows (`nonfinite`).
    """
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = lattice.tolist()  # a call of numpy takes longer than this product
    volume = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
    try:
        if not MIN_VOLUME < abs(volume) < math.inf:
            raise np.linalg.LinAlgError
        with np.errstate(all="ignore"):  # what overflows is refused
            frac_coords = np.linalg.solve(lattice.T, positions.T).T.astype(np.float64, order="C")
    except np.linalg.LinAlgError:
        detail = f"{where}the lattice has no volume ({volume:.3g} angstrom^3)"
        raise RefusedInputError(Reason.DEGENERATE_CELL, detail) from None
    if not np.isfinite(frac_coords).all():
        require_finite(lattice, frac_coords)
    return frac_coords
