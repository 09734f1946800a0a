"""A network of one number per crystal: it learns, it resumes, and it takes every representation of a crystal alike."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gmt_tasks.training.config import TrainingConfig
from gmt_tasks.training.scalars.network import ScalarNetwork
from gmt_tasks.training.scalars.training import ScalarData, predict_scalars, train_scalar
from models.crystals.crystal import CrystalBatch, Floats
from models.errors import ModelError
from models.gmtnet.config import GMTNET, GMTNetConfig
from models.reference.crystals import in_cell, random_orthogonal, transformed
from models.testing.contract import textbook_crystals

SMALL = replace(
    GMTNET,
    channels=16,
    n_comformer=1,
    n_radial=12,
    edge_channels=16,
    message_irreps=("8x0e+4x1o",),
    hidden_irreps="8x0e+4x1o",
    coupling_channels=4,
    l_max=1,
)
RECIPE = TrainingConfig(epochs=4, batch_crystals=8, learning_rate=5e-3, average=0.9)
SILENT: list[str] = []


def strained(seed: int, n_copies: int) -> tuple[CrystalBatch, Floats]:
    """Textbook crystals, larger and smaller, and what a network can learn of them: volume per atom, cubic angstrom."""
    books = textbook_crystals().crystals
    factors = np.random.default_rng(seed).uniform(0.9, 1.1, size=n_copies)
    batch = CrystalBatch.join(replace(books, lattice=books.lattice * factor) for factor in factors)
    return batch, np.abs(np.linalg.det(batch.lattice)) / batch.atoms_per_crystal


def data(seed: int, n_copies: int) -> ScalarData:
    return ScalarData.of(*strained(seed, n_copies), SMALL.graph)


def trained(folder: Path, recipe: TrainingConfig = RECIPE, *, layers: GMTNetConfig = SMALL) -> ScalarNetwork:
    network = train_scalar(layers, recipe, data(0, 3), data(1, 1), folder, report=SILENT.append)
    assert network is not None
    return network


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> ScalarNetwork:
    return trained(tmp_path_factory.mktemp("scalar"), replace(RECIPE, epochs=25))


def test_what_it_learned_holds_for_crystals_that_it_never_saw(network: ScalarNetwork) -> None:
    unseen = data(2, 1)
    error = np.abs(predict_scalars(network, unseen) - unseen.labels).mean()
    spread = np.abs(unseen.labels - data(0, 3).labels.mean()).mean()
    assert error < 0.25 * spread


def test_labels_of_other_crystals_are_not_learned(tmp_path: Path) -> None:
    """Negative control: labels dealt out at random say nothing about unseen crystals."""
    shuffled = data(0, 3)
    shuffled = replace(shuffled, labels=np.random.default_rng(0).permutation(shuffled.labels))
    network = train_scalar(SMALL, replace(RECIPE, epochs=25), shuffled, None, tmp_path, report=SILENT.append)
    assert network is not None
    unseen = data(2, 1)
    error = np.abs(predict_scalars(network, unseen) - unseen.labels).mean()
    assert error > 0.5 * np.abs(unseen.labels - shuffled.labels.mean()).mean()


def values(network: ScalarNetwork, batch: CrystalBatch) -> Floats:
    return predict_scalars(network, ScalarData.of(batch, np.zeros(batch.n_crystals), SMALL.graph))


def test_rotations_and_supercells_change_nothing(network: ScalarNetwork) -> None:
    books = textbook_crystals().crystals
    expected = values(network, books)
    size = np.abs(expected).max()
    rotated = transformed(books, random_orthogonal(np.random.default_rng(3)))
    assert np.abs(values(network, rotated) - expected).max() < 1e-4 * size
    doubled = in_cell(books, np.diag([1, 1, 2]))
    assert np.abs(values(network, doubled) - expected).max() < 1e-4 * size


def test_a_strain_changes_the_number(network: ScalarNetwork) -> None:
    """Negative control of the invariances."""
    books = textbook_crystals().crystals
    strained = replace(books, lattice=books.lattice * np.array([1.0, 1.0, 1.03]))
    assert np.abs(values(network, strained) / values(network, books) - 1.0).min() > 1e-4


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    sets = data(0, 3), data(1, 1)
    halves = tmp_path / "halves"
    assert train_scalar(SMALL, RECIPE, *sets, halves, report=SILENT.append, stop_after_epoch=2) is None
    resumed = trained(halves)
    assert np.array_equal(predict_scalars(resumed, sets[1]), predict_scalars(whole, sets[1]))


def test_another_seed_gives_another_network(tmp_path: Path) -> None:
    """Negative control of the resumption: equal results are not a matter of course."""
    held_out = data(1, 1)
    first, second = (trained(tmp_path / str(seed), replace(RECIPE, seed=seed)) for seed in (0, 1))
    assert not np.allclose(predict_scalars(first, held_out), predict_scalars(second, held_out), rtol=1e-3)


def test_the_epoch_that_is_best_on_held_out_crystals_is_kept(tmp_path: Path) -> None:
    lines: list[str] = []
    held_out = data(1, 1)
    network = train_scalar(SMALL, RECIPE, data(0, 3), held_out, tmp_path, report=lines.append)
    assert network is not None
    seen = [float(line.split()[5].strip(",")) for line in lines if line.startswith("held out")]
    assert len(seen) == RECIPE.epochs
    error = np.abs(predict_scalars(network, held_out) - held_out.labels).mean()
    assert error == pytest.approx(min(seen), rel=1e-3)


@pytest.mark.parametrize("change", [{"learning_rate": 1e-3}, {"layers": replace(SMALL, channels=8)}])
def test_a_folder_of_another_run_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    sets = data(0, 1), data(1, 1)
    train_scalar(SMALL, RECIPE, *sets, tmp_path, report=SILENT.append, stop_after_epoch=1)
    layers = change.pop("layers", SMALL)
    assert isinstance(layers, GMTNetConfig)
    with pytest.raises(ModelError, match="belongs to another configuration"):
        train_scalar(layers, replace(RECIPE, **change), *sets, tmp_path, report=SILENT.append)


def test_labels_that_are_no_numbers_or_too_few_are_refused() -> None:
    batch, labels = strained(0, 1)
    with pytest.raises(ModelError, match="1 of .* labels are no finite numbers"):
        ScalarData.of(batch, np.where(np.arange(len(labels)) == 3, np.nan, labels), SMALL.graph)
    with pytest.raises(ModelError, match="give one of each"):
        ScalarData.of(batch, labels[:-1], SMALL.graph)
