"""Mixtures and dielectric polycrystals: the order of the bounds, closed forms, limits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.derived.composite import dielectric_mixture, dielectric_polycrystal, elastic_mixture, maxwell_garnett
from models.tensors.voigt import ShapeError

Floats = NDArray[np.float64]

CONSTANT = st.floats(1.0, 1e4)
MODULUS = st.floats(1.0, 1000.0)
FRACTION = st.floats(0.0, 1.0)


@settings(max_examples=100, deadline=None)
@given(st.tuples(CONSTANT, CONSTANT, CONSTANT), st.integers(0, 2**32 - 1))
def test_the_bounds_of_a_polycrystal_stand_in_order(principal: tuple[float, float, float], seed: int) -> None:
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    chain = np.array(dielectric_polycrystal((rotation * principal @ rotation.T)[None]))[:, 0]
    assert (np.diff(chain) >= -1e-9 * chain[1:]).all()
    assert chain[0] == pytest.approx(3 / (1 / np.array(principal)).sum(), rel=1e-6)
    assert chain[4] == pytest.approx(np.mean(principal), rel=1e-9)
    # Bruggeman's equation itself
    consistent = chain[2]
    terms = (np.array(principal) - consistent) / (np.array(principal) + 2 * consistent)
    assert terms.sum() == pytest.approx(0, abs=1e-6)


def test_the_bounds_of_a_uniaxial_polycrystal_are_hashin_and_shtrikmans() -> None:
    """1 / <1 / (e + 2 e0)> - 2 e0 with the lowest and the highest principal constant as e0, by hand.

    Source: Z. Hashin and S. Shtrikman, Phys. Rev. 130, 129 (1963), for the conductivity of polycrystals.
    """
    bounds = dielectric_polycrystal(np.diag([10.0, 40.0, 40.0])[None])
    assert bounds.hs_lower[0] == pytest.approx(25.0)  # 3 / (1/30 + 2/60) - 20
    assert bounds.hs_upper[0] == pytest.approx(3 / (1 / 90 + 2 / 120) - 80)
    assert bounds.wiener_lower[0] == pytest.approx(20.0)
    assert bounds.wiener_upper[0] == pytest.approx(30.0)


def test_a_cubic_crystal_is_its_own_polycrystal_and_an_unstable_one_has_none() -> None:
    batch = np.stack([7.3 * np.eye(3), np.diag([1.0, 2.0, -1.0]), np.full((3, 3), np.nan)])
    for values in dielectric_polycrystal(batch):
        assert values[0] == pytest.approx(7.3, rel=1e-12)
        assert np.isnan(values[1:]).all()


@settings(max_examples=100, deadline=None)
@given(CONSTANT, CONSTANT, FRACTION)
def test_the_bounds_of_a_mixture_stand_in_order(first: float, second: float, fraction: float) -> None:
    bounds = dielectric_mixture(first, second, fraction)
    chain = np.array(bounds)
    assert (np.diff(chain) >= -1e-9 * chain[1:]).all()
    # either phase as the matrix gives a bound
    ends = sorted(float(maxwell_garnett(*each)) for each in ((first, second, fraction), (second, first, 1 - fraction)))
    assert ends == pytest.approx([float(bounds.hs_lower), float(bounds.hs_upper)], rel=1e-9)
    residual = sum(
        share * (phase - bounds.self_consistent) / (phase + 2 * bounds.self_consistent)
        for share, phase in ((1 - fraction, first), (fraction, second))
    )
    assert residual == pytest.approx(0, abs=1e-9)


@given(CONSTANT, CONSTANT, FRACTION)
def test_maxwell_garnett_is_clausius_and_mossottis_sum(matrix: float, spheres: float, fraction: float) -> None:
    mixed = maxwell_garnett(matrix, spheres, fraction)
    polarizability = fraction * (spheres - matrix) / (spheres + 2 * matrix)
    assert (mixed - matrix) / (mixed + 2 * matrix) == pytest.approx(polarizability, rel=1e-6, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.tuples(MODULUS, MODULUS), st.tuples(MODULUS, MODULUS), FRACTION)
def test_elastic_bounds_lie_within_reusss_and_voigts(
    bulk: tuple[float, float], shear: tuple[float, float], fraction: float
) -> None:
    bounds = elastic_mixture(bulk, shear, fraction)
    weights = np.array([1 - fraction, fraction])
    for moduli, lower, upper in ((bulk, bounds[0], bounds[1]), (shear, bounds[2], bounds[3])):
        chain = np.array([1 / (weights / moduli).sum(), lower, upper, (weights * moduli).sum()])
        assert (np.diff(chain) >= -1e-9 * chain[1:]).all()


def test_a_phase_alone_is_itself_and_few_holes_soften_as_eshelby_says() -> None:
    """J. D. Eshelby, Proc. R. Soc. A 241, 376 (1957): K falls by (1 + 3 K / 4 G) per volume of thin spherical holes."""
    for fraction, index in ((0.0, 0), (1.0, 1)):
        bounds = elastic_mixture((160.0, 37.0), (130.0, 44.0), fraction)
        assert np.array(bounds) == pytest.approx([(160.0, 37.0)[index]] * 2 + [(130.0, 44.0)[index]] * 2)
    bulk, shear, few = 160.0, 130.0, 1e-6
    porous = elastic_mixture((bulk, 1e-9), (shear, 1e-9), few)
    assert (1 - porous.k_upper_gpa / bulk) / few == pytest.approx(1 + 3 * bulk / (4 * shear), rel=1e-4)
    poisson = (3 * bulk - 2 * shear) / (6 * bulk + 2 * shear)
    expected = 15 * (1 - poisson) / (7 - 5 * poisson)
    assert (1 - porous.g_upper_gpa / shear) / few == pytest.approx(expected, rel=1e-4)


def test_what_is_no_mixture_is_refused() -> None:
    with pytest.raises(ShapeError, match="between 0 and 1"):
        dielectric_mixture(2.0, 3.0, 1.1)
    with pytest.raises(ShapeError, match="positive"):
        elastic_mixture((100.0, 0.0), (50.0, 20.0), 0.5)
