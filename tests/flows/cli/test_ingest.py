"""`gmtscreen ingest`: labels with a report and an exit code, crystals without computing, a picture."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from db.store import ResultStore
from flows.cli.app import app
from flows.reports.plot_labels import plot_labels
from gmt_tasks.runs.session import ScreenSession
from tests.flows.conftest import write_crystals
from tests.gmt_tasks.labels.planted_faults import expected_sizes, good_rows, write_rows, wrong_voigt_order
from tests.gmt_tasks.workers.fake_screener import VERSION

runner = CliRunner()

pytestmark = pytest.mark.usefixtures("prefect_server")


def run(*arguments: str) -> Any:
    return runner.invoke(app, ["ingest", *arguments])


@pytest.fixture
def labels(tmp_path: Path) -> str:
    return str(write_rows(tmp_path / "labels.jsonl", good_rows(12)))


@pytest.fixture
def db(tmp_path: Path) -> str:
    return str(tmp_path / "hits.db")


def test_good_labels_are_brought_in_and_a_repetition_says_so(labels: str, db: str) -> None:
    first = run(labels, "--labels", "--model", "none", "--db", db)
    assert first.exit_code == 0, first.stderr
    assert "elastic_stiffness" in first.stdout
    assert "accepted; 12 rows, 0 known before, 12 accepted for training" in first.stderr
    again = run(labels, "--labels", "--model", "none", "--db", db)
    assert again.exit_code == 0
    assert "repeated; 12 rows, 12 known before, 0 accepted for training" in again.stderr


def test_a_refused_batch_ends_with_1_and_says_why_and_what_to_do(tmp_path: Path, db: str) -> None:
    path = write_rows(tmp_path / "poisoned.jsonl", wrong_voigt_order(good_rows(12)))
    result = run(str(path), "--labels", "--model", "none", "--db", db)
    assert result.exit_code == 1
    assert "voigt_order" in result.stdout
    assert "Bring it to the order" in " ".join(result.stdout.split())
    assert "1 of 1 label batches refused" in result.stderr


def test_the_report_is_json_too(labels: str, db: str) -> None:
    result = run(labels, "--labels", "--model", "none", "--db", db, "--json")
    report = json.loads(result.stdout)[0]
    assert (report["verdict"], report["accepted"], report["licences"]) == ("accepted", 12, {"CC BY 4.0": 12})
    part = report["parts"][0]
    assert part["rows"] == part["accepted"] + part["duplicate"] + part["overruled"] + part["refused"]


def test_labels_are_compared_with_the_model_and_drawn(
    labels: str, db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.cli.ingest.predictor_of", lambda _: expected_sizes(good_rows(12)))
    picture = tmp_path / "check.png"
    result = run(labels, "--labels", "--db", db, "--plot", str(picture), "--json")
    assert json.loads(result.stdout)[0]["parts"][0]["compared"] == 12
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    assert width > 2 * height > 0
    with ResultStore(db) as store:
        again = plot_labels(store.labels.of_ingest(1), tmp_path / "again.png")
    assert again.read_bytes() == picture.read_bytes()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nowhere.jsonl", "--labels"), "nowhere.jsonl"),
        (("LABELS", "--labels", "--limit", "3"), "--limit is for crystals"),
        (("optimade:x", "--labels"), "crystals, not labels"),
    ],
    ids=str,
)
def test_bad_usage_ends_with_2(labels: str, db: str, words: tuple[str, ...], says: str) -> None:
    result = run(*(labels if word == "LABELS" else word for word in words), "--db", db)
    assert result.exit_code == 2
    assert says in result.stderr


def test_crystals_are_brought_in_without_computing_and_screen_goes_on_from_there(
    tmp_path: Path, db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[list[str], int | None]] = []
    import flows.ingest
    import flows.orchestration

    monkeypatch.setattr(flows.orchestration, "start_server", lambda: None)
    monkeypatch.setattr("gmt_tasks.runs.session.describe_model", lambda _: (VERSION, {}))

    def flow(sources: list[str], limit: int | None) -> dict[str, int]:
        called.append((sources, limit))
        session = flows.orchestration.current_session()
        assert isinstance(session, ScreenSession)
        return {source.name: session.ingest(k) for k, source in enumerate(session.sources)}

    monkeypatch.setattr(flows.ingest, "ingest", flow)
    source = str(write_crystals(tmp_path / "crystals.jsonl", [6, 7, 14]))
    result = run(source, "--db", db, "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert called == [([source], None)]
    assert (found["inputs"], found["accepted"], found["rejected"]) == ({source: 3}, 3, 0)
    with ResultStore(db) as store:
        assert store.balance(found["run"]).pending == 3
