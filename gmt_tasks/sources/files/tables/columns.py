"""Arrow columns as flat numpy arrays: values, the row of each, and what is broken; nothing here loops over rows."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


def is_list(kind: pa.DataType) -> bool:
    """True for the three kinds of lists."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_text(kind: pa.DataType) -> bool:
    """True for text, of any length."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def as_numpy(array: pa.Array) -> NDArray[Any]:
    """The array as a numpy array that may be written to."""
    result: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return result if result.flags.writeable else result.copy()


def flatten(column: pa.Array, n_inner: int = 3) -> tuple[pa.Array, Ints, Flags]:
    """Takes the lists of a column apart.

    Args:
        column: lists, or lists of lists.
        n_inner: length that every inner list must have.

    Returns:
        The innermost values, the row of each, and the rows with nulls or inner lists of another length.
    """
    broken = as_numpy(column.is_null())
    row_of_value = np.arange(len(column))
    depth = 0
    while is_list(column.type):
        counts = as_numpy(pc.fill_null(pc.list_value_length(column), 0)).astype(np.int64)
        if depth:  # 3 x 3 and n x 3: every inner list is a vector
            broken[row_of_value[counts != n_inner]] = True
        row_of_value = np.repeat(row_of_value, counts)
        column = pc.list_flatten(column)
        depth += 1
    if column.null_count:
        broken[row_of_value[as_numpy(column.is_null())]] = True
    return column, row_of_value, broken


def float_values(values: pa.Array) -> NDArray[np.float64]:
    """Values as float64; nulls become NaN."""
    return as_numpy(pc.cast(values, pa.float64(), safe=False))


def rows_with(rows: Ints, n_rows: int) -> Flags:
    """Flags of the rows that occur."""
    return np.bincount(rows, minlength=n_rows) > 0


def texts_of(column: pa.Array) -> list[str | None]:
    """The texts of a column; bytes that are no UTF-8, which Parquet does not forbid, become replacement characters."""
    try:
        texts: list[str | None] = column.to_pylist()
    except UnicodeDecodeError:
        raw = pc.cast(column, pa.binary()).to_pylist()
        texts = [None if value is None else value.decode("utf-8", errors="replace") for value in raw]
    return texts
