"""What a retraining is: more of the labels of the current model there, less of its weights kept."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from db.records import ModelVersion
from gmt_tasks.retraining.options import RetrainOptions
from gmt_tasks.retraining.plan import FINE_TUNING_SHARE, KEPT_SHARE, SMALL_SHARE, RetrainPlan, make_plan
from gmt_tasks.training.config import TrainingConfig
from gmt_tasks.training.training import towards_start
from models.gmtnet.card import find_checkpoint
from models.gmtnet.checkpoint import load_checkpoint

SHIPPED = find_checkpoint("gmtnet")


def plan(replayed: float, *, current_card: Path = SHIPPED, **more: object) -> RetrainPlan:
    return make_plan(
        replace(RetrainOptions(), **more),  # type: ignore[arg-type]
        snapshot="a" * 64,
        data=Path("data"),
        current=ModelVersion("gmtnet", "1", "b" * 64),
        current_card=current_card,
        replayed=replayed,
    )


def test_a_retraining_on_all_labels_keeps_nothing_of_the_current_weights() -> None:
    full, config = plan(1.0).configs[0], TrainingConfig.read("gmtnet")
    assert full.start_share == 0.0
    assert full.learning_rate == FINE_TUNING_SHARE * config.learning_rate


def test_a_retraining_on_base_labels_is_longer_and_goes_half_of_the_way_back() -> None:
    few, config = plan(0.1).configs[0], TrainingConfig.read("gmtnet")
    assert few.start_share == pytest.approx(KEPT_SHARE * 0.9, abs=0.06)
    assert (few.epochs, few.learning_rate) == (round(SMALL_SHARE * config.epochs), SMALL_SHARE * config.learning_rate)
    assert plan(0.1).version != plan(1.0).version
    assert plan(0.1, epochs=2).configs[0].epochs == 2


def test_a_training_from_random_weights_has_nothing_to_go_back_to() -> None:
    config = plan(0.0, from_scratch=True).configs[0]
    assert (config.start, config.start_share, config.new_share) == ("", 0.0, 0.0)


def test_a_distilled_network_is_retrained_on_labels_and_asks_no_ensemble() -> None:
    current = find_checkpoint("gmtnet-distilled")
    assert TrainingConfig.read("gmtnet-distilled").teacher
    (config,) = plan(1.0, config="gmtnet-distilled", current_card=current).configs
    assert (config.teacher, config.start) == ("", str(current))
    assert plan(1.0, config="gmtnet-distilled", from_scratch=True, members=1).configs[0].teacher


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_result_lies_on_the_line_between_its_training_and_its_start(share: float) -> None:
    (first, second, *_), _ = load_checkpoint(SHIPPED)
    start, end = first.state_dict(), {name: value.clone() for name, value in second.state_dict().items()}
    mixed = towards_start(second, TrainingConfig(start=str(SHIPPED), start_share=share)).state_dict()
    for name, value in mixed.items():
        expected = (1 - share) * end[name] + share * start[name] if value.is_floating_point() else end[name]
        assert torch.allclose(value.to(torch.float64), expected.to(torch.float64), atol=1e-6)
