"""Hits as CSV: properties, then every component of every tensor, e.g. `elastic_voigt_11` for C11.

The command line and the web application write the same text; what a spreadsheet would compute is quoted.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from db.csv_cells import csv_cell
from db.query.hits import Hits
from gmt_tasks.export.structure_text import printed_name
from models.quantities import TENSORS, Tensor
from models.tensors.voigt import to_printed


def component_columns() -> list[str]:
    """Column names of all tensor components, row by row of each printed matrix."""
    columns = []
    for tensor, quantity in TENSORS.items():
        n_rows, n_columns = to_printed(tensor, np.zeros(quantity.shape)).shape
        places = [(row, column) for row in range(1, n_rows + 1) for column in range(1, n_columns + 1)]
        columns += [f"{printed_name(tensor)}_{row}{column}" for row, column in places]
    return columns


def csv_blocks(blocks: Iterable[Hits], fields: Sequence[str]) -> Iterator[tuple[str, int]]:
    """CSV, some hits at a time.

    Args:
        blocks: of `ResultStore.hits`.
        fields: properties that become the first columns.

    Yields:
        Text and the number of hits in it. The head comes with the first hits, so that nothing is written before the
        first of them could be read; without hits it comes alone.
    """
    lines: list[list[Any]] = [[*fields, *component_columns()]]
    for hits in blocks:
        printed = [to_printed(tensor, hits.tensors[tensor]).reshape(len(hits.rows), -1) for tensor in Tensor]
        for row, numbers in zip(hits.rows, np.concatenate(printed, axis=1).tolist(), strict=True):
            lines.append([csv_cell(row[field]) for field in fields] + [csv_cell(number) for number in numbers])
        yield _text(lines), len(hits.rows)
        lines = []
    if lines:
        yield _text(lines), 0


def _text(lines: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
