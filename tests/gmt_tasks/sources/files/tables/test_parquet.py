"""Parquet: columnar reading gives what a plain loop over rows gives, and a bad row costs itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmt_tasks.sources.files.tables.parquet import TableFile, read_batch
from gmt_tasks.sources.json_records import parse_record
from gmt_tasks.sources.parsed import RefusedInputError
from gmt_tasks.sources.source import SourceBlock
from models.errors import Reason, SourceError

CUBE = [4.0, 0.0, 0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 4.0]


def row(n_atoms: int = 2, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "id": f"id-{seed}",
        "lattice": (np.array(CUBE) + 0.01 * random.random(9)).tolist(),
        "species": random.integers(1, 90, n_atoms).tolist(),
        "frac_coords": random.random(3 * n_atoms).tolist(),
    }


def write(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, **options)
    return path


def read(path: Path, start: int = 0) -> list[SourceBlock]:
    return list(TableFile(path, path.name).blocks(0, start))


def by_loop(rows: list[dict[str, Any]]) -> list[Any]:
    """The oracle: every row on its own, through the JSON reader."""
    results: list[Any] = []
    for record in rows:
        try:
            results.append(parse_record(record))
        except RefusedInputError as refused:
            results.append(refused.reason)
    return results


_ROW = st.builds(row, st.integers(0, 4), st.integers(0, 10_000))
_FAULTS = st.sampled_from(["none", "no lattice", "short lattice", "hole", "no species", "zero", "coords", "no coords"])


def spoil(record: dict[str, Any], fault: str) -> dict[str, Any]:
    """A row with one fault."""
    changes: dict[str, dict[str, Any]] = {
        "none": {},
        "no lattice": {"lattice": None},
        "short lattice": {"lattice": CUBE[:8]},
        "hole": {"lattice": [*CUBE[:8], None]},
        "no species": {"species": None},
        "zero": {"species": [0] * len(record["species"])},
        "coords": {"frac_coords": [*record["frac_coords"], 0.5]},
        "no coords": {"frac_coords": None},
    }
    return {**record, **changes[fault]}


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(_ROW, _FAULTS), min_size=1, max_size=12))
def test_columnar_reading_equals_reading_row_by_row(drawn: list[tuple[dict[str, Any], str]]) -> None:
    rows = [spoil(record, fault) for record, fault in drawn]
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("lattice", pa.list_(pa.float64())),
            ("species", pa.list_(pa.int64())),
            ("frac_coords", pa.list_(pa.float64())),
        ]
    )
    block = read_batch(pa.RecordBatch.from_pylist(rows, schema=schema), "f", 0, 100)
    expected = by_loop(rows)
    assert (block.start, block.stop) == (100, 100 + len(rows))
    refused = {item.position - 100 for item in block.rejected}
    # A NaN inside the lattice is a value for JSON and a null for a table: both refuse the row.
    assert refused == {k for k, result in enumerate(expected) if isinstance(result, Reason)}
    assert (block.positions - 100).tolist() == [k for k in range(len(rows)) if k not in refused]
    for crystal, k in enumerate(sorted(set(range(len(rows))) - refused)):
        atoms = slice(*block.crystals.first_atom[crystal : crystal + 2])
        assert np.array_equal(block.crystals.lattice[crystal], expected[k].lattice)
        assert np.array_equal(block.crystals.frac_coords[atoms], expected[k].frac_coords)
        assert np.array_equal(block.crystals.numbers[atoms], expected[k].numbers)


@pytest.mark.parametrize("kind", ["flat", "nested", "fixed", "symbols", "dictionary", "float32", "large"])
def test_every_layout_of_the_columns_gives_the_same_crystals(tmp_path: Path, kind: str) -> None:
    rows = [{**row(2, k), "species": [22, 8]} for k in range(5)]
    types: dict[str, Any] = {"lattice": pa.list_(pa.float64()), "species": pa.list_(pa.uint8())}
    types["frac_coords"] = pa.list_(pa.float64())
    if kind == "nested":
        types |= {"lattice": pa.list_(pa.list_(pa.float64())), "frac_coords": pa.list_(pa.list_(pa.float64()))}
    elif kind == "fixed":
        types |= {"lattice": pa.list_(pa.float64(), 9), "frac_coords": pa.list_(pa.list_(pa.float64(), 3))}
    elif kind == "float32":
        types |= {"lattice": pa.list_(pa.float32())}
    elif kind == "large":
        types |= {name: pa.large_list(kind_.value_type) for name, kind_ in types.items()}
    elif kind == "symbols":
        types["species"] = pa.list_(pa.string())
    elif kind == "dictionary":
        types["species"] = pa.list_(pa.dictionary(pa.int32(), pa.string()))
    written = []
    for record in rows:
        lattice, coords = np.array(record["lattice"]), np.array(record["frac_coords"])
        written.append(
            {
                "lattice": (lattice.reshape(3, 3) if kind == "nested" else lattice).tolist(),
                "species": ["Ti", "O"] if kind in ("symbols", "dictionary") else [22, 8],
                "frac_coords": (coords.reshape(-1, 3) if kind in ("nested", "fixed") else coords).tolist(),
            }
        )
    table = pa.table({name: pa.array([r[name] for r in written], kind_) for name, kind_ in types.items()})
    pq.write_table(table, tmp_path / "t.parquet")
    (block,) = read(tmp_path / "t.parquet")
    assert not block.rejected
    assert np.allclose(block.crystals.lattice.reshape(5, 9), [r["lattice"] for r in rows], atol=1e-6)
    assert np.allclose(block.crystals.frac_coords.reshape(5, 6), [r["frac_coords"] for r in rows])
    assert block.crystals.numbers.tolist() == [22, 8] * 5
    assert block.source_ids[3] == "t.parquet#3"


def test_unknown_symbols_cost_their_row_and_isotopes_leave_a_note(tmp_path: Path) -> None:
    rows = [{**row(2, k), "species": species} for k, species in enumerate([["Ti", "O"], ["Qq", "O"], ["D", "O2-"]])]
    (block,) = read(write(tmp_path / "t.parquet", rows))
    assert [(item.position, item.reason) for item in block.rejected] == [(1, Reason.UNKNOWN_SPECIES)]
    assert block.crystals.numbers.tolist() == [22, 8, 1, 8]
    assert block.metadata[0] is None
    assert "isotope_merged" in json.loads(block.metadata[1] or "")["notes"][0]


def test_ragged_triples_are_refused_although_the_total_fits(tmp_path: Path) -> None:
    good = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]
    ragged = [[0.0, 0.0], [0.0, 0.5, 0.5, 0.5]]
    rows = [{"lattice": CUBE, "species": [11, 17], "frac_coords": coords} for coords in (good, ragged)]
    (block,) = read(write(tmp_path / "t.parquet", rows))
    assert block.positions.tolist() == [0]
    assert block.rejected[0].reason is Reason.PARSE


def test_other_columns_travel_as_json(tmp_path: Path) -> None:
    extras = [
        {"gap": None, "flag": None, "n": None, "text": None, "list": None},
        {"gap": 1.5, "flag": True, "n": 3, "text": "plain", "list": [1, 2]},
        {"gap": float("nan"), "flag": None, "n": None, "text": 'quote " \\ and \n', "list": None},
        {"gap": None, "flag": False, "n": -1, "text": "Å", "list": []},
    ]
    rows = [{**row(1, k), **extra} for k, extra in enumerate(extras)]
    (block,) = read(write(tmp_path / "t.parquet", rows))
    expected = [
        {key: value for key, value in extra.items() if value is not None and value == value} for extra in extras
    ]
    assert [json.loads(text or "{}") for text in block.metadata] == expected


def test_reading_continues_at_any_row(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", [{**row(1), "id": f"id-{k}"} for k in range(10_000)], row_group_size=7000)
    for start in (0, 1, 4095, 4096, 6999, 7000, 9999):
        blocks = read(path, start)
        assert [position for block in blocks for position in block.positions] == list(range(start, 10_000))
        assert [name for block in blocks for name in block.source_ids] == [f"id-{k}" for k in range(start, 10_000)]
        assert all(block.stop - block.start <= 4096 for block in blocks)


def test_a_row_group_that_cannot_be_decoded_costs_its_own_rows(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", [row(4, k) for k in range(300)], row_group_size=100, compression="gzip")
    chunk = pq.ParquetFile(path).metadata.row_group(1).column(1)
    data = bytearray(path.read_bytes())
    middle = chunk.data_page_offset + chunk.total_compressed_size // 2
    data[middle : middle + 40] = b"\xff" * 40
    path.write_bytes(bytes(data))
    blocks = read(path)
    accepted = {int(position) for block in blocks for position in block.positions}
    rejected = {item.position for block in blocks for item in block.rejected}
    assert accepted == {*range(100), *range(200, 300)}
    assert rejected == set(range(100, 200))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"id": ["a"], "species": [[1]]}, "no column lattice, frac_coords"),
        ({"lattice": [1.0], "species": [[1]], "frac_coords": [[0.0]]}, "expected a list"),
    ],
)
def test_a_table_without_crystals_is_an_error_that_names_the_columns(tmp_path: Path, table: Any, message: str) -> None:
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    with pytest.raises(SourceError, match=message):
        TableFile(tmp_path / "t.parquet", "t.parquet")


def test_a_table_that_announces_more_rows_than_bytes_is_refused(tmp_path: Path) -> None:
    empty = pa.array([None] * 2_000_000, pa.list_(pa.float64()))
    table = pa.table(dict.fromkeys(("lattice", "species", "frac_coords"), empty))
    pq.write_table(table, tmp_path / "t.parquet", compression="zstd")
    with pytest.raises(SourceError, match="announces 2000000 rows"):
        TableFile(tmp_path / "t.parquet", "t.parquet")


def test_a_file_that_is_no_parquet_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_text("hello")
    with pytest.raises(SourceError, match="not a readable Parquet"):
        TableFile(tmp_path / "t.parquet", "t.parquet")


@pytest.mark.parametrize("bad", [0, 7, 19])
def test_a_value_that_python_cannot_hold_costs_its_row_and_not_the_row_group(tmp_path: Path, bad: int) -> None:
    """A date beyond the year 9999 in a column that merely travels along."""
    table = pa.Table.from_pylist([row(seed=k) for k in range(20)])
    times = [2**62 if k == bad else k for k in range(20)]
    pq.write_table(table.append_column("when", pa.array(times, pa.timestamp("us"))), tmp_path / "a.parquet")
    (block,) = read(tmp_path / "a.parquet")
    assert block.source_ids == [f"id-{k}" for k in range(20) if k != bad]
    (rejected,) = block.rejected
    assert (rejected.position, rejected.reason) == (bad, Reason.PARSE) and "OverflowError" in rejected.detail
    assert all("1970-01-01" in str(text) for text in block.metadata)
