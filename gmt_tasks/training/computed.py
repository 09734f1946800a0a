"""Crystals that a potential strained and distorted: what a network learns volume from, since no label has another one.

A file has one line (JSON) per crystal that was computed: its `id` and, as `rows`, its states, or why it `failed`. A row
has `lattice` (3 rows in angstrom), `species` (atomic numbers), `frac_coords`; `stiffness_gpa` (C_IJ, or null) with its
`relative_noise`; `expansion` (ln V / V0) and `distortion` (root of the energy above equilibrium in eV per atom).
benchmarks/potential/computed_crystals.py makes such files. Their names end in `.ndjson` or `.ndjson.gz`: what ends in
`.jsonl` in a data folder is a label file.
"""

import gzip
import json
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats, Ints, find_invalid
from models.errors import SourceError
from models.quantities import TENSORS, Scalar, Tensor
from models.tensors.voigt import to_components

_BOUNDS = {"relative_noise": (0.0, 2.0), "expansion": (-2.0, 2.0), "distortion": (0.0, 10.0)}
"""Lowest and highest of the numbers of a row."""


@dataclass(frozen=True)
class ComputedCrystals:
    """States of crystals with what a potential says about them; NaN where it says nothing.

    Attributes:
        crystals: n_crystals of them.
        stiffness: orthonormal components in GPa, [n_crystals, 21].
        relative_noise: standard deviation of a stiffness over its size, [n_crystals].
        scalars: in the order of Scalar, [n_crystals, 5].
    """

    crystals: CrystalBatch
    stiffness: Floats
    relative_noise: Floats
    scalars: Floats

    def select(self, rows: Ints) -> "ComputedCrystals":
        """Those of the given places."""
        return ComputedCrystals(
            self.crystals.select(rows), self.stiffness[rows], self.relative_noise[rows], self.scalars[rows]
        )


def read_computed(path: Path) -> ComputedCrystals:
    """The states of a file (`.ndjson` or `.ndjson.gz`); those that are no crystals are left out.

    Raises:
        SourceError: the file is missing, or a line has another form; says which.
    """
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(_lines(path), start=1):
        try:
            rows += [_read_row(row) for row in json.loads(line).get("rows", [])]
        except (AttributeError, LookupError, TypeError, ValueError, OverflowError, RecursionError) as error:
            raise SourceError(
                f"{path.name} line {number} is no computed crystal ({error!r}). Make the file anew."
            ) from error
    if not rows:
        raise _nothing_in(path)
    crystals = CrystalBatch.from_arrays(
        [row["lattice"] for row in rows], [row["frac_coords"] for row in rows], [row["species"] for row in rows]
    )
    scalars = np.full((len(rows), len(Scalar)), np.nan)
    for scalar in (Scalar.EXPANSION, Scalar.DISTORTION):
        scalars[:, list(Scalar).index(scalar)] = [row[scalar.value] for row in rows]
    stiffness = to_components(Tensor.ELASTIC, np.array([row["stiffness_gpa"] for row in rows]))
    computed = ComputedCrystals(crystals, stiffness, np.array([row["relative_noise"] for row in rows]), scalars)
    refused = find_invalid(crystals)
    limit = TENSORS[Tensor.ELASTIC].max_training_entry
    kept = [
        k for k in range(len(rows)) if k not in refused and not np.nanmax(np.abs(stiffness[k]), initial=0.0) > limit
    ]
    if not kept:
        raise _nothing_in(path)
    return computed.select(np.array(kept, dtype=np.int64))


def _nothing_in(path: Path) -> SourceError:
    return SourceError(f"{path.name} holds no computed crystal. Make the file anew.")


def _lines(path: Path) -> list[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            return list(lines)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise SourceError(
            f"{path} cannot be read ({error}). benchmarks/potential/computed_crystals.py makes it; or train without: "
            'computed = "".'
        ) from error


def _read_row(row: dict[str, Any]) -> dict[str, Any]:
    """The arrays of a row in their shapes, finite where they must be."""
    numbers = np.array(row["species"])
    if numbers.ndim != 1 or numbers.dtype != np.int64:
        raise ValueError("species are no list of atomic numbers")
    stiffness = np.full((6, 6), np.nan) if row["stiffness_gpa"] is None else _finite(row["stiffness_gpa"], (6, 6))
    if row["stiffness_gpa"] is not None and not np.allclose(stiffness, stiffness.T, rtol=1e-3, atol=0.1):
        raise ValueError("the stiffness is not symmetric")
    read: dict[str, Any] = {
        "lattice": _finite(row["lattice"], (3, 3)),
        "frac_coords": _finite(row["frac_coords"], (len(numbers), 3)),
        "species": numbers,
        "stiffness_gpa": stiffness,
    }
    for name, (lowest, highest) in _BOUNDS.items():
        value = float(_finite(row[name], ()))
        if not lowest <= value <= highest:
            raise ValueError(f"{name} {value:g} is not between {lowest:g} and {highest:g}")
        read[name] = value
    return read


def _finite(value: Any, shape: tuple[int, ...]) -> Floats:
    array = np.asarray(value, dtype=np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"{array.shape} numbers, or some that are not finite, instead of {shape}")
    return array
