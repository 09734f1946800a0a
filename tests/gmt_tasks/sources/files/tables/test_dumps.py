"""Public dumps as Parquet: columns of OPTIMADE and ASE, structures as objects and as JSON text, what columns state."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmt_tasks.sources.files.tables.parquet import TableFile, read_batch
from gmt_tasks.sources.files.tables.stated_columns import _simple_formulas
from gmt_tasks.sources.json_records import parse_record
from gmt_tasks.sources.parsed import ParsedCrystal, RefusedInputError
from gmt_tasks.sources.source import SourceBlock
from models.crystals.crystal import SYMBOLS, reduced_formula
from models.crystals.formula import parse_formula
from models.errors import Doubt, Reason, SourceError
from tests.gmt_tasks.sources.dumps import SAMPLES, Sample, ase_old, entry, optimade, pymatgen, sample


def declared(crystal: Sample) -> list[dict[str, Any]]:
    names = sorted(set(crystal.symbols))
    return [{"name": s, "chemical_symbols": [s], "concentration": [1.0], "mass": None} for s in names]


def lemat(crystal: Sample, **more: Any) -> dict[str, Any]:
    elements = sorted(set(crystal.symbols))
    return {"immutable_id": crystal.name, **optimade(crystal), "elements": elements, **more}


ROWS: dict[str, Callable[[Sample], dict[str, Any]]] = {
    "OPTIMADE": lemat,
    "OPTIMADE with species": lambda s: lemat(s, species=declared(s)),
    "OPTIMADE with species as text": lambda s: lemat(s, species=json.dumps(declared(s))),
    "ASE": lambda s: {k: v for k, v in ase_old(s).items() if k != "key_value_pairs"} | {"material_id": s.name},
    "structure object": lambda s: {"material_id": s.name, "structure": pymatgen(s), "gap": 1.5},
    "structure as JSON text": lambda s: {"material_id": s.name, "structure": json.dumps(pymatgen(s))},
    "entry object": lambda s: {"mat_id": s.name, "computed_structure_entry": {"structure": pymatgen(s)}},
    "entry as JSON text": lambda s: {"mat_id": s.name, "entry": json.dumps(entry(s))},
    "pymatgen, flat": lambda s: {"id": s.name, "lattice": pymatgen(s)["lattice"], "sites": pymatgen(s)["sites"]},
    "JARVIS, flat": lambda s: {
        "jid": s.name,
        "lattice_mat": s.lattice.tolist(),
        "coords": s.frac_coords.tolist(),
        "elements": s.symbols,
    },
    "ours, index of pandas": lambda s: {
        "lattice": s.lattice.tolist(),
        "species": s.symbols,
        "frac_coords": s.frac_coords.tolist(),
        "__index_level_0__": s.name,
    },
}
COLUMNAR = ("OPTIMADE", "ASE")


def read(path: Path, rows: Sequence[dict[str, Any]]) -> SourceBlock:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    (block,) = TableFile(path, path.name).blocks(0)
    return block


@pytest.mark.parametrize("shape", ROWS)
@settings(max_examples=15, deadline=None)
@given(samples=SAMPLES)
def test_every_table_gives_its_crystals_and_their_ids_in_order(
    tmp_path_factory: pytest.TempPathFactory, shape: str, samples: list[Sample]
) -> None:
    block = read(tmp_path_factory.getbasetemp() / "t.parquet", [ROWS[shape](s) for s in samples])
    assert not block.rejected and block.source_ids == [s.name for s in samples]
    assert np.array_equal(block.crystals.lattice, [s.lattice for s in samples])
    assert np.allclose(block.crystals.frac_coords, np.concatenate([s.frac_coords for s in samples]), atol=1e-12)
    assert np.array_equal(block.crystals.numbers, np.concatenate([s.numbers for s in samples]))
    assert not any("notes" in (text or "") for text in block.metadata)


FAULTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "none": lambda row: {},
    "no lattice": lambda row: {"lattice_vectors": None},
    "NaN in the lattice": lambda row: {"lattice_vectors": [[1.0, 0, 0], [0, 1.0, 0], [0, 0, float("inf")]]},
    "flat": lambda row: {"lattice_vectors": [[1.0, 0, 0], [0, 1.0, 0], [1.0, 1.0, 0]]},
    "infinite position": lambda row: {"cartesian_site_positions": [[float("inf")] * 3] * row["nsites"]},
    "a position too much": lambda row: {"cartesian_site_positions": [[0.0] * 3] * (row["nsites"] + 1)},
    "no element": lambda row: {"species_at_sites": ["Qq"] * row["nsites"]},
    "other formula": lambda row: {"chemical_formula_reduced": "LvOg"},
    "formula with groups": lambda row: {"chemical_formula_reduced": f"({row['chemical_formula_reduced']})2"},
    "other formula with groups": lambda row: {"chemical_formula_reduced": "(LvOg)2"},
    "no formula": lambda row: {"chemical_formula_reduced": "AB2"},
    "formula is null": lambda row: {"chemical_formula_reduced": None},
    "other elements": lambda row: {"elements": [*row["elements"], "Og"]},
    "other count": lambda row: {"nsites": row["nsites"] + 1},
    "slab": lambda row: {"dimension_types": [1, 1, 0]},
    "two axes": lambda row: {"nperiodic_dimensions": 2},
    "assemblies": lambda row: {"structure_features": ["assemblies"]},
    "deuterium": lambda row: {
        "species_at_sites": ["D"] * row["nsites"], "chemical_formula_reduced": "H", "elements": ["H"]
    },
}  # fmt: skip


def by_record(row: dict[str, Any]) -> ParsedCrystal | Reason:
    """The oracle: the row on its own, through the JSON reader."""
    try:
        return parse_record({name: value for name, value in row.items() if value is not None})
    except RefusedInputError as refused:
        return refused.reason


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.builds(sample, st.integers(0, 999), st.integers(1, 4)), st.sampled_from(sorted(FAULTS)))))
def test_columnar_reading_of_optimade_equals_reading_row_by_row(drawn: list[tuple[Sample, str]]) -> None:
    drawn = [(sample(1, 2), "none"), *drawn]
    rows = [lemat(s, structure_features=[]) | FAULTS[fault](lemat(s)) for s, fault in drawn]
    batch = pa.RecordBatch.from_pylist(rows)
    block = read_batch(batch, "f", 0, 0)
    expected = [by_record(row) for row in rows]
    reasons = {item.position: item.reason for item in block.rejected}
    assert reasons == {k: result for k, result in enumerate(expected) if isinstance(result, Reason)}
    crystals = [result for result in expected if isinstance(result, ParsedCrystal)]
    assert block.crystals.n_crystals == len(crystals)
    for number, (crystal, text) in enumerate(zip(crystals, block.metadata, strict=True)):
        atoms = slice(*block.crystals.first_atom[number : number + 2])
        assert np.array_equal(block.crystals.lattice[number], crystal.lattice)
        assert np.allclose(block.crystals.frac_coords[atoms], crystal.frac_coords, atol=1e-9)
        assert np.array_equal(block.crystals.numbers[atoms], crystal.numbers)
        notes = json.loads(text or "{}").get("notes", [])
        assert sorted(note.split(":")[0] for note in notes) == sorted(n.split(":")[0] for n in crystal.notes)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.text("SiOMgHZr()0123456789 .xA", max_size=12)
        | st.from_regex(r"([A-Z][a-z]?[0-9]{0,7}){1,4}", fullmatch=True)
        | st.none(),
        min_size=1,
        max_size=20,
    )
)
def test_formulas_as_arrays_are_read_like_formulas_one_by_one(formulas: list[str | None]) -> None:
    padded = pa.array(["skipped", *formulas], pa.string()).slice(1)
    stated, is_read, is_other = _simple_formulas(padded, len(formulas))
    for row, text in enumerate(formulas):
        expected = parse_formula(text or "")
        if is_read[row]:
            found = {z: float(stated[row, z]) for z in np.flatnonzero(stated[row])}
            assert found == {z: n for z, n in (expected or {}).items() if n}, text
        elif not is_other[row]:
            assert expected is None, text


def test_mixtures_and_vacancies_are_explained_by_their_species(tmp_path: Path) -> None:
    crystal = Sample("a", 4 * np.eye(3), np.array([[0.0, 0, 0], [0.5, 0.5, 0.5]]), np.array([22, 8]))
    named = {**lemat(crystal), "species_at_sites": ["Ti1", "O"]}
    titanium = {"name": "Ti1", "chemical_symbols": ["Ti"], "concentration": [1.0]}
    mixed = {"name": "Ti1", "chemical_symbols": ["Ti", "vacancy"], "concentration": [0.5, 0.5]}
    oxygen = {"name": "O", "chemical_symbols": ["O"], "concentration": [1.0]}
    block = read(tmp_path / "t.parquet", [{**named, "species": [first, oxygen]} for first in (titanium, mixed)])
    assert block.crystals.numbers.tolist() == [22, 8] and block.source_ids == ["a"]
    assert [(item.position, item.reason) for item in block.rejected] == [(1, Reason.DISORDERED)]


def test_a_row_without_its_structure_costs_itself(tmp_path: Path) -> None:
    texts = [json.dumps(pymatgen(sample(1, 2))), None, '{broken "lattice"', "CIF text", json.dumps({"lattice": 1})]
    block = read(tmp_path / "t.parquet", [{"material_id": f"m{k}", "structure": text} for k, text in enumerate(texts)])
    assert block.positions.tolist() == [0]
    assert [(item.source_id, item.reason) for item in block.rejected] == [(f"m{k}", Reason.PARSE) for k in range(1, 5)]
    assert block.rejected[0].detail.startswith("t.parquet row 1: ")


def test_doubts_and_metadata_travel_together(tmp_path: Path) -> None:
    crystal = sample(4, 3)
    rows = [lemat(crystal, gap=1.5), lemat(crystal, gap=None, nsites=7, dimension_types=[1, 0, 1])]
    block = read(tmp_path / "t.parquet", rows)
    first, second = (json.loads(text or "{}") for text in block.metadata)
    assert first["gap"] == 1.5 and "notes" not in first
    assert [note.split(":")[0] for note in second["notes"]] == [Doubt.COMPOSITION, Doubt.PERIODICITY]
    assert second["chemical_formula_reduced"] == reduced_formula(crystal.numbers) and "immutable_id" not in second


def test_the_first_id_column_that_is_not_null_names_a_row(tmp_path: Path) -> None:
    crystal = sample(4, 1)
    rows = [lemat(crystal, id=None, material_id=1), lemat(crystal, id="own", material_id=2), lemat(crystal)]
    rows[2]["immutable_id"] = None
    assert read(tmp_path / "t.parquet", rows).source_ids == ["1", "own", "t.parquet#2"]


def test_tables_that_hold_crystals_in_two_ways_or_none_are_errors(tmp_path: Path) -> None:
    crystal = sample(4, 1)
    two = {**lemat(crystal), **ase_old(crystal)}
    for row, message in (
        (two, "Keep those of one"),
        ({"structures": 1}, "no column lattice"),
        ({"a": "x"}, "no column"),
    ):
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / "t.parquet")
        with pytest.raises(SourceError, match=message):
            TableFile(tmp_path / "t.parquet", "t.parquet")


def test_every_symbol_is_known_to_the_arrays() -> None:
    stated, is_read, _ = _simple_formulas(pa.array(SYMBOLS[1:]), len(SYMBOLS) - 1)
    assert is_read.all() and np.array_equal(stated.argmax(axis=1), np.arange(1, len(SYMBOLS)))
