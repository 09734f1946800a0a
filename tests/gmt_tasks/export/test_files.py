"""Files of hits and of a whole database: nothing is lost on the way, and no half file has the name of a whole one."""

import csv
from pathlib import Path

import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from pymatgen.core import Structure
from pymatgen.io.cif import CifParser

from db.query.properties import DESCRIPTIONS, PROPERTIES
from db.query.request import Request
from db.store import ResultStore
from gmt_tasks.export import parquet
from gmt_tasks.export.files import ExportFormat, export, format_of
from gmt_tasks.export.parquet import write_database
from gmt_tasks.export.structure_text import ExportError, StructureFormat
from models.quantities import Tensor
from models.tensors.voigt import to_printed

ALL = Request("", fields=tuple(PROPERTIES), sort="-k_vrh_gpa", limit=0)


def test_parquet_holds_what_the_database_holds_with_unit_and_meaning(store: ResultStore, tmp_path: Path) -> None:
    out = tmp_path / "hits.parquet"
    assert export(store, ALL, ExportFormat.PARQUET, out).n_hits == 15
    table = pq.read_table(out)
    hits = store.tensors(sort="-k_vrh_gpa", limit=0, fields=list(PROPERTIES))
    assert table["id"].to_pylist() == hits.ids
    for name in PROPERTIES:
        assert table[name].to_pylist() == [row[name] for row in hits.rows], name
        metadata = table.schema.field(name).metadata
        assert metadata[b"unit"].decode() == DESCRIPTIONS[name].unit
    for tensor, name in ((Tensor.ELASTIC, "elastic_voigt"), (Tensor.PIEZOELECTRIC, "piezoelectric_voigt")):
        wanted = to_printed(tensor, hits.tensors[tensor]).reshape(15, -1)
        assert np.array_equal(np.array(table[name].to_pylist()), wanted)
    assert np.array_equal(np.array(table["lattice"].to_pylist()).reshape(-1, 3, 3), hits.crystals.lattice)
    atoms = [z for row in table["species"].to_pylist() for z in row]
    assert atoms == hits.crystals.numbers.tolist()
    coords = [value for row in table["frac_coords"].to_pylist() for value in row]
    assert coords == hits.crystals.frac_coords.ravel().tolist()
    assert [len(row) for row in table["frac_coords"].to_pylist()] == [
        3 * len(row) for row in table["species"].to_pylist()
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["hits.parquet"]


def test_csv_has_a_column_per_tensor_component(store: ResultStore, tmp_path: Path) -> None:
    out = tmp_path / "hits.csv"
    assert (
        export(store, Request("", ("formula", "source_ids", "k_vrh_gpa"), limit=4), ExportFormat.CSV, out).n_hits == 4
    )
    rows = list(csv.DictReader(out.open(encoding="utf-8")))
    hits = store.tensors(limit=4, fields=["formula", "source_ids", "k_vrh_gpa"])
    for place, row in enumerate(rows):
        assert row["source_ids"] == ";".join(hits.rows[place]["source_ids"])
        assert float(row["k_vrh_gpa"]) == hits.rows[place]["k_vrh_gpa"]
        assert float(row["elastic_voigt_12"]) == hits.tensors[Tensor.ELASTIC][place, 0, 1]
        assert float(row["piezoelectric_voigt_36"]) == hits.tensors[Tensor.PIEZOELECTRIC][place, 2, 0, 1]


@pytest.mark.parametrize("format", [ExportFormat.CIF, ExportFormat.POSCAR])
def test_folders_hold_a_file_per_crystal(store: ResultStore, tmp_path: Path, format: ExportFormat) -> None:
    assert export(store, Request("", ("formula",), limit=3), format, tmp_path / "out").n_hits == 3
    assert len(list((tmp_path / "out").glob(f"*.{StructureFormat(format.value)}"))) == 3
    with pytest.raises(ExportError, match="needs a file"):
        export(store, ALL, ExportFormat.CSV, tmp_path / "out")


def test_a_file_that_is_named_holds_all_hits_of_a_cif_and_one_of_a_poscar(store: ResultStore, tmp_path: Path) -> None:
    assert export(store, Request("", ("formula",), limit=3), ExportFormat.CIF, tmp_path / "hits.cif").n_hits == 3
    read = CifParser(tmp_path / "hits.cif").parse_structures(primitive=False)
    hits = store.structures(limit=3, fields=["formula"])
    assert [each.composition for each in read] == [each.composition for each in hits]
    assert export(store, Request("", ("formula",), limit=1), ExportFormat.POSCAR, tmp_path / "hit.vasp").n_hits == 1
    written = Structure.from_str((tmp_path / "hit.vasp").read_text(encoding="utf-8"), fmt="poscar")
    assert written.composition == hits[0].composition
    with pytest.raises(ExportError, match="holds one crystal"):
        export(store, Request("", ("formula",), limit=2), ExportFormat.POSCAR, tmp_path / "two.vasp")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hit.vasp", "hits.cif"]


def test_a_database_is_partitioned_by_model_and_cut_into_files(
    store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROWS_PER_FILE", 1)  # as many rows as a block has
    written = write_database(store, tmp_path / "all")
    assert written == {"results": 24, "inputs": 24, "models": 2}
    results = ds.dataset(tmp_path / "all" / "results", partitioning="hive")
    table = results.to_table(columns=["id", "model", "k_vrh_gpa"])
    assert sorted(table["model"].to_pylist()) == ["toy@1"] * 15 + ["toy@2"] * 9
    newest = store.query(fields=["id"], limit=0, model="toy@2")["id"].tolist()
    assert sorted(results.to_table(filter=ds.field("model") == "toy@2")["id"].to_pylist()) == newest
    inputs = pq.read_table(tmp_path / "all" / "inputs")
    assert set(inputs["outcome"].to_pylist()) == {"accepted"}
    with pytest.raises(ExportError, match="holds an export already"):
        write_database(store, tmp_path / "all")


def test_a_broken_export_leaves_no_file_of_that_name(store: ResultStore, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no property"):
        export(store, Request("zork > 1", ("id",)), ExportFormat.CSV, tmp_path / "hits.csv")
    assert not (tmp_path / "hits.csv").exists()


def test_names_of_files_say_their_format() -> None:
    assert format_of(Path("a.XYZ")) is ExportFormat.EXTXYZ
    assert format_of(Path("a/b.vasp")) is ExportFormat.POSCAR
    assert format_of(Path("a")) is None


def test_hits_by_python_are_those_of_the_table(store: ResultStore) -> None:
    table = store.query("k_vrh_gpa > 20", sort="-k_vrh_gpa", limit=5)
    structures = store.structures("k_vrh_gpa > 20", fields=["k_vrh_gpa"], sort="-k_vrh_gpa", limit=5)
    assert [structure.properties["id"] for structure in structures] == table["id"].tolist()
    assert [structure.properties["k_vrh_gpa"] for structure in structures] == table["k_vrh_gpa"].tolist()
    shown = store.show(table["id"][0])
    assert np.array_equal(structures[0].lattice.matrix, shown["lattice"])
    assert [site.specie.Z for site in structures[0]] == shown["numbers"].tolist()
    hits = store.tensors("k_vrh_gpa > 20", sort="-k_vrh_gpa", limit=5)
    for tensor, values in hits.tensors.items():
        assert np.array_equal(values[0], shown["results"][0]["tensors"][tensor.value])
