"""The training of a generator: it learns, and a killed one goes on as if nothing had been."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gmt_tasks.training.wyckoff.loop import WyckoffLoop, WyckoffTraining, mean_by_kind, share_of_rate
from models.errors import ModelError
from models.wyckoff.config import WyckoffConfig
from models.wyckoff.network import WyckoffNetwork
from models.wyckoff.sequences import sequences_of
from models.wyckoff.slots import SlotKind
from tests.models.wyckoff.drafts import known_crystals

CONFIG = WyckoffTraining(
    network=WyckoffConfig(width=32, n_heads=2, n_layers=1, dropout=0.1), epochs=3, batch_slots=400, average=0.9
)
SMALL = np.flatnonzero(known_crystals().orbits_per_crystal <= 8)
DATA = sequences_of(known_crystals().select(SMALL))
TRAIN, VAL = np.arange(4, len(SMALL)), np.arange(4)


def silent(line: str) -> None:
    """Reports to nobody."""


def run(folder: Path, config: WyckoffTraining = CONFIG, epochs: int = 3) -> WyckoffLoop:
    loop = WyckoffLoop(config, folder, silent)
    while loop.epoch < epochs:
        loop.run_epoch(DATA, TRAIN, VAL)
    return loop


def same_weights(first: WyckoffNetwork, second: WyckoffNetwork) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def test_a_training_that_was_killed_after_any_epoch_ends_with_the_same_weights_to_the_bit(tmp_path: Path) -> None:
    """Killed in the next epoch, and with a half-written state beside the whole one."""
    whole = run(tmp_path / "whole")
    run(tmp_path / "killed", epochs=1)
    halfway = WyckoffLoop(CONFIG, tmp_path / "killed", silent)
    halfway.network.train()
    with torch.no_grad():
        halfway.network.norm.weight += 1.0  # steps of an epoch that was never saved
    (tmp_path / "killed" / "state.partial").write_bytes(b"half a state")
    resumed = run(tmp_path / "killed", epochs=2)
    resumed = run(tmp_path / "killed")
    assert same_weights(whole.network, resumed.network)
    assert same_weights(whole.averaged, resumed.averaged)
    assert same_weights(whole.best(), resumed.best())
    assert whole.curve == resumed.curve
    other = run(tmp_path / "other", replace(CONFIG, seed=2))
    assert not same_weights(whole.network, other.network)


def test_it_learns(tmp_path: Path) -> None:
    """The averaged weights are better than those it began with, on crystals that it saw."""
    config = replace(CONFIG, epochs=12, learning_rate=3e-3, average=0.8)
    start = mean_by_kind(WyckoffLoop(config, tmp_path / "a", silent).averaged, DATA, TRAIN)
    loop = run(tmp_path / "a", config, 12)
    assert sum(mean_by_kind(loop.averaged, DATA, TRAIN).values()) < 0.8 * sum(start.values())
    assert loop.curve[-1]["train"] < loop.curve[0]["train"]


def test_the_best_network_is_that_of_the_likeliest_held_out_crystals(tmp_path: Path) -> None:
    """A rate that is far too high makes later epochs worse."""
    loop = run(tmp_path, replace(CONFIG, epochs=6, learning_rate=0.3), 6)
    values = [entry["val"] for entry in loop.curve]
    assert values.index(min(values)) < 5
    found = sum(mean_by_kind(loop.best(), DATA, VAL).values())
    assert found == pytest.approx(min(values), rel=1e-6)


def test_another_configuration_does_not_go_on_in_the_same_folder(tmp_path: Path) -> None:
    run(tmp_path, epochs=1)
    with pytest.raises(ModelError, match="belongs to another configuration. Give another folder, or remove it."):
        WyckoffLoop(replace(CONFIG, learning_rate=1e-4), tmp_path, silent)


def test_a_loss_that_is_no_number_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    loop = WyckoffLoop(CONFIG, tmp_path, silent)
    with torch.no_grad():
        loop.network.norm.weight.fill_(torch.nan)
    with pytest.raises(ModelError, match="The loss is no number in epoch 1. Lower the learning rate."):
        loop.run_epoch(DATA, TRAIN, VAL)
    assert not (tmp_path / "state.pt").exists()


def test_the_report_says_where_a_training_goes_on(tmp_path: Path) -> None:
    lines: list[str] = []
    WyckoffLoop(CONFIG, tmp_path, lines.append).run_epoch(DATA, TRAIN, VAL)
    WyckoffLoop(CONFIG, tmp_path, lines.append)
    assert lines[0].startswith("epoch 1/3") and "held out" in lines[0]
    assert lines[1] == "going on after epoch 1 of 3"


def test_likelihoods_do_not_depend_on_how_crystals_are_batched() -> None:
    torch.manual_seed(0)
    network = WyckoffNetwork(CONFIG.network).eval()
    one, many = (mean_by_kind(network, DATA, TRAIN, most_slots=n) for n in (1, 3000))
    assert one.keys() == {kind.name.lower() for kind in SlotKind}
    assert list(one.values()) == pytest.approx(list(many.values()), rel=1e-4)


def test_the_rate_rises_then_falls_to_a_hundredth() -> None:
    rates = np.array([share_of_rate(done) for done in np.linspace(0, 1, 501)])
    top = int(rates.argmax())
    assert (np.diff(rates[: top + 1]) > 0).all() and (np.diff(rates[top:]) < 0).all()
    assert rates[0] == 0.0 and rates.max() > 0.99 and rates[-1] == pytest.approx(0.01)
