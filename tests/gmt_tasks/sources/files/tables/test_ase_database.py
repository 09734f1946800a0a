"""ASE databases: rows as ASE writes them give their crystals, odd ones a reason."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gmt_tasks.sources.files.tables.ase_database import ROWS_PER_BLOCK, AseDatabase
from models.errors import Reason, SourceError

LATTICE = np.array([[4.0, 0.2, 0.0], [0.0, 5.0, 0.1], [0.3, 0.0, 6.0]])
FRAC = np.array([[0.0, 0.0, 0.0], [0.3, 0.4, 0.5]])
SOUND: dict[str, Any] = {
    "numbers": np.array([56, 8], dtype="<i4").tobytes(),
    "positions": (FRAC @ LATTICE).astype("<f8").tobytes(),
    "cell": LATTICE.astype("<f8").tobytes(),
    "pbc": 7,
    "key_value_pairs": '{"gap": 1.5}',
}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A database with the columns of ASE's table that matter here, and one that does not."""
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE systems (id INTEGER PRIMARY KEY AUTOINCREMENT, unique_id TEXT UNIQUE, ctime REAL, "
            "numbers BLOB, positions BLOB, cell BLOB, pbc INTEGER, key_value_pairs TEXT)"
        )
        for row in rows:
            connection.execute(
                "INSERT INTO systems (numbers, positions, cell, pbc, key_value_pairs) "
                "VALUES (:numbers, :positions, :cell, :pbc, :key_value_pairs)",
                row,
            )
    connection.close()
    return path


def test_a_row_gives_its_crystal_and_its_pairs(tmp_path: Path) -> None:
    (block,) = AseDatabase(write(tmp_path / "a.db", [SOUND]), "a.db").blocks(100)
    assert (block.start, block.stop, block.source_ids) == (100, 101, ["a.db#0"])
    assert np.allclose(block.crystals.lattice[0], LATTICE) and np.allclose(block.crystals.frac_coords, FRAC)
    assert block.crystals.numbers.tolist() == [56, 8]
    assert block.metadata == ['{"gap": 1.5}']


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cell": None}, Reason.PARSE),
        ({"cell": SOUND["cell"][:-8]}, Reason.PARSE),
        ({"cell": bytes(72)}, Reason.DEGENERATE_CELL),
        ({"cell": np.full(9, np.nan).tobytes()}, Reason.NONFINITE),
        ({"positions": SOUND["positions"][:-8]}, Reason.PARSE),
        ({"positions": "text"}, Reason.PARSE),
        ({"numbers": np.array([0, 8], dtype="<i4").tobytes()}, Reason.UNKNOWN_SPECIES),
    ],
)
def test_an_odd_row_costs_itself(tmp_path: Path, change: dict[str, Any], reason: Reason) -> None:
    (block,) = AseDatabase(write(tmp_path / "a.db", [SOUND, SOUND | change, SOUND]), "a.db").blocks(0)
    assert block.positions.tolist() == [0, 2]
    assert [(item.position, item.reason) for item in block.rejected] == [(1, reason)]


@pytest.mark.parametrize("start", [0, 5, ROWS_PER_BLOCK - 1, ROWS_PER_BLOCK, ROWS_PER_BLOCK + 9])
def test_reading_continues_at_any_row(tmp_path: Path, start: int) -> None:
    n_rows = ROWS_PER_BLOCK + 10
    blocks = list(AseDatabase(write(tmp_path / "a.db", [SOUND] * n_rows), "a.db").blocks(0, start))
    assert [position for block in blocks for position in block.positions] == list(range(start, n_rows))


def test_wide_numbers_slabs_and_unreadable_pairs_are_taken(tmp_path: Path) -> None:
    odd = {"numbers": np.array([56, 8], dtype="<i8").tobytes(), "pbc": 3, "key_value_pairs": "{"}
    (block,) = AseDatabase(write(tmp_path / "a.db", [SOUND | odd]), "a.db").blocks(0)
    assert block.crystals.numbers.tolist() == [56, 8] and "pbc" in (block.metadata[0] or "")


def test_another_database_is_an_error_that_says_so(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "b.db").execute("CREATE TABLE crystals (id)").connection.close()
    (tmp_path / "c.db").write_text("no database at all")
    for name in ("b.db", "c.db"):
        with pytest.raises(SourceError, match="not a readable ASE database"):
            AseDatabase(tmp_path / name, name)


def test_pairs_that_are_no_utf8_cost_no_other_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.db", [SOUND] * 3)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE systems SET key_value_pairs = CAST(x'7b2261223a2022ff227d' AS TEXT) WHERE id = 2")
    connection.close()
    (block,) = AseDatabase(path, "a.db").blocks(0)
    assert block.positions.tolist() == [0, 1, 2] and block.rejected == []
    assert block.metadata[0] == block.metadata[2] == '{"gap": 1.5}'
    assert json.loads(str(block.metadata[1])) == {"a": "\N{REPLACEMENT CHARACTER}"}
