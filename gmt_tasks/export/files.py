"""Hits into files: which format a name means, one file or a folder of files, written block by block."""

import csv
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from db.csv_cells import csv_cell
from db.query.hits import Hits
from gmt_tasks.export.structure_text import (
    ExportError,
    StructureFormat,
    facts_of_hit,
    file_name,
    printed_name,
    structure_text,
)
from gmt_tasks.export.whole_file import whole_file
from models.tensors.voigt import to_printed

if TYPE_CHECKING:
    from db.query.request import Request
    from db.store import ResultStore


class ExportFormat(StrEnum):
    """What hits can be written as."""

    CIF = "cif"
    POSCAR = "poscar"
    EXTXYZ = "extxyz"
    CSV = "csv"
    PARQUET = "parquet"


_BY_ENDING = {".cif": "cif", ".poscar": "poscar", ".vasp": "poscar", ".extxyz": "extxyz", ".xyz": "extxyz"}
_BY_ENDING |= {".csv": "csv", ".parquet": "parquet"}

_PER_FILE = (ExportFormat.CIF, ExportFormat.POSCAR)
"""Formats of which each crystal gets a file of its own."""


def format_of(out: Path) -> ExportFormat | None:
    """The format that the end of a file's name means; None where it means none."""
    ending = _BY_ENDING.get(out.suffix.lower())
    return None if ending is None else ExportFormat(ending)


def export(store: "ResultStore", request: "Request", format: ExportFormat, out: Path, *, diverse: bool = False) -> int:
    """Writes the hits of a request; returns how many.

    Args:
        store: the database.
        request: with the fields that tables shall have; its limit may be 0.
        format: CIF and POSCAR make a folder with a file per crystal, the others one file.
        out: the folder or file; a file appears only when it is complete.
        diverse: leave out hits that are too much like a better one; needs a limit.

    Raises:
        ExportError: `out` is a file where a folder must be, or the other way round.
    """
    if out.exists() and out.is_dir() != (format in _PER_FILE):
        needs = "a folder" if format in _PER_FILE else "a file"
        raise ExportError(f"{format} needs {needs}, and {out} is none. Name another one.")
    blocks = store.diverse_hits(request) if diverse else store.hits(request)
    if format in _PER_FILE:
        return _write_folder(blocks, StructureFormat(format), out)
    if format is ExportFormat.PARQUET:
        from gmt_tasks.export.parquet import write_parquet

        return write_parquet(blocks, request.fields, out)
    with whole_file(out) as part, part.open("w", encoding="utf-8", newline="") as stream:
        write = _write_csv if format is ExportFormat.CSV else _write_frames
        return write(blocks, request.fields, stream)


def _write_folder(blocks: Iterator[Hits], format: StructureFormat, folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    n_hits = 0
    for hits in blocks:
        for place in range(len(hits.rows)):
            facts = facts_of_hit(hits, place)
            (folder / file_name(facts, format)).write_text(structure_text(facts, format), encoding="utf-8")
        n_hits += len(hits.rows)
    return n_hits


def _write_frames(blocks: Iterator[Hits], _fields: Sequence[str], stream: TextIO) -> int:
    n_hits = 0
    for hits in blocks:
        for place in range(len(hits.rows)):
            stream.write(structure_text(facts_of_hit(hits, place), StructureFormat.EXTXYZ))
        n_hits += len(hits.rows)
    return n_hits


def _write_csv(blocks: Iterator[Hits], fields: Sequence[str], stream: TextIO) -> int:
    """Fields, then every component of every tensor as a column of its own, e.g. elastic_voigt_11 for C11."""
    writer = csv.writer(stream, lineterminator="\n")
    n_hits, head = 0, None
    for hits in blocks:
        matrices = {printed_name(tensor): to_printed(tensor, values) for tensor, values in hits.tensors.items()}
        if head is None:
            shapes = {name: values.shape[1:] for name, values in matrices.items()}
            columns = [(name, i, j) for name, (n, m) in shapes.items() for i in range(n) for j in range(m)]
            head = [*fields, *(f"{name}_{i + 1}{j + 1}" for name, i, j in columns)]
            writer.writerow(head)
        for place, row in enumerate(hits.rows):
            numbers = [matrices[name][place, i, j] for name, i, j in columns]
            writer.writerow([csv_cell(row[field]) for field in fields] + [csv_cell(float(n)) for n in numbers])
        n_hits += len(hits.rows)
    if head is None:
        writer.writerow(fields)
    return n_hits
