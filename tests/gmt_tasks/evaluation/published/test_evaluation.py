"""The paper's metrics on made-up files: what is right scores perfectly, what is wrong is counted as in the paper."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flows.cli.app import app
from gmt_tasks.evaluation.consistency import consistency
from gmt_tasks.evaluation.published import evaluation
from gmt_tasks.evaluation.published.evaluation import evaluate_published, obeys_as_published, published_metrics
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.training.published_protocol import PublishedLabels, read_published
from models.crystals.crystal import CrystalBatch, Floats
from models.errors import ModelError
from models.gmtnet.card import ModelCard
from models.gmtnet.checkpoint import save_checkpoint
from models.gmtnet.config import GMTNET_PAPER, GMTNetConfig
from models.gmtnet.network import build_network
from models.gmtnet.predictor import GMTNetPredictor
from models.quantities import Tensor
from models.reference.crystals import random_orthogonal, transformed
from models.symmetry.operations import listed_operations
from models.symmetry.search import find_symmetry
from models.tensors.voigt import from_components
from models.testing.contract import textbook_crystals
from tests.gmt_tasks.sources.remote.jarvis_files import made_up_tensors, write_jarvis_files

TEXTBOOK = textbook_crystals().crystals
THREE = (Tensor.DIELECTRIC_ELECTRONIC, Tensor.PIEZOELECTRIC, Tensor.ELASTIC)
QUARTZ, ROCK_SALT = 0, 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jarvis")
    write_jarvis_files(path)
    return path


@pytest.fixture(scope="module")
def published(folder: Path) -> PublishedLabels:
    return read_published(folder)


class Oracle:
    """Gives the labels of a part back, times a factor, with every element known but one."""

    def __init__(self, labels: LabelledCrystals, quantity: Tensor, factor: float = 1.0, unknown: int = 118) -> None:
        self.quantity, self.factor = quantity, factor
        self.elements = frozenset(range(1, 119)) - {unknown}
        known = ~np.isnan(labels.components[quantity][:, 0])
        tensors = from_components(quantity, labels.components[quantity][known])
        self.tensor_of = {
            lattice.tobytes(): tensor for lattice, tensor in zip(labels.crystals.lattice[known], tensors, strict=True)
        }

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        return {self.quantity: self.factor * np.array([[self.tensor_of[cell.tobytes()] for cell in crystals.lattice]])}


@pytest.mark.parametrize("quantity", THREE)
@pytest.mark.parametrize("projected", [True, False], ids=["projected", "as given"])
def test_a_model_that_gives_the_labels_back_scores_perfectly(
    published: PublishedLabels, quantity: Tensor, projected: bool
) -> None:
    labels = published.labels
    rows = list(published_metrics(Oracle(labels, quantity), labels, quantity, Split.TEST, projected=projected))
    ours = [row for row in rows if row.predictor == "model"]
    assert ours[0].n == published.counts[quantity].test
    for row in ours:
        assert row.fnorm < 1e-6 and (row.ewt25, row.ewt10, row.ewt5, row.success) == (100.0, 100.0, 100.0, 100.0), row
    baseline = [row for row in rows if row.predictor == "train mean" and row.n > 3]
    assert all(row.fnorm > 1e-3 for row in baseline), "negative control"
    systems = {row.labels for row in ours} - {"all", "all, zeros too", "non-zero"}
    assert sum(row.n for row in ours if row.labels in systems) == ours[0].n


def test_both_piezoelectric_variants_are_given_and_zeros_count_as_right(published: PublishedLabels) -> None:
    labels, quantity = published.labels, Tensor.PIEZOELECTRIC
    rows = list(published_metrics(Oracle(labels, quantity, 1.2), labels, quantity, Split.VAL, projected=False))
    rows += list(published_metrics(Oracle(labels, quantity, 1.2), labels, quantity, Split.TEST, projected=False))
    named = [{row.labels: row for row in rows if row.predictor == "model" and row.split == s} for s in ("val", "test")]
    assert any(part["all, zeros too"].n > part["non-zero"].n for part in named)
    for part in named:
        every, some = part["all, zeros too"], part["non-zero"]
        assert some.ewt25 == 100.0 and some.ewt10 == 0.0
        assert every.ewt10 == pytest.approx(100.0 * (every.n - some.n) / every.n), "a zero predicted as zero is right"
        assert every.fnorm * every.n == pytest.approx(some.fnorm * some.n)


def test_crystals_with_unseen_elements_are_left_out_of_the_count(published: PublishedLabels) -> None:
    labels, quantity = published.labels, Tensor.ELASTIC
    rows = np.flatnonzero((labels.split == "test") & ~np.isnan(labels.components[quantity][:, 0]))
    unseen = int(labels.crystals.select(rows[:1]).numbers[0])
    model = Oracle(labels, quantity, unknown=unseen)
    found = next(iter(published_metrics(model, labels, quantity, Split.TEST, projected=False)))
    assert found.n < published.counts[quantity].test


def test_the_success_rate_sees_broken_zeros_equalities_and_opposites() -> None:
    listed = listed_operations(TEXTBOOK)
    right = made_up_tensors(TEXTBOOK, Tensor.ELASTIC)
    assert obeys_as_published(Tensor.ELASTIC, right, listed).all()
    for crystal, entries, change in (
        (ROCK_SALT, [(0, 3), (3, 0)], 2e-5),  # a zero
        (ROCK_SALT, [(0, 0)], 2e-4),  # C11 = C22
        (QUARTZ, [(0, 3), (3, 0)], 2e-4),  # C14 = -C24
    ):
        wrong, within = right.copy(), right.copy()
        for entry in entries:
            wrong[crystal, *entry] += change
            within[crystal, *entry] += change / 10
        obeys = obeys_as_published(Tensor.ELASTIC, wrong, listed)
        assert np.flatnonzero(~obeys).tolist() == [crystal]
        assert obeys_as_published(Tensor.ELASTIC, within, listed).all()
    isotropic = np.broadcast_to(np.eye(3), (TEXTBOOK.n_crystals, 3, 3))
    assert obeys_as_published(Tensor.DIELECTRIC_ELECTRONIC, isotropic, listed).all()


def small_paper(*, tensors: tuple[Tensor, ...] = THREE) -> GMTNetConfig:
    return replace(GMTNET_PAPER, channels=16, n_radial=32, edge_channels=16, tensors=tensors, scalars=())


def checkpoint(folder: Path, config: GMTNetConfig, name: str = "small") -> str:
    card = ModelCard(name, "0.0.1", "", config, tuple(range(1, 119)), {}, {})
    save_checkpoint(build_network(config).eval(), folder, card)
    return str(folder / f"{name}.json")


def test_a_checkpoint_is_measured_with_and_without_the_published_flaws(
    published: PublishedLabels, tmp_path: Path
) -> None:
    path = checkpoint(tmp_path, small_paper())
    ours = evaluate_published(path, published, device="cpu")
    theirs = evaluate_published(path, published, device="cpu", as_published=True)
    assert {row.quantity for row in ours.tensors} == {q.value for q in THREE}
    assert {row.split for row in ours.tensors} == {"val", "test"}
    errors = [[row.fnorm for row in found.tensors if row.predictor == "model"] for found in (ours, theirs)]
    assert not np.allclose(*errors), "graph and mask make a difference"
    assert min(row.success for row in ours.tensors) == 100.0


def test_the_published_correction_breaks_the_point_group_where_our_projector_does_not() -> None:
    predictor = GMTNetPredictor.untrained(small_paper(tensors=(Tensor.ELASTIC,)))
    batch = transformed(TEXTBOOK, random_orthogonal(np.random.default_rng(5)))
    symmetry = find_symmetry(batch)
    ours = symmetry.project(Tensor.ELASTIC, predictor.predict(batch)[Tensor.ELASTIC][0])
    theirs = predictor.as_published().predict(batch)[Tensor.ELASTIC][0]
    success = [consistency({Tensor.ELASTIC: tensors}, symmetry)[-1].success for tensors in (ours, theirs)]
    assert success[0] == 100.0
    assert success[1] <= 50.0


def test_a_network_with_a_cutoff_envelope_cannot_have_the_published_graph(
    published: PublishedLabels, tmp_path: Path
) -> None:
    path = checkpoint(tmp_path, replace(small_paper(), envelope=True))
    with pytest.raises(ModelError, match="leave --as-published out"):
        evaluate_published(path, published, device="cpu", as_published=True)


def test_a_model_without_these_tensors_is_refused(published: PublishedLabels, tmp_path: Path) -> None:
    path = checkpoint(tmp_path, small_paper(tensors=(Tensor.DIELECTRIC_TOTAL,)))
    with pytest.raises(ModelError, match="predicts none of"):
        evaluate_published(path, published, device="cpu")


def test_the_command_prints_tables_and_what_became_of_the_records(
    folder: Path, tmp_path: Path, published: PublishedLabels, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint(tmp_path, small_paper(tensors=(Tensor.PIEZOELECTRIC, Tensor.DIELECTRIC_ELECTRONIC)))
    words = ["evaluate", path, "--protocol", "paper", "--data", str(folder), "--device", "cpu"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.stderr
    assert "non-zero" in result.stdout and "all, zeros too" in result.stdout
    assert f"piezoelectric: {published.counts[Tensor.PIEZOELECTRIC].records} records" in result.stderr
    asked = []
    monkeypatch.setattr(
        evaluation,
        "evaluate_published",
        lambda *_, **options: asked.append(options) or evaluate_published(path, published, device="cpu"),
    )
    facts = json.loads(CliRunner().invoke(app, [*words, "--as-published", "--json"]).stdout)
    assert asked[0]["as_published"] is True
    assert {row["labels"] for row in facts["tensors"]} >= {"all, zeros too", "non-zero"}


def test_as_published_without_the_papers_protocol_is_bad_usage(folder: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", "gmtnet", "--data", str(folder), "--as-published"])
    assert result.exit_code == 2
    assert "add --protocol paper" in result.stderr


def test_only_the_published_layers_can_be_trained_as_published(tmp_path: Path) -> None:
    words = ["train", "gmtnet", "--as-published", "--out", str(tmp_path / "run"), "--data", str(tmp_path)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2
    assert "gmtnet has no published variant" in result.stderr
