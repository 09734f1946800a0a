"""The loops over foreign rows, each with a row at which a chosen exception is raised."""

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter, ValidationError
from pymatgen.symmetry.analyzer import SymmetryUndeterminedError

from gmt_tasks.ingest.deduplicate import nothing_known
from gmt_tasks.labels.checks import row as checks
from gmt_tasks.labels.readers import jarvis as jarvis_labels
from gmt_tasks.labels.readers import label_files, materials_project
from gmt_tasks.labels.readers.open import open_label_source
from gmt_tasks.labels.readers.source import Label, LabelRow, RefusedLabel
from gmt_tasks.sources import json_records, parsed
from gmt_tasks.sources.files import inputs, json_texts, parse
from gmt_tasks.sources.files.tables import ase_database, parquet
from gmt_tasks.sources.files.text_jobs import TextJob, decode_readings, encode_readings
from gmt_tasks.sources.generated import prototypes
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.parsed import ParsedCrystal, block_of_readings
from gmt_tasks.sources.remote import jarvis_tensors
from gmt_tasks.sources.remote.jarvis import open_crystals
from gmt_tasks.sources.remote.materials_project_query import Route
from gmt_tasks.sources.remote.mirror import Mirror, MirrorRecord
from gmt_tasks.sources.remote.mirrored_source import COMPLETE, MirroredSource
from gmt_tasks.sources.source import MissingSymmetry, SourceBlock
from tests.gmt_tasks.labels.planted_faults import good_rows

N = 5
BAD = 1e-3
"""Mark of the bad row: the first entry of its lattice is so much larger than 4."""


class BaseTestError(Exception):
    """A library's own error."""


def _validation_error() -> ValidationError:
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(int).validate_python("x")
    return raised.value


def _invalid_utf8() -> UnicodeDecodeError:
    return UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")


KINDS: dict[str, Callable[[], Exception]] = {
    "ValueError": lambda: ValueError("bad"),
    "KeyError": lambda: KeyError("bad"),
    "TypeError": lambda: TypeError("bad"),
    "IndexError": lambda: IndexError("bad"),
    "AttributeError": lambda: AttributeError("bad"),
    "StopIteration": StopIteration,
    "RuntimeError": lambda: RuntimeError("bad"),
    "RecursionError": lambda: RecursionError("bad"),
    "ZeroDivisionError": lambda: ZeroDivisionError("bad"),
    "LinAlgError": lambda: np.linalg.LinAlgError("bad"),
    "OverflowError": lambda: OverflowError("bad"),
    "AssertionError": AssertionError,
    "UnicodeDecodeError": _invalid_utf8,
    "OSError": lambda: OSError(22, "bad"),
    "error": lambda: zlib.error("bad"),
    "UserWarning": lambda: UserWarning("bad"),
    "SymmetryUndeterminedError": lambda: SymmetryUndeterminedError("bad"),
    "ArrowInvalid": lambda: pa.ArrowInvalid("bad"),
    "ValidationError": _validation_error,
    "BaseTestError": lambda: BaseTestError("bad"),
}


class End(NamedTuple):
    """How one row ended; without a detail it was accepted."""

    name: str
    detail: str | None


class Stub:
    """A stand-in that raises for the bad row, and is what it stands for otherwise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, raised: Callable[[], BaseException]) -> None:
        self._monkeypatch = monkeypatch
        self._raised = raised
        self.n_raised = 0

    def set(self, place: Any, name: str, is_bad: Callable[..., bool]) -> None:
        """Puts the stub in the place of a function."""
        whole = getattr(place, name)

        def stub(*arguments: Any, **named: Any) -> Any:
            if is_bad(*arguments, **named):
                self.n_raised += 1
                raise self._raised()
            return whole(*arguments, **named)

        self._monkeypatch.setattr(place, name, stub)


Loop = Callable[[Stub, Path, int], list[End]]


def names() -> list[str]:
    return [f"r{k}" for k in range(N)]


def records(bad: int) -> list[dict[str, Any]]:
    """Five rock-salt cells in our columns, one of them marked."""
    found = []
    for k, name in enumerate(names()):
        lattice = np.diag([4.0 + (BAD if k == bad else 0), 4.0, 4.0 + k])
        coords = [[0, 0, 0], [0.5, 0.5, 0.5]]
        found.append({"id": name, "lattice": lattice.tolist(), "species": ["Mg", "O"], "frac_coords": coords})
    return found


def is_marked(value: Any) -> bool:
    """Whether some cell in a value is that of the bad row."""
    return "4.001" in (value if isinstance(value, str) else json.dumps(value))


def ends_of(blocks: Iterator[SourceBlock]) -> list[End]:
    """The ends of all inputs of some blocks, by position."""
    ends: dict[int, End] = {}
    n = 0
    for block in blocks:
        assert block.start == n
        n = block.stop
        accepted = zip(block.positions.tolist(), block.source_ids, strict=True)
        ends |= {position: End(name, None) for position, name in accepted}
        ends |= {item.position: End(item.source_id, item.detail) for item in block.rejected}
        assert block.crystals.n_crystals == len(block.positions) == len(block.metadata)
    assert len(ends) == n
    return [ends[position] for position in range(n)]


def ends_of_labels(labels: Iterator[Label]) -> list[End]:
    return [End(each.source_id, each.detail if isinstance(each, RefusedLabel) else None) for each in labels]


def json_lines(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(json_records, "parse_record", is_marked)
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records(bad)), encoding="utf-8")
    return ends_of(open_source(str(path)).blocks())


def json_document(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(json_records, "parse_record", is_marked)
    (folder / "a.json").write_text(json.dumps(records(bad)), encoding="utf-8")
    return ends_of(open_source(str(folder / "a.json")).blocks())


def long_json_document(stub: Stub, folder: Path, bad: int) -> list[End]:
    """As a child reads it."""
    stub.set(json_records, "parse_record", is_marked)
    job = TextJob("json", json.dumps(records(bad)), 1, 100, MissingSymmetry.REFUSE)
    readings = decode_readings(encode_readings(json_texts.read_document(job)))
    return ends_of(iter([block_of_readings(0, readings, names())]))  # type: ignore[arg-type]


def json_text_in_driver(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(inputs, "load_json", lambda text, line: is_marked(text))
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records(bad)), encoding="utf-8")
    # without its text a line has no id of its own
    return [end._replace(name=f"r{k}") for k, end in enumerate(ends_of(open_source(str(path)).blocks()))]


def texts_in_a_child(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(json_texts, "read_line", lambda job: is_marked(job.text))
    stub._monkeypatch.setitem(parse._READERS, "jsonl", json_texts.read_line)
    ends = []
    for name, record in zip(names(), records(bad), strict=True):
        job = TextJob("jsonl", json.dumps(record), 1, 100, MissingSymmetry.REFUSE)
        reading = decode_readings(parse.answer(job.content()))
        assert not isinstance(reading, list)
        ends.append(End(name, None if isinstance(reading, ParsedCrystal) else reading.detail))
    return ends


def metadata_of_a_block(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(parsed, "metadata_json", lambda extra, notes: extra["k"] == bad)
    readings = [ParsedCrystal(np.eye(3), np.zeros((1, 3)), np.array([1]), extra={"k": k}) for k in range(N)]
    return ends_of(iter([block_of_readings(0, readings, names())]))


def metadata_of_an_answer(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(parsed, "metadata_json", lambda extra, notes: extra.get("k") == bad)
    crystals = [ParsedCrystal(np.eye(3), np.zeros((1, 3)), np.array([1]), extra={"k": k}) for k in range(N)]
    readings = decode_readings(encode_readings(crystals))
    return ends_of(iter([block_of_readings(0, readings, names())]))  # type: ignore[arg-type]


def mirror(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(json_records, "parse_record", is_marked)
    kept = Mirror(folder / "m.sqlite")
    kept.write([MirrorRecord(each["id"], each) for each in records(bad)], {COMPLETE: True})
    settings = materials_project.load_remote_settings()
    return ends_of(MirroredSource("mp:x", kept, lambda _: None, settings).blocks())


def ase_rows(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(ase_database, "_crystal", lambda numbers, positions, cell, *rest: np.frombuffer(cell)[0] == 4.0 + BAD)
    with sqlite3.connect(folder / "a.db") as connection:
        columns = "numbers BLOB, positions BLOB, cell BLOB, pbc INTEGER, key_value_pairs TEXT"
        connection.execute(f"CREATE TABLE systems (id INTEGER PRIMARY KEY AUTOINCREMENT, {columns})")
        for each in records(bad):
            cell, coords = np.array(each["lattice"], "<f8"), np.array(each["frac_coords"], "<f8")
            arrays = [np.array([12, 8], "<i4").tobytes(), (coords @ cell).tobytes(), cell.tobytes()]
            connection.execute("INSERT INTO systems VALUES (NULL, ?, ?, ?, 7, '{}')", arrays)
    ends = ends_of(ase_database.AseDatabase(folder / "a.db", "a").blocks(0))
    assert [end.name for end in ends] == [f"a#{k}" for k in range(N)]
    return [end._replace(name=f"r{k}") for k, end in enumerate(ends)]


def parquet_rows(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(parquet, "_metadata", lambda batch, *_: is_marked(batch.column("lattice").to_pylist()))
    pq.write_table(pa.Table.from_pylist([each | {"species": [12, 8]} for each in records(bad)]), folder / "a.parquet")
    ends = ends_of(parquet.TableFile(folder / "a.parquet", "a").blocks(0))
    return [end._replace(name=f"r{k}") for k, end in enumerate(ends)]


@cache
def decorations() -> prototypes.PrototypesSource:
    """A source of five decorations: finding them takes seconds, and it remembers them."""
    return prototypes.PrototypesSource(N)


def prototype_crystals(stub: Stub, folder: Path, bad: int) -> list[End]:
    source = decorations()
    bad_one = source._chosen[bad]
    stub.set(prototypes, "decorated_crystal", lambda decoration, _seed: decoration is bad_one)
    return [end._replace(name=f"r{k}") for k, end in enumerate(ends_of(source.blocks(0)))]


def tensor_file(bad: int, folder: Path) -> Path:
    found = []
    for each in records(bad):
        atoms = {"lattice_mat": each["lattice"], "elements": each["species"], "coords": each["frac_coords"]}
        found.append({"JARVIS_ID": each["id"], "atoms": atoms, "elastic_total_kbar": np.eye(6).tolist()})
    path = folder / "jarvis_elastic.json"
    path.write_text(json.dumps(found), encoding="utf-8")
    return path


def tensor_file_crystals(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(jarvis_tensors, "_crystal", is_marked)
    return ends_of(open_crystals(f"jarvis:{tensor_file(bad, folder)}").blocks())


def tensor_file_labels(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(jarvis_tensors, "_crystal", is_marked)
    return ends_of_labels(open_label_source(f"jarvis:{tensor_file(bad, folder)}").rows())


def tensor_file_label_rows(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(jarvis_labels, "_crystal_row", lambda jid, source, crystal: jid == f"r{bad}")
    return ends_of_labels(open_label_source(f"jarvis:{tensor_file(bad, folder)}").rows())


def label_lines(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(label_files, "load_json", lambda line, number: number == bad + 1)
    path = folder / "labels.jsonl"
    path.write_text("".join(f'{{"id": "{name}"}}\n' for name in names()), encoding="utf-8")
    ends = ends_of_labels(open_label_source(str(path)).rows())
    return [end._replace(name=f"r{k}") for k, end in enumerate(ends)]


def published_list(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(jarvis_labels, "_mean_permittivity", lambda record, crystal: record["id"] == f"r{bad}")
    return ends_of_labels(jarvis_labels.dft_labels([each | {"epsx": 2, "epsy": 2, "epsz": 2} for each in records(bad)]))


def documents(bad: int) -> list[dict[str, Any]]:
    eps = (3 * np.eye(3)).tolist()
    return [{"id": each["id"], "structure": each, "total": eps, "electronic": eps} for each in records(bad)]


def material_structures(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(materials_project, "find_invalid", lambda batch: batch.lattice[0, 0, 0] == 4.0 + BAD)
    return ends_of_labels(materials_project.label_rows(Route.DIELECTRIC, documents(bad)))


def material_tensors(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(materials_project, "in_frame_of_structure", lambda crystal, *rest: crystal.lattice[0, 0] == 4.0 + BAD)
    return ends_of_labels(materials_project.label_rows(Route.DIELECTRIC, documents(bad)))


def _checked(bad: int, is_marked_row: Callable[[dict[str, Any]], None]) -> list[End]:
    found = [row | {"id": name} for row, name in zip(good_rows(N, kind="dielectric_total"), names(), strict=True)]
    is_marked_row(found[bad])
    block = checks.check_labels("s", [LabelRow(row["id"], row) for row in found], range(N), nothing_known)
    assert len(block.records) == N
    return [End(record.source_id, record.detail) for record in block.records]


def _mark(row: dict[str, Any]) -> None:
    row["tensor"][0][0] += BAD


def checked_rows(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(checks, "read_label", lambda row: row["id"] == f"r{bad}")
    return _checked(bad, _mark)


def checked_records(stub: Stub, folder: Path, bad: int) -> list[End]:
    stub.set(checks, "_record", lambda source, item, position, check, fault: check is not None and position == bad)
    return _checked(bad, _mark)


def checked_symmetries(stub: Stub, folder: Path, bad: int) -> list[End]:
    """The search for all of them at once, in which one fails."""
    marked = good_rows(N, kind="dielectric_total")[bad]["lattice"]
    stub.set(checks, "find_symmetry", lambda batch, symprec: np.array(marked) in batch.lattice)
    return _checked(bad, _mark)


LOOPS: list[Loop] = [
    json_lines, json_document, long_json_document, json_text_in_driver, texts_in_a_child, metadata_of_a_block,
    metadata_of_an_answer, mirror, ase_rows, parquet_rows, prototype_crystals, tensor_file_crystals,
    tensor_file_labels, tensor_file_label_rows, label_lines, published_list, material_structures, material_tensors,
    checked_rows, checked_records, checked_symmetries,
]  # fmt: skip
