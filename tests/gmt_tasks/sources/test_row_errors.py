"""One bad row refuses itself only: every loop over foreign rows, every kind of exception, first, middle and last."""

import json
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gmt_tasks.labels.readers import rows
from gmt_tasks.sources import json_records
from gmt_tasks.sources.files import archives, inputs, json_texts
from gmt_tasks.sources.files.formats import JSON_LINES
from gmt_tasks.sources.files.tables import parquet
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.row_errors import MAX_ERROR_CHARS, error_text, read_in_parts, row_or_refusal
from models.errors import GmtError, SourceError
from models.fingerprint.content_id import identify
from tests.gmt_tasks.sources.foreign_loops import (
    BAD,
    KINDS,
    LOOPS,
    Loop,
    N,
    Stub,
    ends_of,
    is_marked,
    names,
    records,
    texts_in_a_child,
)

PLACES = (0, N // 2, N - 1)
CASES = [
    (loop, kind, PLACES[(row + column) % len(PLACES)])
    for row, loop in enumerate(LOOPS)
    for column, kind in enumerate(KINDS)
]
"""Every loop with every kind and at every place, and every kind at every place."""


@pytest.mark.parametrize(("loop", "kind", "bad"), CASES, ids=lambda value: getattr(value, "__name__", str(value)))
def test_whatever_is_raised_for_a_row_refuses_that_row(
    loop: Loop, kind: str, bad: int, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = Stub(monkeypatch, KINDS[kind])
    ends = loop(stub, tmp_path, bad)
    assert stub.n_raised
    assert [end.name for end in ends] == names(), "in their order, each once"
    assert [k for k, end in enumerate(ends) if end.detail is not None] == [bad]
    detail = ends[bad].detail or ""
    assert kind in detail or (loop is texts_in_a_child and "nested too deeply" in detail)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, GeneratorExit, SystemExit, MemoryError, SourceError])
@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.__name__)
def test_what_is_no_fault_of_the_row_passes(
    loop: Loop, raised: Callable[[], BaseException], tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(type(raised())):
        loop(Stub(monkeypatch, raised), tmp_path, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_splitter_that_raises_is_one_more_refused_input(kind: str, tmp_path: Path, monkeypatch: Any) -> None:
    def split(file: inputs.TextFile) -> Iterator[inputs.FileInput]:
        yield inputs.FileInput("first", inputs.JsonInput(records(9)[0]))
        raise KINDS[kind]()

    monkeypatch.setattr(json_texts, "split_lines", split)
    assert JSON_LINES.splitter.endswith(":split_lines")
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text("{}\n", encoding="utf-8")
    ends = ends_of(open_source(str(tmp_path)).blocks())
    assert [end.detail is None for end in ends] == [True, False] * 2
    assert all(kind in str(end.detail) for end in ends[1::2])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_damaged_member_of_an_archive_costs_no_other(kind: str, bad: int, tmp_path: Path, monkeypatch: Any) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for k in range(3):
            packed.writestr(f"{k}.jsonl", json.dumps(records(9)[k]))
    Stub(monkeypatch, KINDS[kind]).set(archives, "_write", lambda entry, *rest: entry.name == f"{bad}.jsonl")
    (tmp_path / "out").mkdir()
    members = archives.unpack(archives.UnpackJob(tmp_path / "a.zip", tmp_path / "out")).members
    assert [member.name for member in members] == ["0.jsonl", "1.jsonl", "2.jsonl"]
    refused = [member.content for member in members if not isinstance(member.content, Path)]
    assert len(refused) == 1 and kind in refused[0].detail
    assert not isinstance(members[bad].content, Path)


def test_an_archive_without_room_is_no_damaged_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what is wrong with the machine is not said of the archive."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("0.jsonl", "{}")
    Stub(monkeypatch, lambda: OSError(28, "No space left")).set(archives, "_write", lambda *rest: True)
    with pytest.raises(OSError, match="No space left"):
        archives.unpack(archives.UnpackJob(tmp_path / "a.zip", tmp_path))


def test_a_point_group_that_cannot_be_searched_for_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = [json_records.parse_record(each) for each in records(3)]
    expected = rows.point_groups(crystals)
    stub = Stub(monkeypatch, lambda: RuntimeError("bad"))
    stub.set(rows, "find_symmetry", lambda batch: 4.0 + BAD in batch.lattice)
    assert rows.point_groups(crystals) == [*expected[:3], "", expected[4]]
    assert len(set(expected)) > 1 and "" not in expected


@pytest.mark.parametrize("bad", [[], [0], [3, 4], list(range(8))])
def test_rows_read_together_are_read_apart_where_that_fails(bad: list[int]) -> None:
    asked = []

    def read(part: range) -> list[int]:
        asked.append(len(part))
        if any(row in part for row in bad):
            raise StopIteration
        return list(part)

    parts = read_in_parts(read, range(8), lambda row, error: [-row - 1])
    assert [value for part in parts for value in part] == [-row - 1 if row in bad else row for row in range(8)]
    assert len(parts) == 1 or bad
    assert asked == [8] if not bad else max(asked) == 8
    assert read_in_parts(read, range(0), lambda row, error: [row]) == [[]]


def test_nothing_to_read_that_raises_is_no_row_to_refuse() -> None:
    def read(part: range) -> int:
        raise ValueError("of no row")

    with pytest.raises(ValueError, match="of no row"):
        read_in_parts(read, range(0), lambda row, error: row)


def test_a_warning_that_is_an_error_refuses_the_row() -> None:
    def read() -> float:
        warnings.warn("lossy", stacklevel=1)
        return 1.0

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert row_or_refusal(read, error_text) == "UserWarning: lossy"
    with warnings.catch_warnings(record=True):
        assert row_or_refusal(read, error_text) == 1.0


def test_a_stop_inside_a_generator_is_named() -> None:
    def numbers() -> Iterator[int]:
        yield next(iter(()))

    assert row_or_refusal(lambda: list(numbers()), error_text) == "StopIteration"


class UnprintableError(Exception):
    """An error whose text is an error."""

    def __str__(self) -> str:
        raise ValueError("no text")


def test_the_text_of_an_error_is_short_one_line_and_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MP_API_KEY", "k7" * 16)
    key = "k7" * 16
    text = error_text(ValueError(f"asked with {key}\nat https://me:hidden@host/x?api_key=abc and {'y' * 9999}"))
    assert key not in text and "hidden" not in text and "abc" not in text and "\n" not in text
    assert len(text) <= MAX_ERROR_CHARS + len("ValueError: ")
    assert text.startswith("ValueError: asked with *** at https://me:***@host/x?api_key=***")
    straddling = error_text(ValueError("z" * (MAX_ERROR_CHARS - 5) + key))
    assert key[:4] not in straddling
    assert error_text(UnprintableError()) == "UnprintableError"


def test_a_refused_row_of_a_table_leaves_the_others_as_they_were(tmp_path: Path, monkeypatch: Any) -> None:
    """Values and metadata of the rows beside it, not their number alone."""
    table = [each | {"species": [12, 8], "x": k} for k, each in enumerate(records(2))]
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "a.parquet")
    (whole,) = parquet.TableFile(tmp_path / "a.parquet", "a").blocks(0)
    Stub(monkeypatch, StopIteration).set(
        parquet, "_metadata", lambda batch, *_: is_marked(batch.column("lattice").to_pylist())
    )
    (block,) = parquet.TableFile(tmp_path / "a.parquet", "a").blocks(0)
    kept = [0, 1, 3, 4]
    assert block.positions.tolist() == kept
    assert block.metadata == [whole.metadata[k] for k in kept]
    assert block.places == [whole.places[k] for k in kept]
    assert identify(block.crystals).ids == identify(whole.crystals.select(kept)).ids


def test_errors_of_ours_that_are_of_a_row_refuse_it() -> None:
    """Only those that speak of a source, a database or the sandbox pass."""

    def read() -> None:
        raise GmtError("this crystal")

    assert row_or_refusal(read, error_text) == "GmtError: this crystal"
