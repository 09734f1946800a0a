"""The paper's table: published figures, our models by its protocol where its files are, cards where they are not."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gmt_tasks.evaluation.published.evaluation import evaluate_published
from gmt_tasks.evaluation.scoreboard import paper
from gmt_tasks.evaluation.scoreboard.board import BoardTable, Origin
from gmt_tasks.evaluation.scoreboard.own_models import UNSEEN
from gmt_tasks.evaluation.scoreboard.paper import FNORM, PAPER_TENSORS, SHARES, TRIMMED, own_split_table, paper_tables
from gmt_tasks.training.published_protocol import read_published
from models.gmtnet.card import ModelCard, find_checkpoint, read_card
from models.gmtnet.checkpoint import save_checkpoint
from models.gmtnet.config import GMTNET_PAPER, GMTNetConfig
from models.gmtnet.network import build_network
from models.gmtnet.training_data.split_table import SplitTable
from models.quantities import Tensor
from tests.gmt_tasks.sources.remote.jarvis_files import write_jarvis_files

SMALL = GMTNetConfig(
    graph=GMTNET_PAPER.graph, channels=8, n_comformer=1, n_radial=8, edge_channels=8,
    message_irreps=("4x0e+2x1o+2x2e",), hidden_irreps="4x0e+2x1o+2x2e", coupling_channels=2,
    tensors=(Tensor.DIELECTRIC_ELECTRONIC,), scalars=(),
)  # fmt: skip


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small network with random weights that predicts ε∞ only."""
    folder = tmp_path_factory.mktemp("checkpoint")
    card = ModelCard("small", "1", "", SMALL, tuple(range(1, 119)))
    save_checkpoint(build_network(SMALL), folder, card)
    return str(folder)


@pytest.fixture(scope="module")
def jarvis(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("jarvis")
    write_jarvis_files(folder)
    return folder


def by_tensor(tables: list[BoardTable], prefix: str) -> Iterator[tuple[Tensor, BoardTable]]:
    for table in tables:
        kind, _, name = table.task.partition(", ")
        if kind == prefix:
            yield Tensor(name), table


def test_with_the_files_a_model_stands_beside_the_published_figures(jarvis: Path, checkpoint: str) -> None:
    tables = dict(by_tensor(paper_tables([jarvis], [checkpoint]), "paper"))
    assert tuple(tables) == PAPER_TENSORS
    table = tables[Tensor.DIELECTRIC_ELECTRONIC]
    assert table.n_split == read_published(jarvis).counts[Tensor.DIELECTRIC_ELECTRONIC].test
    [ours] = [row for row in table.rows if row.origin is Origin.OURS]
    metrics = next(row for row in evaluate_published(checkpoint, jarvis).tensors if row.split == "test")
    assert (ours.predictor, ours.n) == ("small@1", metrics.n)
    assert ours.figures[FNORM].value == metrics.fnorm and ours.figures[SHARES[0]].value == metrics.ewt25
    assert "another code" in ours.note
    assert all(row.origin is not Origin.OURS for row in tables[Tensor.ELASTIC].rows)


def test_crystals_of_formulas_that_a_model_saw_are_left_out_in_a_second_line(
    jarvis: Path, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = read_published(jarvis).labels
    rows = np.flatnonzero(~np.isnan(labels.components[Tensor.DIELECTRIC_ELECTRONIC][:, 0]) & (labels.split == "test"))
    formulas = [labels.crystals.formulas()[row] for row in rows]
    monkeypatch.setattr(paper, "load_split_table", lambda _: SplitTable.of({formulas[0]: "train"}, {}))
    table = dict(by_tensor(paper_tables([jarvis], [checkpoint]), "paper"))[Tensor.DIELECTRIC_ELECTRONIC]
    n = {row.subset: row.n for row in table.rows if row.origin is Origin.OURS}
    unseen = len(formulas) - formulas.count(formulas[0])
    assert n == {"all": len(formulas)} | ({f"all, {UNSEEN}": unseen} if unseen else {})
    assert unseen < len(formulas)


def test_without_the_files_the_row_says_which_are_missing(tmp_path: Path) -> None:
    for quantity, table in by_tensor(paper_tables([tmp_path], ["gmtnet-paper"]), "paper"):
        quoted = {row.predictor: row.figures[FNORM].value for row in table.rows if row.origin is Origin.QUOTED}
        assert "GMTNet" in quoted and len(quoted) >= 3, quantity
        [missing] = [row for row in table.rows if row.origin is Origin.MISSING]
        assert "jarvis_elastic.pkl" in missing.note and not missing.figures


def test_our_split_shows_the_card_beside_the_reference_network() -> None:
    card = read_card(find_checkpoint("gmtnet"))
    table = own_split_table(Tensor.ELASTIC, ["gmtnet"])
    [ours] = [row for row in table.rows if row.origin is Origin.OURS]
    [row] = [
        row
        for row in card.metrics["tensors"]
        if (row["quantity"], row["labels"], row["split"], row["predictor"])
        == ("elastic_voigt", "primary", "test", "model")
    ]
    assert (ours.n, ours.sha256, ours.figures[TRIMMED].value) == (row["n"], card.sha256, row["fnorm_trimmed"])
    reference = next(row for row in table.rows if row.predictor == "reference network")
    assert (reference.origin, reference.figures[FNORM].value) == (Origin.QUOTED, 105.9)
    assert not [row for row in table.rows if "true K and G" in row.predictor], "who knows the labels is no competitor"
