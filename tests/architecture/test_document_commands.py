"""The commands and the Python that documents show: each command parses, and what can run in a moment is run.

Each document has a folder of its own in which its commands run one after the other, as a reader types them: two
databases with a finished run, results of two model versions, a source, labels, and a checkpoint. Crystals and results
are made up; the network is arithmetic.
"""

import json
import re
import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from db.records import ModelVersion
from db.store import ResultStore
from flows.cli import ingest as cli_ingest
from flows.cli.app import app
from gmt_tasks.screening import records as prediction_records
from gmt_tasks.screening.screener import Screener
from gmt_tasks.workers import worker
from models.errors import Reason
from models.testing.model import ToyTensorModel
from tests.architecture.source_tree import ROOT
from tests.db import blocks
from tests.flows.conftest import write_crystals
from tests.gmt_tasks.labels.planted_faults import expected_sizes, good_rows, write_rows
from tests.gmt_tasks.workers.fake_screener import FakeScreener

DOCUMENTS = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md")))
NOTEBOOK = ROOT / "docs" / "first-screen.ipynb"
WEIGHTS = ROOT / "models" / "weights"
OLD, NEW = ModelVersion("gmtnet", "0.3.1", "a" * 64), ModelVersion("gmtnet", "0.4.0", "b" * 64)


@dataclass(frozen=True)
class Exemption:
    """Commands that are parsed and not run.

    Attributes:
        command: its name.
        reason: why it is not run here, and where it is.
        unless: a word with which it is run all the same.
    """

    command: str
    reason: str
    unless: str | None = None

    def covers(self, words: list[str]) -> bool:
        """True where a command line is not to be run."""
        return f"{' '.join(words)} ".startswith(f"{self.command} ") and self.unless not in words


NOT_RUN = (
    Exemption("screen", "starts Ray and Prefect: tests/flows/test_screen.py runs it", unless="--dry-run"),
    Exemption(
        "ingest", "crystals start Prefect, mp: and jarvis: the network: tests/flows/cli/test_ingest.py", "labels/"
    ),
    Exemption("refine", "starts Ray, with a network and a potential in every worker"),
    Exemption("design", "starts Ray and Prefect: tests/flows/test_design.py runs it"),
    Exemption("retrain", "trains networks: tests/flows/test_retrain_flow.py runs it"),
    Exemption("train", "trains a network: tests/gmt_tasks/training/ does"),
    Exemption("evaluate", "needs the label files of the weights: tests/gmt_tasks/evaluation/ has made-up ones"),
    Exemption("calibrate", "likewise: tests/gmt_tasks/evaluation/ has made-up ones"),
    Exemption("models join", "needs several trained networks: tests/flows/cli/test_ensemble.py runs it"),
    Exemption("scoreboard", "minutes of networks and foreign files: tests/flows/cli/test_scoreboard.py runs it"),
    Exemption("equivariance", "minutes of the network: tests/flows/cli/test_equivariance.py runs it"),
    Exemption("serve", "ends with Ctrl-C only: tests/flows/cli/results/test_serve.py starts and ends it"),
    Exemption("doctor", "starts Ray to look at its ports: tests/flows/cli/test_open_ports.py does"),
)


def blocks_of(text: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands_of(text: str) -> list[list[str]]:
    """The lines of code blocks that begin with `gmtscreen`, as words without it."""
    lines = [line for block in blocks_of(text, r"\w*") for line in block.splitlines() if line.startswith("gmtscreen ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def commands_by_document() -> dict[str, list[list[str]]]:
    """The commands of every document that shows any."""
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
    shown = {name: commands_of(text) for name, text in texts.items()}
    return {name: commands for name, commands in shown.items() if commands}


SHOWN = commands_by_document()


def exemption(words: list[str]) -> Exemption | None:
    """The first exemption that covers a command line."""
    return next((exempt for exempt in NOT_RUN if exempt.covers(words)), None)


def parse(words: list[str]) -> None:
    """Parses a command line to its end: the command, every option and every value of a closed list."""
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    name, *rest = words
    while isinstance(command := group.commands[name], TyperGroup):
        group, (name, *rest) = command, rest
    command.make_context(name, list(rest))


def write_database(path: Path) -> None:
    """A finished run of each of two model versions: 12 crystals with results, one known crystal by name, one reject."""
    with ResultStore(path) as store:
        for version, shift in ((OLD, 0.0), (NEW, 1.0)):
            run = store.open_run(blocks.spec(model=version))
            made = blocks.block(0, [*range(12), Reason.DEGENERATE_CELL])
            named = replace(made, source_ids=["reference:aln", "AlN.cif", "reference:gan", *made.source_ids[3:]])
            store.add_block(run.id, named, blocks.SHARD_ATOMS)
            store.end_ingest(run.id, "made")
            while (lease := store.lease_shard(run.id, "worker")) is not None:
                assert store.commit_shard(lease, blocks.results(lease, shift=shift))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that every document's commands start from."""
    folder = tmp_path_factory.mktemp("reader")
    write_database(folder / "hits.db")
    shutil.copy(folder / "hits.db", folder / "gmtscreen.db")
    write_crystals(folder / "structures.jsonl", ["Al", "flat", "N"])
    (folder / "labels").mkdir()
    write_rows(folder / "labels" / "mine.jsonl", good_rows(12))
    (folder / "POSCAR").write_text("AlN\n3.1\n1 0 0\n0 1 0\n0 0 1\nAl N\n1 1\nDirect\n0 0 0\n0.4 0.5 0.5\n")
    checkpoint = folder / "runs" / "gmtnet"
    checkpoint.mkdir(parents=True)
    for name in ("gmtnet.safetensors", "gmtnet.novelty.safetensors", "gmtnet.split.safetensors"):
        shutil.copy(WEIGHTS / name, checkpoint)
    card = json.loads((WEIGHTS / "gmtnet.json").read_text(encoding="utf-8"))
    (checkpoint / "gmtnet.json").write_text(json.dumps(card | {"version": "9.0"}), encoding="utf-8")
    return folder


@pytest.fixture
def reader(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who sits in a copy of the prepared folder, without a network that would have to be loaded."""
    shutil.copytree(prepared, tmp_path / "reader")
    monkeypatch.chdir(tmp_path / "reader")
    monkeypatch.setenv("GMTSCREEN_USER", "ana@lab")
    monkeypatch.delenv("GMTSCREEN_DB", raising=False)
    monkeypatch.setattr(prediction_records, "load_screener", lambda *_: FakeScreener())
    monkeypatch.setattr(worker, "load_worker", lambda *_: FakeScreener())
    monkeypatch.setattr(cli_ingest, "predictor_of", lambda _: expected_sizes(good_rows(12)))


@pytest.mark.parametrize("document", SHOWN)
def test_every_command_of_a_document_parses_and_runs_unless_it_is_exempt(document: str, reader: None) -> None:
    for words in SHOWN[document]:
        parse(words)
        if exemption(words) is None:
            result = CliRunner().invoke(app, words)
            assert result.exit_code == 0, f"gmtscreen {shlex.join(words)}: {result.stderr or result.exception}"


def test_most_commands_are_run_and_every_exemption_is_needed() -> None:
    lines = [words for commands in SHOWN.values() for words in commands]
    run = [words for words in lines if exemption(words) is None]
    assert len(run) > 20 and {"query", "show", "status", "rejects", "models", "compare", "suggest"} <= {
        w[0] for w in run
    }
    used = {exempt.command for words in lines if (exempt := exemption(words))}
    assert {exempt.command for exempt in NOT_RUN} == used


def test_the_python_of_the_documents_runs(reader: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Screener, "load", lambda *_, **__: Screener(ToyTensorModel(), OLD))
    shown = [block for name in DOCUMENTS for block in blocks_of((ROOT / name).read_text(encoding="utf-8"), "python")]
    assert shown
    for block in shown:
        exec(compile(block, "a document", "exec"), {})  # noqa: S102  our own documents


def test_the_targets_of_make_that_documents_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in (*DOCUMENTS, "CONTRIBUTING.md")]
    named = {target for text in texts for target in re.findall(r"(?:^|`)make ([a-z][a-z-]*)", text, flags=re.MULTILINE)}
    assert named >= {"screen", "test", "setup", "audit"}
    assert named - targets == set()


@pytest.mark.parametrize(
    "line",
    [
        "query 'zork > 1'",
        "show nowhere",
        "status 9",
        "query '' --fields zork",
        "models show zork",
        "rejects --db no.db",
    ],
)
def test_a_command_that_does_not_do_what_it_says_would_be_noticed(line: str, reader: None) -> None:
    assert CliRunner().invoke(app, shlex.split(line)).exit_code != 0


@pytest.mark.parametrize(
    "line", ["zork", "query --zork", "screen a --workers many", "query '' --format zork", "models zork"]
)
def test_a_command_that_does_not_parse_would_be_noticed(line: str) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011  a KeyError of the name or one of click's errors of usage
        parse(shlex.split(line))


def test_commands_are_found_in_code_blocks_only() -> None:
    text = "```bash\ngmtscreen status  # all\necho x\n```\ngmtscreen no\n```\ngmtscreen show 'a b'\n```\n"
    assert commands_of(text) == [["status"], ["show", "a b"]]


def notebook_cells() -> list[str]:
    """The code cells of the notebook."""
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
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


def test_the_notebook_runs_on_a_database_that_is_there(reader: None, no_window: None) -> None:
    shutil.copy("hits.db", "first-screen.db")
    names = run_cells(notebook_cells(), screened=True)
    assert len(names["front"]) > 0
    assert {"pareto.png", "pareto.html", "hits.extxyz"} <= {path.name for path in Path().iterdir()}


@pytest.mark.slow
def test_the_notebook_runs_from_its_own_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_window: None
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_cells(notebook_cells(), screened=False)
    assert len(names["table"]) > 50
    assert names["hits"].rows[0]["formula"] == "C"


def test_the_notebook_holds_no_outputs_that_age() -> None:
    document = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert [cell["outputs"] for cell in document["cells"] if cell.get("outputs")] == []
