"""Numbers that travel beside the crystals of a Parquet file, for training on what is known of candidates."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.crystals.crystal import CrystalBatch, Floats
from models.errors import SourceError


def read_table(path: Path, columns: tuple[str, ...]) -> tuple[CrystalBatch, dict[str, Floats]]:
    """All crystals of a Parquet file of candidates, not validated, and some of its numeric columns.

    Args:
        path: with `lattice` (9 numbers), `species` (atomic numbers) and `frac_coords` (3n numbers).
        columns: numeric columns; a null becomes NaN.

    Raises:
        SourceError: a column is missing.
    """
    wanted = ("lattice", "species", "frac_coords", *columns)
    missing = sorted(set(wanted) - set(pq.read_schema(path).names))
    if missing:
        raise SourceError(f"{path.name} lacks the columns {missing}. Training on candidates needs {list(wanted)}.")
    table = pq.read_table(path, columns=list(wanted))

    def flat(name: str, kind: type) -> NDArray[np.float64] | NDArray[np.int64]:
        return np.asarray(table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False), dtype=kind)

    # lists of unequal length lie one after the other: their lengths say where each crystal ends
    counts = np.array([len(row) for row in table["species"]])
    batch = CrystalBatch(
        np.asarray(flat("lattice", np.float64), dtype=np.float64).reshape(-1, 3, 3),
        np.asarray(flat("frac_coords", np.float64), dtype=np.float64).reshape(-1, 3),
        np.asarray(flat("species", np.int64), dtype=np.int64),
        np.repeat(np.arange(len(counts)), counts),
    )
    values = {name: np.asarray(table[name].to_numpy(zero_copy_only=False), dtype=np.float64) for name in columns}
    return batch, values


def read_texts(path: Path, column: str) -> list[str]:
    """A column of texts of a Parquet file."""
    return [str(text) for text in pq.read_table(path, columns=[column])[column].to_pylist()]
