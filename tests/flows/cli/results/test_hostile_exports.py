"""Exports where something is in the way: a full disk, a signal, another export, a name that is no file, a formula."""

import csv
import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import ase.io
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.csv_cells import FORMULA_STARTS, csv_cell
from db.store import ResultStore
from gmt_tasks.export.structure_text import StructureFormat, file_name, structure_text
from gmt_tasks.export.whole_file import whole_file, whole_folder
from tests.db import blocks
from tests.flows.cli.results.test_results import db, run

__all__ = ["db"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["export", "", "--to", "missing/a.csv"], 2, "missing/a.csv: No such file or directory; make its folder first"),
        (["export", "", "--to", "missing/a.parquet"], 2, "missing/a.parquet: No such file"),
        (["export", "", "--to", "file/a", "--format", "cif"], 2, "a part of its path is a file"),
        (["export", "", "--to", "file", "--database"], 2, "file: File exists"),
        (["export", "", "--to", f"{'a' * 300}.csv"], 2, "File name too long"),
        (["export", "", "--to", "/dev/full", "--format", "csv"], 1, "No space left on device; free space"),
        (["export", "", "--to", "/dev/full", "--format", "parquet"], 1, "/dev/full: No space left on device"),
        (["query", "", "--format", "csv", "--out", "missing/a.csv"], 2, "make its folder first"),
        (["plot", "", "--x", "k_vrh_gpa", "--y", "g_vrh_gpa", "--out", "missing/a.html"], 2, "missing/a.html: No such"),
        (["surface", "made-0", "--out", "missing/a.html"], 2, "missing/a.html: No such"),
    ],
)
def test_what_the_system_refuses_is_said_in_one_line_that_names_the_file(
    db: str, words: list[str], code: int, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    result = run(*words, "--db", db)
    assert (result.exit_code, len(result.stderr.splitlines())) == (code, 1), result.stderr
    assert sentence in result.stderr
    assert "fault of gmtscreen" not in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_two_that_write_the_same_file_do_not_mix(tmp_path: Path) -> None:
    out = tmp_path / "a.csv"
    with whole_file(out) as first, whole_file(out) as second:
        for part in (first, second):
            part.write_text(part.name)
        written = second.name
    # The inner one ends first: the outer one's file stands at the end, whole.
    assert out.read_text() != written
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_a_folder_is_filled_at_once_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "export"

    def interrupted() -> None:
        with whole_folder(folder) as part:
            (part / "results").mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(folder.iterdir()) == []
    with whole_folder(folder) as part:
        (part / "results").mkdir()
        assert [path.name for path in folder.iterdir()] == [part.name]
    assert [path.name for path in folder.iterdir()] == ["results"]


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=12) | st.builds(lambda start, rest: start + rest, st.sampled_from(FORMULA_STARTS), st.text()))
def test_no_text_becomes_a_formula_or_breaks_a_row_or_steers_a_terminal(text: str) -> None:
    cell = csv_cell([text, "b"])
    assert not cell.startswith(FORMULA_STARTS) or len(cell) == 1
    assert all(character.isprintable() or character == "\n" for character in cell)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(min_size=1, max_size=40))
def test_files_of_structures_hold_any_id_and_are_read_back(text: str, tmp_path: Path) -> None:
    crystal = {
        "lattice": 4 * np.eye(3),
        "numbers": np.array([31, 33]),
        "frac_coords": np.array([[0.0] * 3, [0.25] * 3]),
    }
    result = {"model": text, "derived": {}, "trust": {}, "uncertainty": {}, "tensors": {}}
    facts = {"id": text, "formula": "AsGa", **crystal, "results": [result]}
    for format in StructureFormat:
        name = file_name(facts, format)
        assert Path(name).name == name
        (tmp_path / "a").write_text(structure_text(facts, format), encoding="utf-8")
        ase_format = {"poscar": "vasp"}.get(format, format)
        atoms = ase.io.read(tmp_path / "a", format=ase_format)
        assert sorted(atoms.numbers) == [31, 33]
    assert (atoms.info["formula"], atoms.info["id"]) == ("AsGa", "".join(filter(str.isprintable, text)))


@pytest.mark.parametrize("text", ["F", "32", "-43m", "1", "T", "1e5", "_JSON x", "nan", "0 0 0", 'a"b\\', ""])
def test_a_text_that_looks_like_something_else_stays_a_text(text: str) -> None:
    crystal = {"lattice": 4 * np.eye(3), "numbers": np.array([9]), "frac_coords": np.zeros((1, 3))}
    frame = structure_text({"id": text, "formula": "F", **crystal, "results": []}, StructureFormat.EXTXYZ)
    assert ase.io.read(io.StringIO(frame), format="extxyz").info == {"id": text, "formula": "F"}


def test_nothing_found_is_a_file_with_columns_and_no_rows(db: str, tmp_path: Path) -> None:
    for name in ("a.csv", "a.parquet", "a.extxyz"):
        assert run("export", "k_vrh_gpa < 0", "--to", str(tmp_path / name), "--db", db).exit_code == 0
    rows = list(csv.reader((tmp_path / "a.csv").open()))
    assert (len(rows), "elastic_voigt_11" in rows[0]) == (1, True)
    table = pq.read_table(tmp_path / "a.parquet")
    assert (table.num_rows, "elastic_voigt" in table.column_names) == (0, True)
    assert (tmp_path / "a.extxyz").read_text() == ""


@pytest.fixture(scope="module")
def large_db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose export takes longer than a signal."""
    path = tmp_path_factory.mktemp("large") / "large.db"
    with ResultStore(path) as store:
        blocks.work_off(store, blocks.filled(store, 500))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_half_file(large_db: Path, tmp_path: Path, number: signal.Signals) -> None:
    # A test that runs in the background of a shell ignores signals, and so would its children.
    listening = "import signal as s; s.signal(s.SIGINT, s.default_int_handler); s.signal(s.SIGHUP, s.SIG_DFL); "
    words = [sys.executable, "-c", f"{listening}from flows.cli.app import main; main()"]
    words += ["export", "", "--to", str(tmp_path / "a.extxyz"), "--db", str(large_db)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, start_new_session=True) as process:
        while process.poll() is None and not list(tmp_path.iterdir()):
            time.sleep(0.005)
        process.send_signal(number)
        process.wait(60)
    assert process.returncode != 0, "it was ended before it was done"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def reference_db(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Crystals under the ids that their content gives them."""
    path = str(tmp_path_factory.mktemp("reference") / "reference.db")
    assert run("ingest", "reference", "--db", path).exit_code == 0
    return path


def ids_in(db: str) -> set[str]:
    with ResultStore(db) as store:
        return {str(row["crystal_id"]) for row in store.dump() if row["table"] == "inputs"}


@pytest.mark.slow
@pytest.mark.parametrize("format", StructureFormat)
def test_what_is_exported_comes_back_as_the_same_crystals(
    reference_db: str, tmp_path: Path, format: StructureFormat
) -> None:
    folder, again = tmp_path / format, str(tmp_path / "again.db")
    folder.mkdir()
    with ResultStore(reference_db) as store:
        for crystal in ids_in(reference_db):
            facts = store.show(crystal)
            (folder / file_name(facts, format)).write_text(structure_text(facts, format), encoding="utf-8")
    result = run("ingest", str(folder), "--db", again)
    assert result.exit_code == 0, result.stderr
    assert ids_in(again) == ids_in(reference_db)
