"""Distillation: what a network learns of an ensemble, and on which crystals."""

from pathlib import Path

import numpy as np
import pytest
import torch

from gmt_tasks.screening.screener import Screener
from gmt_tasks.training.distillation.ensemble_answers import (
    SMALLEST_SHARE,
    SPREAD_COLUMNS,
    ask,
    log_spreads,
)
from models.quantities import Tensor
from models.tensors.voigt import to_components
from models.testing.contract import textbook_crystals

CRYSTALS = textbook_crystals().crystals


def test_spreads_have_an_end_below_and_are_not_learned_where_labels_were_seen() -> None:
    values = np.array([1.0, 2.0, 1e-9, 0.0, np.nan, 1.0])
    logarithms = log_spreads({"k_vrh_gpa": values}, np.array([0]))[:, 0]
    np.testing.assert_allclose(logarithms[1], np.log(2.0))
    np.testing.assert_allclose(logarithms[2], np.log(SMALLEST_SHARE))  # the median of what is known is 1
    assert np.isnan(logarithms[[0, 3, 4]]).all()


def test_answers_are_those_of_the_ensemble_and_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screener, lines = Screener.load("gmtnet", device="cpu"), list[str]()
    answers = ask(screener, CRYSTALS, 2, tmp_path, lines.append)
    assert lines
    prediction = screener.predict(CRYSTALS)
    for quantity in Tensor:
        wanted = to_components(quantity, prediction.derived.prediction.tensors[quantity])
        np.testing.assert_allclose(answers.components[quantity].numpy(), wanted, rtol=1e-5, atol=1e-5)
    assert answers.log_spreads.shape == (CRYSTALS.n_crystals, len(SPREAD_COLUMNS))
    assert torch.isnan(answers.log_spreads[:2]).all()
    assert not torch.isnan(answers.log_spreads[2:]).all()

    def refuse(*_: object) -> None:
        raise AssertionError("asked again")

    monkeypatch.setattr(Screener, "predict", refuse)
    with pytest.raises(AssertionError, match="asked again"):  # other crystals are not answered by what lies there
        ask(screener, CRYSTALS.select(np.arange(3)), 2, tmp_path, lines.append)
    again = ask(screener, CRYSTALS, 2, tmp_path, lines.append)
    assert torch.equal(again.components[Tensor.ELASTIC], answers.components[Tensor.ELASTIC])
