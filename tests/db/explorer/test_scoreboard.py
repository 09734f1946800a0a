"""The scoreboard's page: the kept figures, the same for an empty database, and without loading a network."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from db.store import ResultStore
from flows.explorer_services import ExplorerServices
from gmt_tasks.evaluation.scoreboard import stored
from gmt_tasks.evaluation.scoreboard.board import BoardRow, BoardTable, Figure, Origin, Scoreboard, Section
from tests.architecture.source_tree import ROOT
from tests.db.explorer.served import asking

ADDRESS = "/api/v1/scoreboard"


def test_the_interface_gives_the_kept_board(client: TestClient) -> None:
    answer = client.get(ADDRESS)
    assert answer.status_code == 200
    assert answer.json() == json.loads(stored.STORED.read_text(encoding="utf-8"))
    assert client.get(ADDRESS, headers={"if-none-match": answer.headers["etag"]}).status_code == 304


def test_a_fresh_database_shows_the_same(tmp_path: Path, client: TestClient) -> None:
    ResultStore(tmp_path / "fresh.db").close()
    with asking(tmp_path / "fresh.db") as fresh:
        page = fresh.get("/scoreboard")
        assert page.status_code == 200 and "records/scoreboard.js" in page.text
        assert fresh.get(ADDRESS).json() == client.get(ADDRESS).json()


def test_another_board_is_shown_and_none_is_an_empty_one(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scoreboard.json"
    row = BoardRow("<b>x</b>", Origin.RESCORED, {"MAE": Figure(float("nan"))})
    board = Scoreboard((BoardTable(Section.JARVIS, "t", "t", "GPa", "test", 1, ("MAE",), (row,), "made up"),))
    stored.write_stored(board, path)
    monkeypatch.setattr(stored.read_stored, "__defaults__", (path,))
    [shown] = client.get(ADDRESS).json()["tables"]
    assert shown["rows"][0]["figures"]["MAE"]["value"] is None and shown["rows"][0]["predictor"] == "<b>x</b>"
    path.unlink()
    assert client.get(ADDRESS).json() == {"scoreboard": 1, "tables": []}
    path.write_text("{")
    assert client.get(ADDRESS).status_code != 200


def test_reading_the_board_loads_no_network() -> None:
    code = (
        "import sys; from flows.explorer_services import ExplorerServices; "
        "n = len(ExplorerServices().scoreboard()['tables']); "
        "print(n, sorted({'torch', 'e3nn', 'scipy', 'pymatgen', 'ray'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    n_tables, loaded = printed.split(maxsplit=1)
    assert int(n_tables) == len(ExplorerServices().scoreboard()["tables"]) > 0
    assert loaded.strip() == "[]"
