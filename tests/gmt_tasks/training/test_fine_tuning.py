"""Training goes on from weights: they are what it starts with, and what it cannot go on from is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gmt_tasks.training import loop, training
from gmt_tasks.training.config import TrainingConfig
from gmt_tasks.training.training import train
from models.crystals.graph import build_graph
from models.errors import ModelError
from models.gmtnet.card import read_card
from models.gmtnet.checkpoint import join_checkpoints, load_checkpoint
from models.gmtnet.config import CONFIGS
from models.gmtnet.network import GMTNet
from models.gmtnet.torch_graph import TorchGraph
from models.quantities import Scalar
from models.testing.contract import textbook_crystals
from tests.gmt_tasks.training.test_training import SMALL, write_labels


@pytest.fixture(scope="module")
def small_network() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CONFIGS, "gmtnet", SMALL)
        yield


@pytest.fixture(scope="module")
def config(small_network: object, tmp_path_factory: pytest.TempPathFactory) -> TrainingConfig:
    data = write_labels(tmp_path_factory.mktemp("labels") / "data")
    return TrainingConfig(data=str(data), name="tiny", epochs=1, batch_crystals=6, average=0.8, learning_rate=5e-3)


@pytest.fixture(scope="module")
def ensemble(config: TrainingConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks of other seeds as one model."""
    folder = tmp_path_factory.mktemp("ensemble")
    cards = []
    for seed in (1, 2):
        train(replace(config, seed=seed), folder / str(seed), report=[].append)
        cards.append(folder / str(seed) / "tiny.json")
    join_checkpoints(cards, folder / "both", "tiny", "1.0")
    return folder / "both" / "tiny.json"


def states(card: Path) -> list[dict[str, torch.Tensor]]:
    """Weights of each network; running means and counters of its layers move without steps too."""
    return [dict(network.named_parameters()) for network in load_checkpoint(card)[0]]


def largest_difference(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    return max(
        float((first[name].double() - second[name].double()).abs().max()) for name in first if first[name].numel()
    )


def test_without_steps_the_weights_are_those_of_the_chosen_network(
    config: TrainingConfig, ensemble: Path, tmp_path: Path
) -> None:
    still = replace(config, start=str(ensemble), start_member=1, learning_rate=0.0, weight_decay=0.0)
    lines: list[str] = []
    card = train(still, tmp_path / "run", report=lines.append)
    assert card is not None and any("going on from network 1 of tiny@1.0" in line for line in lines)
    (found,) = states(tmp_path / "run" / "tiny.json")
    first, second = states(ensemble)
    assert largest_difference(found, second) == 0.0
    assert largest_difference(found, first) > 1e-3  # negative control: the other network
    assert set(read_card(ensemble).elements) <= set(card.elements)
    assert card.training["start"] == f"tiny@1.0 {read_card(ensemble).sha256[:12]}"
    assert all(np.isfinite(value) for value in card.training["final_losses"].values())


def test_steps_change_the_weights_and_a_resumed_run_gives_the_same_ones(
    config: TrainingConfig, ensemble: Path, tmp_path: Path
) -> None:
    further = replace(config, start=str(ensemble), epochs=2)
    train(further, tmp_path / "whole", report=[].append)
    assert train(further, tmp_path / "parts", report=[].append, stop_after_epoch=1) is None
    train(further, tmp_path / "parts", report=[].append)
    whole, parts = (states(tmp_path / name / "tiny.json")[0] for name in ("whole", "parts"))
    assert largest_difference(whole, parts) == 0.0
    assert largest_difference(whole, states(ensemble)[0]) > 1e-4


def test_what_is_no_start_is_refused(config: TrainingConfig, ensemble: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has 2 networks"):
        train(replace(config, start=str(ensemble), start_member=2), tmp_path / "a", report=[].append)
    with pytest.raises(ModelError, match="of another kind than gmtnet-paper"):
        train(replace(config, start=str(ensemble), network="gmtnet-paper"), tmp_path / "b", report=[].append)
    with pytest.raises(ModelError, match="There is no model nowhere"):
        train(replace(config, start="nowhere"), tmp_path / "c", report=[].append)


def test_a_run_from_another_start_is_not_resumed(config: TrainingConfig, ensemble: Path, tmp_path: Path) -> None:
    started = replace(config, start=str(ensemble), epochs=2)
    train(started, tmp_path / "run", report=[].append, stop_after_epoch=1)
    with pytest.raises(ModelError, match="another configuration"):
        train(replace(started, start_member=1), tmp_path / "run", report=[].append)


def test_losses_that_are_no_numbers_stop_the_training_and_leave_the_last_good_state(
    config: TrainingConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    train(replace(config, epochs=3), run, report=[].append, stop_after_epoch=1)
    before = (run / "state.pt").read_bytes()

    def broken(predicted: object, *_: object) -> dict[str, torch.Tensor]:
        return {"elastic_voigt": torch.tensor(float("nan"), requires_grad=True)}

    monkeypatch.setattr(loop, "multi_task_loss", broken)
    with pytest.raises(ModelError, match="1 of 1 losses are no number in epoch 2: elastic_voigt"):
        train(replace(config, epochs=3), run, report=[].append)
    assert (run / "state.pt").read_bytes() == before


def test_a_start_that_lacks_later_inputs_and_scalars_goes_on_saying_what_it_said() -> None:
    crystals = textbook_crystals().crystals
    wanted = replace(SMALL, n_relative=8)
    torch.manual_seed(3)
    older = GMTNet(replace(SMALL, n_relative=0, scalars=(Scalar.BAND_GAP,))).eval()
    newer = training._extended(older, wanted, seed=1).eval()
    assert newer.config == wanted
    graph = TorchGraph.from_graph(build_graph(crystals, SMALL.graph), "cpu", torch.float32)
    with torch.no_grad():
        before, after = older(graph), newer(graph)
    assert set(after) - set(before) == set(SMALL.scalars) - {Scalar.BAND_GAP}
    for name, values in before.items():
        torch.testing.assert_close(after[name], values)
    assert training._extended(newer, wanted, seed=2) is newer
