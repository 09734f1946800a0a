"""The notebook of docs/ runs from its first cell to its last, as Jupyter runs it: shell lines in a shell."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from tests.architecture.source_tree import ROOT
from tests.architecture.test_document_commands import parse, prepared, reader  # noqa: F401  fixtures

NOTEBOOK = ROOT / "docs" / "first-screen.ipynb"


def cells_of(notebook: Path) -> list[str]:
    """The code cells of a notebook."""
    document = json.loads(notebook.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in document["cells"] if cell["cell_type"] == "code"]


def run_cells(cells: list[str], *, screened: bool) -> dict[str, Any]:
    """Runs cells one after the other; lines with ! are commands, the screen only where nothing was screened before."""
    names: dict[str, Any] = {}
    for cell in cells:
        python = []
        for line in cell.splitlines():
            if not line.startswith("!gmtscreen "):
                python.append(line)
                continue
            words = shlex.split(line)[1:]
            parse(words)
            if words[0] != "screen" or not screened:
                result = CliRunner().invoke(app, words)
                assert result.exit_code == 0, f"{line}: {result.stderr or result.exception}"
        exec(compile("\n".join(python), str(NOTEBOOK), "exec"), names)  # noqa: S102  our own document
    return names


@pytest.fixture
def no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "agg")


def test_the_notebook_runs_on_a_database_that_is_there(reader: None, no_window: None) -> None:  # noqa: F811
    shutil.copy("hits.db", "first-screen.db")
    names = run_cells(cells_of(NOTEBOOK), screened=True)
    assert len(names["front"]) > 0
    assert {"pareto.png", "pareto.html", "hits.extxyz"} <= {path.name for path in Path().iterdir()}


@pytest.mark.slow
def test_the_notebook_runs_from_its_own_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_window: None
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_cells(cells_of(NOTEBOOK), screened=False)
    assert len(names["table"]) > 50
    assert names["hits"].rows[0]["formula"] == "C"


def test_the_notebook_holds_no_outputs_that_age() -> None:
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert [cell["outputs"] for cell in document["cells"] if cell.get("outputs")] == []
