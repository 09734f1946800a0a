"""Hits into files: which format a name means, one file or a folder of files, written block by block."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from db.query.hits import Hits
from gmt_tasks.export.csv_text import csv_blocks
from gmt_tasks.export.relaxed import RelaxedHits
from gmt_tasks.export.structure_text import (
    ExportError,
    StructureFormat,
    facts_of_hit,
    file_name,
    structure_text,
)
from gmt_tasks.export.whole_file import whole_file

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
"""Formats of which each crystal gets a file of its own in a folder, unless a file is named."""


def format_of(out: Path) -> ExportFormat | None:
    """The format that the end of a file's name means; None where it means none."""
    ending = _BY_ENDING.get(out.suffix.lower())
    return None if ending is None else ExportFormat(ending)


@dataclass(frozen=True)
class Exported:
    """How many hits were written, and formula and id of those without the relaxed cell that was asked for."""

    n_hits: int
    without: list[tuple[str, str]]


def export(
    store: "ResultStore",
    request: "Request",
    format: ExportFormat,
    out: Path,
    *,
    diverse: bool = False,
    relaxed: bool = False,
) -> Exported:
    """Writes the hits of a request.

    Args:
        store: the database.
        request: with the fields that tables shall have; its limit may be 0.
        format: CIF and POSCAR make a folder with a file per crystal, the others one file.
        out: the folder or file; a file appears only when it is complete. A name like `hit.cif` or `hit.vasp` is a file:
            CIF holds a data block per crystal, POSCAR one crystal.
        diverse: leave out hits that are too much like a better one; needs a limit.
        relaxed: the relaxed primitive cells with the combined tensors; hits without a second opinion are left out.

    Raises:
        ExportError: relaxed cells are asked for in a table; `out` is a file where a folder must be, or the other way
            round; several crystals for one POSCAR.
    """
    in_folder = format in _PER_FILE and format_of(out) is None
    if out.exists() and out.is_dir() != in_folder:
        needs = "a folder" if in_folder else "a file"
        raise ExportError(f"{format} needs {needs}, and {out} is none. Name another one.")
    if relaxed and format in (ExportFormat.CSV, ExportFormat.PARQUET):
        raise ExportError(f"Relaxed cells go into {', '.join(StructureFormat)}, not into {format}.")
    blocks: Iterable[Hits] = store.diverse_hits(request) if diverse else store.hits(request)
    if not relaxed:
        return Exported(_write(blocks, request.fields, format, out, in_folder=in_folder), [])
    cells = RelaxedHits(store, blocks, request.fields)
    n_hits = _write(cells, request.fields, format, out, in_folder=in_folder)
    return Exported(n_hits, cells.without)


def _write(blocks: Iterable[Hits], fields: tuple[str, ...], format: ExportFormat, out: Path, *, in_folder: bool) -> int:
    """Writes hits in a format; returns how many."""
    if in_folder:
        return _write_folder(blocks, StructureFormat(format), out)
    if format is ExportFormat.PARQUET:
        from gmt_tasks.export.parquet import write_parquet

        return write_parquet(blocks, fields, out)
    is_table = format is ExportFormat.CSV
    texts = csv_blocks(blocks, fields) if is_table else structure_blocks(blocks, StructureFormat(format))
    n_hits = 0
    with whole_file(out) as part, part.open("w", encoding="utf-8", newline="") as stream:
        for text, n_in_text in texts:
            stream.write(text)
            n_hits += n_in_text
            if format is ExportFormat.POSCAR and n_hits > 1:
                raise ExportError("A POSCAR holds one crystal, and there are more hits. Name a folder or ask for one.")
    return n_hits


def _write_folder(blocks: Iterable[Hits], format: StructureFormat, folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    n_hits = 0
    for hits in blocks:
        for place in range(len(hits.rows)):
            facts = facts_of_hit(hits, place)
            with whole_file(folder / file_name(facts, format)) as part:
                part.write_text(structure_text(facts, format), encoding="utf-8")
        n_hits += len(hits.rows)
    return n_hits


def structure_blocks(blocks: Iterable[Hits], format: StructureFormat) -> Iterator[tuple[str, int]]:
    """Crystals one after the other in one text, some hits at a time.

    Args:
        blocks: of `ResultStore.hits`.
        format: extended XYZ has a frame per crystal, CIF a data block.

    Yields:
        Text and the number of hits in it.
    """
    for hits in blocks:
        texts = [structure_text(facts_of_hit(hits, place), format) for place in range(len(hits.rows))]
        yield "".join(texts), len(hits.rows)
