"""models show, promote, rollback and compare: what they do to the database, what they print, what they load."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from typer.testing import CliRunner

from db.records import DecisionRecord, ModelVersion, ResultBlock, RunSpec, ShardLease
from db.store import ResultStore
from flows.cli.app import app
from gmt_tasks.import_guard import REPOSITORY_ROOT
from gmt_tasks.ingest.blocks import IngestPlan
from gmt_tasks.process import new_holder
from gmt_tasks.runs.drive import ShardDriver
from gmt_tasks.runs.lifecycle import close_run, ingest_source
from tests.gmt_tasks.runs.test_drive import DirectPool, ListSource

SHIPPED = REPOSITORY_ROOT / "models" / "weights"
CURRENT = f"gmtnet@{json.loads((SHIPPED / 'gmtnet.json').read_text(encoding='utf-8'))['version']}"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GMTSCREEN_USER", "ana@lab")


@pytest.fixture
def db(tmp_path: Path) -> str:
    """A database in which the shipped model has screened."""
    card = json.loads((SHIPPED / "gmtnet.json").read_text(encoding="utf-8"))
    with ResultStore(tmp_path / "hits.db") as store:
        store.register_model(ModelVersion("gmtnet", card["version"], card["sha256"]), card["metrics"])
    return str(tmp_path / "hits.db")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The shipped weights as another version."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("gmtnet.safetensors", "gmtnet.novelty.safetensors", "gmtnet.split.safetensors"):
        (folder / name).write_bytes((SHIPPED / name).read_bytes())
    card = json.loads((SHIPPED / "gmtnet.json").read_text(encoding="utf-8"))
    (folder / "gmtnet.json").write_text(json.dumps(card | {"version": "9.0"}), encoding="utf-8")
    return folder


def test_a_checkpoint_is_promoted_shown_and_rolled_back(db: str, checkpoint: Path) -> None:
    done = run("models", "promote", str(checkpoint), "--why", "longer training", "--db", db)
    assert done.exit_code == 0, done.stderr
    assert f"gmtnet@9.0 is current, before it was {CURRENT}" in done.stderr
    facts = json.loads(run("models", "show", "gmtnet", "--db", db, "--json").stdout)
    assert (facts["version"], facts["state"], facts["file_faults"]) == ("9.0", "current", [])
    assert facts["card"] == str(Path(f"{db}.models/gmtnet/9.0/gmtnet.json"))
    (decision,) = facts["decisions"]
    assert (decision["who"], decision["why"], decision["before"]) == ("ana@lab", "longer training", CURRENT)
    text = run("models", "show", "gmtnet@9.0", "--db", db).stdout
    assert "longer training" in text and "tensors, test" in text
    back = run("models", "rollback", "gmtnet", "--why", "d33 looks odd", "--db", db)
    assert back.exit_code == 0 and f"{CURRENT} is current again" in back.stderr
    states = {row["version"]: row["state"] for row in json.loads(run("models", "list", "--db", db, "--json").stdout)}
    assert states["9.0"] == "retired"


def test_where_another_version_is_current_the_command_under_the_table_names_the_one_that_screened(
    db: str, checkpoint: Path, tmp_path: Path
) -> None:
    wurtzite = tmp_path / "AlN.cif"
    bulk("AlN", "wurtzite", a=3.11, c=4.98).write(wurtzite)
    screen = "screen", str(wurtzite), "--db", db, "--workers", "1"
    first = run(*screen).stderr
    assert "from: gmtscreen query" in first and "--model" not in first
    assert run("models", "promote", str(checkpoint), "--why", "longer training", "--db", db).exit_code == 0
    again = run(*screen, "--model", CURRENT).stderr
    (command,) = (line.removeprefix("from: gmtscreen ") for line in again.splitlines() if line.startswith("from: "))
    asked = shlex.split(command)
    assert [row["formula"] for row in json.loads(run(*asked, "--json").stdout)] == ["AlN"]
    assert asked[asked.index("--model") + 1] == CURRENT


def test_a_shipped_model_is_shown_where_no_database_used_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ResultStore(tmp_path / "empty.db").close()
    monkeypatch.chdir(tmp_path)
    for where in ((), ("--db", "empty.db")):
        facts = json.loads(run("models", "show", "gmtnet-paper", *where, "--json").stdout)
        assert (facts["name"], facts["state"], facts["decisions"]) == ("gmtnet-paper", "shipped", [])
        assert "comes with the program" in run("models", "show", "gmtnet-paper", *where).stdout
    assert run("models", "show", "gmtnet@8", "--db", "empty.db").exit_code == 2


def test_a_changed_file_is_reported_and_not_promoted(db: str, checkpoint: Path) -> None:
    assert run("models", "promote", str(checkpoint), "--why", "x", "--db", db).exit_code == 0
    weights = Path(f"{db}.models/gmtnet/9.0/gmtnet.safetensors")
    weights.chmod(0o644)
    weights.write_bytes(b"tampered")
    shown = run("models", "show", "gmtnet", "--db", db)
    assert shown.exit_code == 1 and "gmtnet.safetensors was changed" in shown.stderr
    assert run("screen", "reference", "--limit", "1", "--db", db).exit_code == 2
    run("models", "rollback", "gmtnet", "--db", db)
    again = run("models", "promote", "gmtnet@9.0", "--why", "x", "--db", db)
    assert again.exit_code == 2 and "was changed" in again.stderr


def test_what_the_gate_refused_is_promoted_by_force_only(db: str, checkpoint: Path) -> None:
    run("models", "promote", str(checkpoint), "--why", "x", "--db", db)
    run("models", "rollback", "gmtnet", "--db", db)
    report = {"passes": False, "reasons": ["test: C error is worse"]}
    refusal = DecisionRecord("cron", "refused for 1 reason: test: C error", report)
    with ResultStore(db) as store:
        store.refuse_model("gmtnet", "9.0", refusal)
    refused = run("models", "promote", "gmtnet@9.0", "--why", "x", "--db", db)
    assert refused.exit_code == 1 and "The gate refused gmtnet@9.0: refused for 1 reason" in refused.stderr
    forced = run("models", "promote", "gmtnet@9.0", "--why", "on purpose", "--force", "--db", db)
    assert forced.exit_code == 0 and "promoted against its gate" in forced.stderr
    decisions = json.loads(run("models", "show", "gmtnet@9.0", "--db", db, "--json").stdout)["decisions"]
    # The first promotion, of the time before the gate looked, was not forced.
    marks = [(row["decision"], row["forced"], row["against"]) for row in decisions]
    assert marks[0] == ("promoted", True, ["test: C error is worse"])
    assert marks[-1] == ("promoted", False, []) and sum(mark for _, mark, _ in marks) == 1
    shown = " ".join(run("models", "show", "gmtnet@9.0", "--db", db).stdout.split())
    assert "promoted, forced" in shown and "against: test:" in shown
    listed = {row["version"]: row for row in json.loads(run("models", "list", "--db", db, "--json").stdout)}
    assert listed["9.0"]["forced"] is True and not any(row["forced"] for row in listed.values() if row != listed["9.0"])
    assert "current, forced" in run("models", "list", "--db", db).stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("models", "show", "nothing"), "no model 'nothing'"),
        (("models", "promote", "gmtnet@7", "--why", "x"), "no model 'gmtnet@7'"),
        (("models", "rollback", "gmtnet"), "none to go back to"),
        (("models", "rollback", "nothing"), "no model 'nothing'"),
        (("models", "compare", "gmtnet@7", CURRENT), "no model 'gmtnet@7'"),
        (("models", "compare", CURRENT, CURRENT, "--sort", "formula"), "no derived number"),
        (("models", "compare", CURRENT, CURRENT), "No crystal has a number of both models"),
    ],
)
def test_mistakes_end_with_one_line(arguments: tuple[str, ...], says: str, db: str) -> None:
    result = run(*arguments, "--db", db)
    assert result.exit_code == 2 and says in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_promotion_needs_a_reason(db: str, checkpoint: Path) -> None:
    assert run("models", "promote", str(checkpoint), "--db", db).exit_code == 2


class ShiftedPool(DirectPool):
    """Another version, whose bulk moduli are twice as large for odd elements."""

    def collect(self, timeout_s: float = 1.0) -> list[tuple[ShardLease, ResultBlock]]:
        done = super().collect(timeout_s)
        for lease, block in done:
            block.columns["k_vrh_gpa"] = block.columns["k_vrh_gpa"] * (1 + lease.crystals.numbers % 2)
        return done


@pytest.fixture
def screened(tmp_path: Path) -> str:
    """Four crystals screened with two versions: the second run computes all of them again."""
    path, plan = tmp_path / "two.db", IngestPlan(100, 8)
    with ResultStore(path) as store:
        for version, pool in (("1", DirectPool()), ("2", ShiftedPool())):
            model = ModelVersion("fake", version, version * 64)
            source = ListSource([13, 7, 6, 14], name="list")
            opened = store.open_run(RunSpec((source.name,), ("x",), model, {"symprec": 0.01}))
            assert not opened.resumed
            ingest_source(store, opened.id, source, plan)
            assert ShardDriver(store, opened.id, pool, new_holder()).drive() == 4
            close_run(store, opened.id, 1.0)
            if version == "2":
                store.promote_model("fake", "2", DecisionRecord("ana", "better"))
    return str(path)


def test_after_a_promotion_all_is_computed_again_and_the_old_results_stay(screened: str) -> None:
    with ResultStore(screened) as store:
        assert store.count(model="fake@1") == store.count(model="fake@2") == 4
        assert set(store.query(fields=["model"])["model"]) == {"fake@2"}
        store.roll_back_model("fake", DecisionRecord("ana", "odd"))
        assert set(store.query(fields=["model"])["model"]) == {"fake@1"}


def test_compare_shows_what_moved(screened: str) -> None:
    result = run(
        "models", "compare", "fake@1", "fake@2", "--sort", "-k_vrh_gpa", "--top", "2", "--db", screened, "--json"
    )
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["n_shared"] == 4
    doubled = [move for part in ("entered", "left", "stayed") for move in found[part] if move["change"] > 0]
    assert {move["formula"] for move in doubled} <= {"Al", "N"} and doubled
    assert all(move["new"] == pytest.approx(2 * move["old"]) for move in doubled)
    text = run("compare", "fake@1", "fake@2", "--top", "2", "--db", screened)
    assert "entered the top 2" in text.stdout and "rank correlation" in text.stderr


def test_none_of_these_commands_loads_a_network(db: str, checkpoint: Path, screened: str) -> None:
    commands = (
        ("models", "promote", str(checkpoint), "--why", "x", "--db", db),
        ("models", "show", "gmtnet", "--db", db),
        ("models", "list", "--db", db),
        ("models", "rollback", "gmtnet", "--db", db),
        ("compare", "fake@1", "fake@2", "--db", screened),
    )
    # One after the other in one fresh interpreter: whatever the first imports is there for good.
    code = (
        "import json, sys\nfrom flows.cli.app import main\n"
        "for sys.argv[1:] in json.loads(sys.argv[1]):\n"
        "    try: main()\n"
        "    except SystemExit as end: assert not end.code, (sys.argv, end.code)\n"
        "    heavy = {'torch', 'ray', 'prefect', 'pymatgen', 'e3nn'} & set(sys.modules)\n"
        "    assert not heavy, (sys.argv, heavy)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(commands)], capture_output=True, text=True, cwd=REPOSITORY_ROOT
    )
    assert done.returncode == 0, done.stderr
