"""The command line: help, exit codes, messages, and what each command prints."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from db.records import RunSpec
from db.store import ResultStore
from flows.cli import screen as cli_screen
from flows.cli.app import COMMANDS, app
from gmt_tasks.import_guard import REPOSITORY_ROOT
from gmt_tasks.ingest.blocks import IngestPlan
from gmt_tasks.process import new_holder
from gmt_tasks.runs.drive import ShardDriver
from gmt_tasks.runs.lifecycle import close_run, ingest_source
from gmt_tasks.workers import worker
from tests.flows.conftest import write_crystals
from tests.gmt_tasks.runs.test_drive import DirectPool, ListSource
from tests.gmt_tasks.workers.fake_screener import VERSION, FakeScreener

runner = CliRunner()


def run(*arguments: str) -> Any:
    """The outcome of a command line."""
    return runner.invoke(app, list(arguments))


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with a finished run: 6 inputs, 4 done, 1 duplicate, 1 rejected."""
    folder = tmp_path_factory.mktemp("db")
    path, plan = folder / "hits.db", IngestPlan(100, 8)
    source = ListSource([13, 7, 0, 6, 14, 31, 33], name="list [red]")
    with ResultStore(path) as store:
        store.register_model(VERSION, {"ewt25": 0.5})
        opened = store.open_run(RunSpec((source.name,), ("x",), VERSION, {"symprec": 0.01}))
        ingest_source(store, opened.id, source, plan)
        ShardDriver(store, opened.id, DirectPool(), new_holder()).drive()
        close_run(store, opened.id, 2.0)
    return str(path)


def commands() -> list[tuple[str, ...]]:
    """Every command as the words that call it."""
    return [(name,) if parent is app else (str(parent.info.name), name) for parent, name, _, _ in COMMANDS]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example_of_itself(words: tuple[str, ...]) -> None:
    result = run(*words, "--help")
    assert result.exit_code == 0
    assert f"Example: gmtscreen {' '.join(words)}" in " ".join(result.stdout.split())


def test_every_example_is_a_command_line_that_parses() -> None:
    import shlex

    root = typer.main.get_command(app)
    for _, _, _, example in COMMANDS:
        words = shlex.split(example)[1:]
        group, name = root, words[0]
        if name == "models":
            group, words = group.commands[name], words[1:]  # type: ignore[attr-defined]
        command = group.commands[words[0]]  # type: ignore[attr-defined]
        command.make_context(words[0], words[1:])


def test_the_promised_commands_exist() -> None:
    names = {" ".join(words) for words in commands()}
    promised = {"doctor", "screen", "predict", "status", "rejects", "show", "query", "train", "evaluate", "models list"}
    assert names >= promised


@pytest.mark.parametrize("arguments", [("--help",), ("query", "--db", "DB"), ("status", "--db", "DB")], ids=" ".join)
def test_help_and_reading_import_neither_torch_nor_ray_nor_prefect(db: str, arguments: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom flows.cli.app import main\n"
        "try: main()\nexcept SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'torch', 'ray', 'prefect', 'pymatgen', 'e3nn'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    command = [sys.executable, "-c", code, *(db if word == "DB" else word for word in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY_ROOT)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("status", "--db", "nowhere.db"), "no database"),
        (("screen", "nowhere.cif"), "nowhere.cif"),
        (("screen", "reference", "--symprec", "-1"), "symprec"),
        (("show", "zzzz", "--db", "DB"), "zzzz"),
        (("status", "99", "--db", "DB"), "run 99"),
        (("rejects", "99", "--db", "DB"), "run 99"),
        (("query", "zork > 1", "--db", "DB"), "zork"),
        (("query", "", "--fields", "zork", "--db", "DB"), "zork"),
        (("query", "", "--format", "parquet", "--db", "DB"), "--out"),
        (("query", "--limit", "many"), "limit"),
        (("zork",), "zork"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_usage_exits_with_2_and_says_what(db: str, arguments: tuple[str, ...], says: str) -> None:
    result = run(*(db if word == "DB" else word for word in arguments))
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_an_error_is_one_line(db: str) -> None:
    lines = run("show", "zzzz", "--db", db).stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("gmtscreen: ")


def test_a_filter_error_points_at_the_place(db: str) -> None:
    text = "k_vrh_gpa > 1 AND zork > 2"
    shown, caret, message = run("query", text, "--db", db).stderr.splitlines()
    assert shown.strip() == text
    assert caret.index("^") == shown.index("zork")
    assert "zork" in message


def test_no_password_reaches_an_error_message() -> None:
    result = run("status", "--db", "postgresql+psycopg://ana:s3cretpw@127.0.0.1:1/gmt")
    assert result.exit_code == 2
    assert "s3cretpw" not in result.output + result.stderr


def test_status_prints_the_promised_facts(db: str) -> None:
    (entry,) = json.loads(run("status", "--db", db, "--json").stdout)["runs"]
    counts = {key: entry[key] for key in ("in", "done", "duplicate", "rejected", "quarantined", "pending")}
    assert counts == {"in": 7, "done": 5, "duplicate": 1, "rejected": 1, "quarantined": 0, "pending": 0}
    assert (entry["run"], entry["state"], entry["model"]) == (1, "finished", "fake@1")
    assert entry["crystals_per_s"] > 0
    text = run("status", "1", "--db", db).stdout
    assert "list [red]" in text, "markup of a foreign text must be printed, not obeyed"


def test_rejects_prints_the_promised_facts_and_what_to_do(db: str) -> None:
    (entry,) = json.loads(run("rejects", "--db", db, "--json").stdout)
    assert set(entry) == {"source", "source_id", "stage", "reason", "detail"}
    assert (entry["source_id"], entry["reason"]) == ("i2", "unknown_species")
    assert "Replace dummy labels by elements." in run("rejects", "--db", db).stdout


@pytest.mark.parametrize("columns", [80, 100])
def test_tables_fit_the_terminal(db: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.reports import tables

    monkeypatch.setattr(tables, "PIPE_COLUMNS", columns)
    for arguments in (("status",), ("status", "1"), ("rejects",), ("query", ""), ("show", "i0")):
        result = run(*arguments, "--db", db)
        table = [line.rstrip() for line in result.stdout.splitlines() if "sha256" not in line and "tensor" not in line]
        assert result.exit_code == 0 and table
        assert max(map(len, table)) <= columns, arguments


def test_query_gives_the_same_rows_in_every_format(db: str, tmp_path: Path) -> None:
    import pandas as pd

    asked = ("query", "k_vrh_gpa > 0", "--fields", "id,formula,k_vrh_gpa", "--sort", "-k_vrh_gpa", "--db", db)
    records = json.loads(run(*asked, "--format", "json").stdout)
    rows = list(csv.DictReader(io.StringIO(run(*asked, "--format", "csv").stdout)))
    out = tmp_path / "hits.parquet"
    assert run(*asked, "--format", "parquet", "--out", str(out)).exit_code == 0
    assert [row["id"] for row in rows] == [record["id"] for record in records]
    assert [float(row["k_vrh_gpa"]) for row in rows] == [record["k_vrh_gpa"] for record in records]
    pd.testing.assert_frame_equal(pd.read_parquet(out), pd.DataFrame(records), check_dtype=False)
    table = run(*asked).stdout
    assert all(record["id"][:11] in table for record in records)
    values = [record["k_vrh_gpa"] for record in records]
    assert len(values) == 5 and values == sorted(values, reverse=True)


def test_query_limit_0_gives_all(db: str) -> None:
    assert len(json.loads(run("query", "", "--db", db, "--json", "--limit", "2").stdout)) == 2
    assert len(json.loads(run("query", "", "--db", db, "--json", "--limit", "0").stdout)) == 5


def test_show_prints_matrices_with_units_and_frame(db: str) -> None:
    text = run("show", "i0", "--db", db).stdout
    for part in ("stiffness C (GPa", "C/m^2", "input frame", "fake@1", "m-3m", "k_vrh_gpa", "Hill average"):
        assert part in text
    facts = json.loads(run("show", "i0", "--db", db, "--json").stdout)
    assert facts["formula"] == "Al"
    assert len(facts["results"][0]["tensors"]["elastic_voigt"]) == 6


def test_models_list_knows_the_database(db: str) -> None:
    rows = json.loads(run("models", "list", "--db", db, "--json").stdout)
    assert any((row["name"], row["version"], row["state"]) == ("fake", "1", "current") for row in rows)


def test_predict_gives_one_line_per_input_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gmt_tasks.screening.records

    monkeypatch.setattr(gmt_tasks.screening.records, "load_screener", lambda *_: FakeScreener())
    monkeypatch.setattr(gmt_tasks.screening.records, "ATOMS_PER_CALL", 2)
    source = write_crystals(tmp_path / "c.jsonl", ["flat", "Al", "N", "flat", "C", "Al", "Si", "flat"])
    result = run("predict", str(source))
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [line["id"] for line in lines] == [f"c{i}" for i in range(8)]
    assert [line["status"] for line in lines] == ["rejected" if i in (0, 3, 7) else "ok" for i in range(8)]
    assert lines[0]["reason"] == "degenerate_cell"
    out = tmp_path / "lines.jsonl"
    assert run("predict", str(source), "--out", str(out), "--limit", "3").exit_code == 0
    assert [json.loads(line) for line in out.read_text().splitlines()] == lines[:3]


def test_dry_run_prints_balance_and_cost_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "load_worker", lambda *_: FakeScreener())
    source = write_crystals(tmp_path / "c.jsonl", ["Al", "flat", "N"])
    db = tmp_path / "x.db"
    result = run("screen", str(source), "--db", str(db), "--dry-run", "--json", "--workers", "2")
    facts = json.loads(result.stdout)
    assert (facts["in"], facts["pending"], facts["rejected"], facts["done"]) == (3, 2, 1, 0)
    estimate = facts["estimate"]
    assert (estimate["n_crystals"], estimate["n_atoms"], estimate["n_sampled"], estimate["n_workers"]) == (2, 2, 2, 2)
    assert estimate["database_bytes"] > 0 and estimate["cpu_s"] >= estimate["ingest_cpu_s"]
    assert not db.exists()
    shown = run("screen", str(source), "--db", str(db), "--dry-run", "--workers", "1").stderr
    assert "dry run" in shown and "expected with 1 worker on" in shown and "measured on 2 of 2 crystals" in shown


def test_dry_run_of_nothing_to_compute_loads_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "load_worker", lambda *_: pytest.fail("loaded"))
    source = write_crystals(tmp_path / "c.jsonl", ["flat"])
    result = run("screen", str(source), "--db", str(tmp_path / "x.db"), "--dry-run", "--json")
    assert json.loads(result.stdout)["estimate"] is None


def test_a_stop_exits_with_1_and_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_model: None
) -> None:
    from gmt_tasks.process import StoppedError

    def stopped(*_: object) -> None:
        raise StoppedError

    monkeypatch.setattr(cli_screen, "run_flow", stopped)
    source = write_crystals(tmp_path / "c.jsonl", ["Al"])
    result = run("screen", str(source), "--db", str(tmp_path / "x.db"))
    assert result.exit_code == 1
    assert "stopped; run the same command again to finish the rest" in result.stderr


def test_a_fault_of_ours_is_one_line_and_asks_for_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_model: None
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(cli_screen, "run_flow", broken)
    source = write_crystals(tmp_path / "c.jsonl", ["Al"])
    arguments = ("screen", str(source), "--db", str(tmp_path / "x.db"))
    result = run(*arguments)
    assert result.exit_code == 1
    assert "unexpected ZeroDivisionError: oh" in result.stderr.splitlines()[-1]
    monkeypatch.setenv("GMTSCREEN_DEBUG", "1")
    assert isinstance(run(*arguments).exception, ZeroDivisionError)


def test_evaluate_prints_tables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from gmt_tasks.evaluation import evaluation

    numbers = (9, 1.0, 0.9, 60.0, 20.0, 5.0, 0.2, 100.0)
    metrics = evaluation.TensorMetrics("elastic_voigt", "all", "test", "fake@1", *numbers)
    found = evaluation.Evaluation("fake@1", "f" * 64, [metrics], [])
    monkeypatch.setattr(evaluation, "evaluate", lambda *_, **__: found)
    result = run("evaluate", "fake", "--data", str(tmp_path))
    assert result.exit_code == 0
    assert "tensors, test" in result.stdout and "ewt25" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100
    facts = json.loads(run("evaluate", "fake", "--data", str(tmp_path), "--json").stdout)
    assert facts["tensors"][0]["ewt25"] == 60.0
