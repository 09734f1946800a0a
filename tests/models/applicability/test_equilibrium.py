"""Away from equilibrium intervals widen, near it they stay what calibration made them."""

import numpy as np
import pytest

from models.applicability.equilibrium import EXPANSION_UNIT, FAR_EXPANSION, FITTED_EXPANSION, fit_widening, width_factor


def test_near_equilibrium_and_where_nothing_is_known_an_interval_stays_as_wide_as_it_is() -> None:
    expansion = np.array([0.0, FAR_EXPANSION, -FAR_EXPANSION, np.nan])
    assert width_factor(expansion, 3.0).tolist() == [1.0] * 4


def test_it_widens_alike_in_both_directions_and_never_narrows() -> None:
    grid = np.linspace(-0.5, 0.5, 101)
    factor = width_factor(grid, 2.0)
    np.testing.assert_allclose(factor, factor[::-1])
    assert (np.diff(factor[50:]) >= 0).all()
    assert width_factor(np.array([FAR_EXPANSION + EXPANSION_UNIT]), 1.0)[0] == pytest.approx(2.0)


def test_it_widens_no_further_than_it_was_calibrated() -> None:
    assert width_factor(np.array([FITTED_EXPANSION]), 9.0) == width_factor(np.array([3.0]), 9.0)
    assert np.isfinite(width_factor(np.array([1e9]), 9.0)).all()


def test_the_fitted_widening_holds_the_share_that_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    expansion = rng.uniform(-FITTED_EXPANSION, FITTED_EXPANSION, 4000)
    reach = rng.uniform(0.5, 2.0, 4000)
    excess = np.maximum(np.abs(expansion) - FAR_EXPANSION, 0) / EXPANSION_UNIT
    miss = reach * rng.exponential(1.0, 4000) * (0.4 + excess)
    widening = fit_widening(expansion, reach, miss, 0.1)
    chosen = excess > 0.02
    inside = (miss <= reach * width_factor(expansion, widening))[chosen].mean()
    assert inside == pytest.approx(0.9, abs=0.02)
    assert (miss <= reach)[chosen].mean() < 0.7  # negative control: without it


def test_intervals_that_are_wide_enough_are_not_widened_and_no_evidence_widens_nothing() -> None:
    assert fit_widening(np.full(9, 0.2), np.ones(9), np.zeros(9), 0.1) == 0.0
    assert fit_widening(np.zeros(9), np.ones(9), np.full(9, 5.0), 0.1) == 0.0
