"""Widths hold for formulas that took no part in them, also where few labels choose floor and factors."""

import numpy as np
import pytest

from gmt_tasks.evaluation.reliability.held_out_widths import HeldOutErrors
from models.uncertainty.conformal import calibrate_width


def drawn(seed: int, n: int, per_formula: int = 1) -> HeldOutErrors:
    """Errors in proportion to a spread that the networks know badly; crystals of a formula err alike."""
    rng = np.random.default_rng(seed)
    formula = np.arange(n) // per_formula
    size = rng.lognormal(size=formula.max() + 1)[formula]
    spread = size * rng.lognormal(sigma=0.7, size=n)
    error = size * np.abs(rng.standard_t(3, size=formula.max() + 1))[formula]
    return HeldOutErrors(error, spread, rng.choice(["cubic", "trigonal", "monoclinic"], n), formula=formula)


def test_fresh_formulas_are_covered_better_than_by_widths_that_were_fitted_to_their_own_crystals() -> None:
    fresh, gains = drawn(10_000, 2000), []
    for seed in range(6):
        held_out = drawn(seed, 40)
        plain, stretched = calibrate_width(held_out.error, held_out.spread, held_out.system), held_out.width()
        assert stretched.quantile >= plain.quantile
        gains.append(fresh.inside(stretched).mean() - fresh.inside(plain).mean())
    assert np.mean(gains) > 0.003


def test_many_labels_need_no_stretch() -> None:
    held_out = drawn(3, 1500)
    plain = calibrate_width(held_out.error, held_out.spread, held_out.system)
    assert held_out.width().quantile == pytest.approx(plain.quantile, rel=0.05)


def test_too_few_labels_have_no_width() -> None:
    assert np.isinf(drawn(0, 12).width().quantile)
