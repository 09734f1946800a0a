"""What travels between the driver and the children that read foreign texts; light: the driver loads no reader.

Jobs and answers are JSON and arrays (gmt_tasks/sandbox/messages.py). The driver believes no answer: it builds every
crystal and every refusal anew and raises where a part is of the wrong kind or length.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from gmt_tasks.sandbox.messages import Array, Message
from gmt_tasks.sources.metadata import metadata_of
from gmt_tasks.sources.parsed import ParsedCrystal, Reading, Refusal, as_batch, with_metadata
from gmt_tasks.sources.source import MissingSymmetry
from models.crystals.crystal import CrystalBatch
from models.errors import Reason

MAX_TEXT_CHARS = 100_000
"""Longest id, detail or note that is taken from a child."""


@dataclass(frozen=True)
class TextJob:
    """A text to read: a data block of a CIF, a POSCAR, a frame, JSON.

    Attributes:
        format: name of its row in the table of formats.
        text: the text.
        first_line: 1-based line of the file at which it begins.
        max_sites: largest number of sites that a text may expand to by its symmetry operations.
        missing_symmetry: what to do with a CIF whose space group cannot be resolved.
    """

    format: str
    text: str
    first_line: int
    max_sites: int
    missing_symmetry: MissingSymmetry

    def content(self) -> dict[str, Any]:
        """The job as a JSON value."""
        return asdict(self)

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> "TextJob":
        """The job of a JSON value, the counterpart of `content`."""
        return cls(**{**content, "missing_symmetry": MissingSymmetry(content["missing_symmetry"])})


def encode_readings(readings: Reading | Sequence[Reading]) -> Message:
    """What was read as a message: one reading, or the list of those that a document held."""
    is_single = isinstance(readings, (ParsedCrystal, Refusal))
    sequence: Sequence[Reading] = [readings] if is_single else readings  # type: ignore[list-item, assignment]
    parts: list[list[Any]] = []
    crystals: list[ParsedCrystal] = []
    for reading, metadata in with_metadata(sequence):
        if isinstance(reading, ParsedCrystal):
            parts.append([reading.source_id, metadata])
            crystals.append(reading)
        else:
            parts.append([reading.source_id, reading.reason, reading.detail])
    return Message([not is_single, parts], batch_arrays(as_batch(crystals)))


def decode_readings(message: Message) -> Reading | list[Reading]:
    """What a child read, checked; the counterpart of `encode_readings`.

    Raises:
        ValueError, TypeError, KeyError: the message is none that `encode_readings` makes.
    """
    several, parts = message.content
    batch = decode_batch(message.arrays)
    # Two entries are a crystal, three a refusal: the arrays must hold as many crystals as the parts say.
    if sum(len(part) == 2 for part in parts) != batch.n_crystals:
        raise ValueError(f"{batch.n_crystals} crystals, and another number of names")
    readings: list[Reading] = []
    crystals = zip(batch.lattice, pairwise(batch.first_atom.tolist()), strict=True)
    for source_id, *rest in parts:
        own_id = None if source_id is None else text_of(source_id)
        if len(rest) == 2:
            readings.append(Refusal(Reason(rest[0]), text_of(rest[1]), own_id))
            continue
        lattice, (first, stop) = next(crystals)
        extra = metadata_of(None if rest[0] is None else text_of(rest[0]))
        coords, numbers = batch.frac_coords[first:stop], batch.numbers[first:stop]
        readings.append(ParsedCrystal(lattice, coords, numbers, (), own_id, extra))
    if several:
        return readings
    (reading,) = readings
    return reading


def text_of(value: Any) -> str:
    """A text of a child, bounded; raises TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a text belongs")
    return value[:MAX_TEXT_CHARS]


def batch_arrays(batch: CrystalBatch) -> tuple[Array, ...]:
    """A batch as the arrays of a message: lattices, fractional coordinates, atomic numbers, atoms per crystal."""
    return batch.lattice, batch.frac_coords, batch.numbers, batch.atoms_per_crystal


def decode_batch(arrays: Sequence[Array]) -> CrystalBatch:
    """The batch in four arrays of a message, not validated; the counterpart of `batch_arrays`.

    Raises:
        ValueError: shapes or counts do not fit together.
    """
    lattice, frac_coords, numbers, counts = arrays
    n_crystals, n_atoms = len(counts), len(numbers)
    kinds = [array.dtype.kind for array in arrays]
    shapes = [array.shape for array in arrays]
    if shapes != [(n_crystals, 3, 3), (n_atoms, 3), (n_atoms,), (n_crystals,)] or kinds != ["f", "f", "i", "i"]:
        raise ValueError(f"arrays of shapes {shapes} are no crystals")
    # Each count by itself too: a sum of huge ones may overflow to the right number.
    if counts.min(initial=0) < 0 or counts.max(initial=0) > n_atoms or int(counts.sum()) != n_atoms:
        raise ValueError(f"{n_atoms} atoms, and counts that do not sum to them")
    owner = np.repeat(np.arange(n_crystals), counts.astype(np.int64))
    return CrystalBatch(
        lattice.astype(np.float64, copy=False),
        frac_coords.astype(np.float64, copy=False),
        numbers.astype(np.int64, copy=False),
        owner,
    )
