"""Scales are monotone and invertible; intervals hold their value and keep to what physics allows."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.error_scales import Scale, Transform
from models.quantities import DERIVED, INTERVALS, ColumnKind
from models.uncertainty.scales import from_scale, interval_around, to_scale

SCALES = [DERIVED[name].scale or Scale(Transform.LINEAR) for name in INTERVALS]


def in_domain(scale: Scale, value: float) -> float:
    """A number that the quantity can have."""
    return min(max(value, scale.lower + 1e-3), scale.upper)


@pytest.mark.parametrize("scale", SCALES, ids=list(INTERVALS))
def test_a_scale_is_monotone_and_goes_back(scale: Scale) -> None:
    values = np.unique([in_domain(scale, v) for v in np.linspace(-300.0, 900.0, 400)])
    places = to_scale(scale, values)
    assert (np.diff(places) > 0).all()
    assert np.allclose(from_scale(scale, places), values, rtol=1e-10, atol=1e-10)


@given(value=st.floats(-500, 2000), half=st.floats(0, 50), which=st.integers(0, len(SCALES) - 1))
def test_an_interval_is_ordered_and_holds_its_value(value: float, half: float, which: int) -> None:
    scale = SCALES[which]
    lower, upper = interval_around(scale, np.array([value]), np.array([half]))
    if scale.transform is Transform.LOG and value <= scale.origin:
        assert np.isnan(lower).all() and np.isnan(upper).all()
        return
    assert lower[0] <= value <= upper[0]
    if scale.lower <= value <= scale.upper:
        assert scale.lower <= lower[0] and upper[0] <= scale.upper


@given(half=st.floats(0.01, 3), more=st.floats(1.01, 3), which=st.integers(0, len(SCALES) - 1))
def test_a_wider_half_width_gives_an_interval_around_the_narrower_one(half: float, more: float, which: int) -> None:
    scale = SCALES[which]
    value = np.array([in_domain(scale, 1.7)])
    inner = interval_around(scale, value, np.array([half]))
    outer = interval_around(scale, value, np.array([half * more]))
    assert outer[0] <= inner[0] and inner[1] <= outer[1]


def test_moduli_that_are_positive_in_every_stable_crystal_have_no_negative_lower_end() -> None:
    """Those that may be negative are left alone: the lowest eigenvalue of an unstable crystal, hardness by a fit."""
    positive = [name for name in INTERVALS if name.startswith(("k_", "g_", "young_", "shear_")) and "gpa" in name]
    assert len(positive) >= 17
    for name in [*positive, "elastic_min_eigenvalue_gpa"]:
        scale = DERIVED[name].scale
        assert scale is not None
        lower, upper = interval_around(scale, np.array([3.0]), np.array([4.0]), np.array([1.0]))
        assert (lower[0] >= 0) == (name in positive), name
        assert upper[0] < interval_around(scale, np.array([3.0]), np.array([4.0]))[1][0]


def test_no_half_width_is_no_interval() -> None:
    for half in (math.inf, math.nan):
        lower, upper = interval_around(Scale(Transform.LINEAR), np.array([1.0]), np.array([half]))
        assert np.isnan(lower).all() and np.isnan(upper).all()


def test_a_value_that_physics_excludes_stays_in_its_interval() -> None:
    poisson = DERIVED["poisson_vrh"].scale
    assert poisson is not None
    lower, upper = interval_around(poisson, np.array([0.6]), np.array([0.05]))
    assert lower[0] <= 0.6 <= upper[0]


def test_only_numbers_have_intervals() -> None:
    assert all(DERIVED[name].kind is ColumnKind.NUMBER for name in INTERVALS)
    assert {"k_vrh_gpa", "g_vrh_gpa", "e_norm_c_per_m2", "eps_total_mean", "eps_electronic_min"} <= set(INTERVALS)
