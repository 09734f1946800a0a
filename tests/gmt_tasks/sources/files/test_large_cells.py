"""Cells above the atom limit, in every format: the crystal that they repeat passes, anything else is too large."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from db.records import IngestedBlock
from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.sources.files.tables.parquet import TableFile
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.source import SourceBlock
from models.crystals.primitive import MAX_LISTED_ATOMS
from models.errors import Reason
from tests.gmt_tasks.sources.files.hostile_files import cif

N_CELLS = 11
EDGE = 4.1
CELL = {"lattice": (EDGE * np.eye(3)).ravel().tolist(), "species": [55, 17], "frac_coords": [0.0] * 3 + [0.5] * 3}


def grid() -> np.ndarray:
    """Fractional coordinates of the corners of 11 x 11 x 11 cells, shape [1331, 3]."""
    axes = np.arange(N_CELLS) / N_CELLS
    return np.stack(np.meshgrid(axes, axes, axes, indexing="ij"), axis=-1).reshape(-1, 3)


def listed() -> dict[str, list[float] | list[int]]:
    """Caesium chloride as a cell of 2,662 atoms."""
    corners = grid()
    frac = np.concatenate([corners, corners + 0.5 / N_CELLS])
    species = [55] * len(corners) + [17] * len(corners)
    return {
        "lattice": (EDGE * N_CELLS * np.eye(3)).ravel().tolist(),
        "species": species,
        "frac_coords": frac.ravel().tolist(),
    }


def text_of(kind: str, n_left_out: int = 0) -> str:
    """The large cell in a text format, without its last atoms."""
    cell = listed()
    length = EDGE * N_CELLS
    symbols = ["Cs" if number == 55 else "Cl" for number in cell["species"]]
    frac = np.array(cell["frac_coords"]).reshape(-1, 3)
    atoms = list(zip(symbols, frac.tolist(), strict=True))[: len(symbols) - n_left_out]
    if kind == "cif":
        sites = "\n".join(
            f"{symbol}{k} {symbol} {x:.7f} {y:.7f} {z:.7f} 1" for k, (symbol, (x, y, z)) in enumerate(atoms)
        )
        return cif(a=str(length), sites=sites).replace(" 4.0", f" {length}")
    if kind == "vasp":
        counts = [sum(symbol == wanted for symbol, _ in atoms) for wanted in ("Cs", "Cl")]
        rows = "\n".join(f"{x:.12f} {y:.12f} {z:.12f}" for _, (x, y, z) in atoms)
        box = f"{length} 0 0\n0 {length} 0\n0 0 {length}"
        return f"cell\n1.0\n{box}\nCs Cl\n{counts[0]} {counts[1]}\nDirect\n{rows}\n"
    if kind == "extxyz":
        rows = "\n".join(f"{symbol} {x * length:.8f} {y * length:.8f} {z * length:.8f}" for symbol, (x, y, z) in atoms)
        return (
            f'{len(atoms)}\nLattice="{length} 0 0 0 {length} 0 0 0 {length}" Properties=species:S:1:pos:R:3\n{rows}\n'
        )
    flat = [number for _, position in atoms for number in position]
    return json.dumps({"lattice": cell["lattice"], "species": [s for s, _ in atoms], "frac_coords": flat}) + "\n"


pytestmark = pytest.mark.usefixtures("shared_children")


def ingested(path: Path) -> IngestedBlock:
    (block,) = open_source(str(path)).blocks()
    return ingest_block(path.name, block)


@pytest.mark.parametrize("kind", ["cif", "vasp", "extxyz", "jsonl"])
def test_a_large_cell_in_a_text_is_the_crystal_it_repeats(tmp_path: Path, kind: str) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / f"0.{kind}").write_text(text_of(kind))
    (tmp_path / "large" / f"1.{kind}").write_text(text_of(kind, 1))
    (tmp_path / "large" / "2.json").write_text(json.dumps(CELL))
    block = ingested(tmp_path / "large")
    assert block.positions.tolist() == [0, 2]
    assert block.crystal_ids[0] == block.crystal_ids[1]
    assert np.allclose(np.abs(block.crystals.lattice[0]).max(axis=1), EDGE)
    assert "reduced_to_primitive: 2662 atoms listed, 2 in" in (block.metadata[0] or "")
    assert [(item.position, item.reason) for item in block.rejected] == [(1, Reason.TOO_LARGE)]
    assert "2661 atoms" in block.rejected[0].detail


def test_large_rows_of_a_table_are_the_crystals_they_repeat_and_the_others_stay(tmp_path: Path) -> None:
    large = listed()
    broken = {**large, "species": [*large["species"][:-1], 53]}
    rows = [CELL, large, CELL, broken, large]
    pq.write_table(
        pa.Table.from_pylist([{"gap": float(k), **row} for k, row in enumerate(rows)]), tmp_path / "t.parquet"
    )
    block = ingested(tmp_path / "t.parquet")
    assert block.positions.tolist() == [0, 1, 2, 4]
    assert len(set(block.crystal_ids)) == 1
    assert block.crystals.atoms_per_crystal.tolist() == [2, 2, 2, 2]
    notes = [json.loads(text or "{}") for text in block.metadata]
    assert [set(note) for note in notes] == [{"gap"}, {"gap", "notes"}, {"gap"}, {"gap", "notes"}]
    assert [(item.position, item.reason) for item in block.rejected] == [(3, Reason.TOO_LARGE)]


def test_rows_beyond_what_is_looked_at_are_refused_by_the_reader(tmp_path: Path) -> None:
    n_atoms = MAX_LISTED_ATOMS + 1
    huge = {"lattice": CELL["lattice"], "species": [1] * n_atoms, "frac_coords": [0.0] * (3 * n_atoms)}
    pq.write_table(pa.Table.from_pylist([CELL, huge, CELL]), tmp_path / "t.parquet")
    (block,) = TableFile(tmp_path / "t.parquet", "t").blocks(0)
    assert block.positions.tolist() == [0, 2]
    assert [item.reason for item in block.rejected] == [Reason.TOO_LARGE]


def test_long_rows_come_in_short_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gmt_tasks.sources.files.tables.parquet.VALUES_PER_BLOCK", 120)
    pq.write_table(pa.Table.from_pylist([CELL] * 100), tmp_path / "t.parquet")
    blocks: list[SourceBlock] = list(TableFile(tmp_path / "t.parquet", "t").blocks(0))
    assert max(block.stop - block.start for block in blocks) == 120 // 9
    assert [position for block in blocks for position in block.positions.tolist()] == list(range(100))
