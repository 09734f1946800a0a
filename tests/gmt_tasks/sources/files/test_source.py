"""Files as a source: order, positions, ids, resume, and that nothing vanishes."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.sources.files.json_texts import SHORT_JSON_BYTES
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.source import ReadOptions, SourceBlock
from models.errors import Reason, SourceError
from tests.gmt_tasks.sources.dumps import WRITERS, sample

CUBE = [[4.0, 0, 0], [0, 4.0, 0], [0, 0, 4.0]]
CIF = """data_{name}
_cell_length_a 4
_cell_length_b 4
_cell_length_c 4
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 1'
loop_
_atom_site_label
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
{symbol}1 0 0 0
"""
POSCAR = "cell\n1.0\n4 0 0\n0 4 0\n0 0 4\nSi\n1\nDirect\n0 0 0\n"


def record(number: int, **more: Any) -> dict[str, Any]:
    return {"lattice": CUBE, "species": [number], "frac_coords": [[0, 0, 0]], **more}


@pytest.fixture
def mixed(tmp_path: Path, shared_children: None) -> Path:
    """Twelve inputs in eight files of every format, with faults in between; one file is no input."""
    root = tmp_path / "mixed"
    (root / "sub").mkdir(parents=True)
    (root / "a.cif").write_text(CIF.format(name="one", symbol="Li"))
    (root / "b.cif").write_text(CIF.format(name="x", symbol="Be") + CIF.format(name="x", symbol="Qq"))
    (root / "c.json").write_text(json.dumps([record(5), {"nothing": 1}]))
    lines = [json.dumps(record(6, id="carbon")), "", "{broken", json.dumps(record(7))]
    (root / "d.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    lattice = [float(x) for vector in CUBE for x in vector]
    table = {"lattice": [lattice] * 2, "species": [[8], [9]], "frac_coords": [[0.0] * 3] * 2}
    pq.write_table(pa.table(table), root / "e.parquet")
    (root / "f.parquet").write_text("no table")
    (root / "sub" / "POSCAR").write_text(POSCAR)
    (root / "notes.txt").write_text("not a crystal")
    return root


def read(text: str | Path, start: int = 0, options: ReadOptions | None = None) -> list[SourceBlock]:
    return list(open_source(str(text), options).blocks(start))


def by_position(blocks: list[SourceBlock]) -> dict[int, tuple[str, Any]]:
    """Position -> (id, atomic numbers or reason); fails when a position comes twice."""
    inputs: dict[int, tuple[str, Any]] = {}
    for block in blocks:
        entries = [(item.position, item.source_id, item.reason) for item in block.rejected]
        first = block.crystals.first_atom
        for k, (position, source_id) in enumerate(zip(block.positions.tolist(), block.source_ids, strict=True)):
            entries.append((position, source_id, block.crystals.numbers[first[k] : first[k + 1]].tolist()))
        for position, source_id, what in entries:
            if position in inputs:
                pytest.fail(f"position {position} twice")
            inputs[position] = (source_id, what)
    return dict(sorted(inputs.items()))


EXPECTED = {
    0: ("a.cif", [3]),
    1: ("b.cif#0", [4]),
    2: ("b.cif#1", Reason.UNKNOWN_SPECIES),
    3: ("c.json#0", [5]),
    4: ("c.json#1", Reason.PARSE),
    5: ("carbon", [6]),
    6: ("d.jsonl.gz#3", Reason.PARSE),
    7: ("d.jsonl.gz#4", [7]),
    8: ("e.parquet#0", [8]),
    9: ("e.parquet#1", [9]),
    10: ("f.parquet", Reason.PARSE),
    11: ("sub/POSCAR", [14]),
}


def test_a_directory_is_read_in_sorted_order_and_every_input_ends_somewhere(mixed: Path) -> None:
    assert by_position(read(mixed)) == EXPECTED


@pytest.mark.parametrize("start", [1, 2, 5, 8, 9, 10, 11, 12])
def test_reading_continues_at_any_position(mixed: Path, start: int) -> None:
    assert by_position(read(mixed, start)) == {k: entry for k, entry in EXPECTED.items() if k >= start}


def test_blocks_cover_their_range_without_gaps(mixed: Path) -> None:
    blocks = read(mixed)
    assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]
    assert blocks[-1].stop == 12
    for block in blocks:
        ingest_block("mixed", block)  # raises if a position is lost


def test_a_glob_takes_what_matches_and_refuses_unknown_formats_loudly(mixed: Path) -> None:
    assert by_position(read(f"{mixed}/*.cif")) == {k: EXPECTED[k] for k in range(3)}
    assert (0, ("notes.txt", Reason.PARSE)) in by_position(read(f"{mixed}/*.txt")).items()


def test_a_single_file_keeps_its_name(mixed: Path) -> None:
    assert by_position(read(mixed / "sub" / "POSCAR")) == {0: ("POSCAR", [14])}


def test_long_inputs_come_in_several_blocks(
    tmp_path: Path, shared_children: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gmt_tasks.sources.files.source.TEXTS_PER_BLOCK", 16)
    for k in range(20):
        (tmp_path / f"{k:03d}.cif").write_text(CIF.format(name=k, symbol="Li"))
    blocks = read(tmp_path)
    assert [(block.start, block.stop) for block in blocks] == [(0, 16), (16, 20)]
    assert all(block.crystals.n_crystals == block.stop - block.start for block in blocks)


def test_metadata_and_notes_travel(tmp_path: Path) -> None:
    lines = [record(1, gap=1.5, nan=float("nan")), record(1), {**record(1), "species": ["D"]}]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (block,) = read(tmp_path / "x.jsonl")
    assert json.loads(block.metadata[0] or "") == {"gap": 1.5, "nan": None}
    assert block.metadata[1] is None
    assert "isotope_merged" in json.loads(block.metadata[2] or "")["notes"][0]


def test_huge_metadata_is_dropped_with_a_note(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(record(1, blob="x" * 200_000)))
    (block,) = read(tmp_path / "x.jsonl")
    assert len(block.metadata[0] or "") < 1000 and "metadata_dropped" in (block.metadata[0] or "")


def test_a_line_beyond_the_limit_costs_itself(tmp_path: Path) -> None:
    lines = [json.dumps(record(3)), json.dumps(record(4, blob="x" * 5_000_000)), json.dumps(record(5))]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    found = by_position(read(tmp_path / "x.jsonl", options=ReadOptions(max_text_bytes=100_000)))
    assert found == {0: ("x.jsonl#1", [3]), 1: ("x.jsonl#2", Reason.TOO_LARGE), 2: ("x.jsonl#3", [5])}


def test_a_packed_stream_of_zeros_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress((b" " * 4000 + b"\n") * (10 << 10)))
    found = by_position(read(tmp_path / "x.jsonl.gz"))
    assert [what for _, what in found.values()] == [Reason.ARCHIVE]


def test_a_truncated_packed_file_keeps_the_lines_before_the_break(tmp_path: Path) -> None:
    packed = gzip.compress("\n".join(json.dumps(record(1 + k % 90, id=str(k))) for k in range(5000)).encode())
    (tmp_path / "x.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    entries = list(by_position(read(tmp_path / "x.jsonl.gz")).values())
    assert entries[-1][1] is Reason.ARCHIVE
    # The line in which the stream breaks is not readable either; all before it are.
    assert len(entries) > 1000 and all(isinstance(what, list) for _, what in entries[:-2])


def test_a_text_that_hangs_the_parser_is_stopped_and_its_neighbours_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parser = "tests.gmt_tasks.sources.files.hanging_reader:answer"
    monkeypatch.setattr("gmt_tasks.sources.files.source.PARSER", parser)
    for name, symbol in [("a", "Li"), ("hang", "Be"), ("segfault", "B"), ("z", "C")]:
        (tmp_path / f"{name}.cif").write_text(CIF.format(name=name, symbol=symbol))
    found = by_position(read(tmp_path, options=ReadOptions(deadline_s=1.0, max_workers=1)))
    assert [what for _, what in found.values()] == [[3], Reason.DEADLINE, Reason.WORKER_DIED, [3]]


def test_the_fingerprint_sees_content_and_names_and_nothing_else(mixed: Path, tmp_path: Path) -> None:
    before = open_source(str(mixed)).fingerprint()
    (mixed / "a.cif").touch()
    (mixed / "notes.txt").write_text("changed")
    assert open_source(str(mixed)).fingerprint() == before
    (mixed / "a.cif").write_text(CIF.format(name="one", symbol="Na"))
    changed = open_source(str(mixed)).fingerprint()
    assert changed != before
    (mixed / "a.cif").rename(mixed / "a2.cif")
    assert open_source(str(mixed)).fingerprint() not in (before, changed)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("missing.cif", "No file"),
        ("nothing*.cif", "No file"),
        ("readme.txt", "no known format"),
        ("empty", "holds no file"),
        ("~nobody-has-this-name/a.cif", "cannot be looked at"),
        ("a" * 5000, "cannot be looked at"),
    ],
)
def test_a_source_that_cannot_be_read_as_a_whole_says_what_to_give(tmp_path: Path, name: str, advice: str) -> None:
    (tmp_path / "readme.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=advice):
        open_source(name if name.startswith("~") else str(tmp_path / name))


def test_a_folder_that_may_not_be_looked_into_is_a_refused_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.json").write_text(json.dumps(record(3)))
    scandir = os.scandir

    def guarded(path: Any) -> Any:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", guarded)
    assert by_position(read(tmp_path)) == {0: ("a.json", [3]), 1: ("closed", Reason.PARSE)}


@pytest.mark.parametrize("fault", [{"species": ["Qq"]}, {"species": [3, 3], "frac_coords": [[0, 0, 0]] * 2}])
def test_a_refused_file_with_an_id_of_its_own_is_named_too(tmp_path: Path, fault: dict[str, Any]) -> None:
    (tmp_path / "one.json").write_text(json.dumps({**record(3, id="own"), **fault}))
    (block,) = read(tmp_path / "one.json")
    (item,) = ingest_block("x", block).rejected
    assert item.source_id == "own" and item.detail.startswith("one.json: ")


def test_a_rejected_row_carries_its_own_id_and_its_line(tmp_path: Path) -> None:
    rows = [record(3, id="good"), {**record(4, id="bad"), "species": ["Qq"]}, {"id": 7}, record(5, id="overlap")]
    rows[3] = {**rows[3], "species": [5, 5], "frac_coords": [[0, 0, 0]] * 2}
    (tmp_path / "x.jsonl").write_text("\n".join([*map(json.dumps, rows), "{", '{"id": "late"']))
    (block,) = read(tmp_path / "x.jsonl")
    rejected = ingest_block("x", block).rejected
    assert [item.source_id for item in rejected] == ["bad", "7", "overlap", "x.jsonl#5", "x.jsonl#6"]
    assert [item.detail.split(":")[0] for item in rejected] == [f"x.jsonl line {line}" for line in (2, 3, 4, 5, 6)]
    assert "line 5 column 2" in rejected[3].detail


def test_a_single_parquet_file_with_wrong_columns_fails_before_a_run_begins(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="no column lattice"):
        open_source(str(tmp_path / "t.parquet"))


@pytest.mark.usefixtures("shared_children")
def test_a_long_document_gives_the_same_inputs_as_a_short_one(tmp_path: Path) -> None:
    samples = [sample(seed, 3) for seed in range(6)]
    for shape, write in WRITERS.items():
        document = write(samples)
        (tmp_path / "x.json").write_text(json.dumps(document))
        (short,) = open_source(str(tmp_path / "x.json")).blocks()
        (tmp_path / "x.json").write_text(json.dumps(document) + " " * (SHORT_JSON_BYTES + 1))
        (long,) = open_source(str(tmp_path / "x.json")).blocks()
        assert short.source_ids == long.source_ids == [s.name for s in samples], shape
        assert np.array_equal(short.crystals.frac_coords, long.crystals.frac_coords)
        assert short.metadata == long.metadata and not short.rejected and not long.rejected
