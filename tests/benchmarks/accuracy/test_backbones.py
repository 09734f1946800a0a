"""Changes between networks: a real one is found, and what seeds alone do is none."""

import numpy as np
import pytest

from benchmarks.accuracy.backbones import Floats, best_mean, cell, resampled_changes


def errors(scale_of_seeds: tuple[float, ...], seed: int = 0) -> Floats:
    """Errors of 200 crystals, of each seed as many times larger."""
    of_crystals = np.random.default_rng(seed).gamma(2.0, size=200)
    return np.array(scale_of_seeds)[:, None] * of_crystals


def interval(first: Floats, base: Floats) -> tuple[float, float]:
    low, high = np.quantile(resampled_changes(first, base), [0.05, 0.95]).tolist()
    return low, high


def test_the_same_crystals_make_a_change_of_all_seeds_exact() -> None:
    assert interval(errors((1.1, 1.1, 1.1)), errors((1.0, 1.0, 1.0))) == pytest.approx((0.1, 0.1))


def test_a_change_that_one_seed_brings_is_no_result() -> None:
    low, high = interval(errors((1.0, 1.0, 1.2)), errors((1.0, 1.0, 1.0)))
    assert low == pytest.approx(0.0) and high > 0.1
    low, high = interval(errors((0.9, 1.0, 1.1)), errors((0.95, 1.0, 1.1)))
    assert low < 0 < high


def test_the_worst_tenth_does_not_count() -> None:
    of_crystals = errors((1.0,))
    spoilt = of_crystals.copy()
    spoilt[0, np.argsort(of_crystals[0])[-10:]] *= 1e6
    assert best_mean(spoilt) == pytest.approx(best_mean(of_crystals))
    assert "%" in cell(spoilt + 1.0, of_crystals) and "%" not in cell(of_crystals, of_crystals)
