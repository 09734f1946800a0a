"""Speed, size and accuracy of configurations: figures from a clock of our own, accuracy as cards say it."""

import math

import numpy as np
import pytest

from gmt_tasks.evaluation.scoreboard.configurations import (
    K_MAE,
    N_ROUNDS,
    NETWORK_RATIO,
    NETWORK_SPEED,
    NETWORKS,
    PARAMETERS,
    PATH_RATIO,
    PATH_SPEED,
    Configuration,
    Seconds,
    accuracy_figures,
    fnorm_column,
    measure,
    measured_crystals,
    size_figures,
    speed_figures,
)
from gmt_tasks.screening.screener import Screener
from models.gmtnet.card import find_checkpoint, read_card
from models.gmtnet.config import GMTNET_PAPER
from models.gmtnet.predictor import GMTNetPredictor
from models.quantities import Tensor
from models.testing.contract import textbook_crystals
from models.testing.model import ToyTensorModel
from tests.gmt_tasks.evaluation.scoreboard.own_toy import VERSION
from tests.models.gmtnet.untrained import untrained

TOY = Configuration("toy", Screener(ToyTensorModel(), VERSION))


class Clock:
    """Goes on by one second whenever it is looked at."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1.0
        return self.seconds


def test_every_configuration_takes_its_turn_and_the_first_round_does_not_count() -> None:
    reports: list[str] = []
    other = Configuration("other", TOY.screener)
    taken = measure([TOY, other], textbook_crystals().crystals.select([0, 4]), reports.append, Clock())
    assert taken == {name: Seconds([1.0] * N_ROUNDS, [1.0] * N_ROUNDS) for name in ("toy", "other")}
    assert len(reports) == N_ROUNDS + 1


def test_speeds_are_medians_and_ratios_are_taken_round_by_round() -> None:
    own, reference = Seconds([1.0, 2.0, 4.0], [2.0, 2.0, 2.0]), Seconds([10.0, 20.0, 40.0], [8.0, 4.0, 2.0])
    figures = speed_figures(own, reference, 100)
    assert figures[NETWORK_SPEED].value == 50.0
    # a busy moment falls on both: the ratio is the same in every round
    ratio = figures[NETWORK_RATIO]
    assert ratio.value == ratio.low == ratio.high == 10.0
    whole = figures[PATH_RATIO]
    assert figures[PATH_SPEED].value == 50.0 and (whole.value, whole.low, whole.high) == (2.0, 1.0, 4.0)
    assert all(figure.value == 1.0 for name, figure in speed_figures(own, own, 9).items() if "×" in name)


def test_parameters_are_those_of_the_published_size_and_networks_add_up() -> None:
    one = untrained(GMTNET_PAPER)
    two = GMTNetPredictor([*one.networks, *one.networks], one.elements)
    sizes = [size_figures(Configuration("x", Screener(model, VERSION))) for model in (one, two)]
    assert sizes[0][NETWORKS].value == 1 and sizes[1][NETWORKS].value == 2
    # about 0.67 million in the paper, for one tensor
    assert 0.4 < sizes[0][PARAMETERS].value < 1.0
    assert sizes[1][PARAMETERS].value == pytest.approx(2 * sizes[0][PARAMETERS].value)
    by_hand = sum(int(np.prod(weights.shape)) for weights in one.networks[0].parameters())
    assert sizes[0][PARAMETERS].value == by_hand / 1e6
    assert math.isnan(size_figures(TOY)[PARAMETERS].value)


def test_accuracy_is_the_cards_and_random_weights_have_none() -> None:
    metrics = read_card(find_checkpoint("gmtnet-paper")).metrics
    figures = accuracy_figures("gmtnet-paper")
    trimmed = {
        (m["quantity"], m["labels"]): m["fnorm_trimmed"]
        for m in metrics["tensors"]
        if m["split"] == "test" and m["predictor"] == "model"
    }
    assert figures[fnorm_column(Tensor.ELASTIC)].value == trimmed["elastic_voigt", "primary"]
    assert figures[fnorm_column(Tensor.DIELECTRIC_TOTAL)].value == trimmed["dielectric_total", "all"]
    [k_vrh] = [
        m
        for m in metrics["properties"]
        if (m["property"], m["split"], m["predictor"]) == ("k_vrh_gpa", "test", "model")
    ]
    assert figures[K_MAE].value == k_vrh["mae"]
    assert all(math.isnan(figure.value) for figure in accuracy_figures(None).values())


def test_the_crystals_are_the_same_every_time_and_all_models_accept_them() -> None:
    class WithoutOxygen(ToyTensorModel):
        elements = frozenset(range(1, 119)) - {8}  # in most of the sources' crystals

    pair = [TOY, Configuration("without", Screener(WithoutOxygen(), VERSION))]
    crystals = measured_crystals(pair)
    assert crystals.n_crystals > 20 and 8 not in crystals.numbers
    np.testing.assert_array_equal(crystals.lattice, measured_crystals(pair).lattice)
