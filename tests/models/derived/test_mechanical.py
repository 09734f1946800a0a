"""Hardness and anisotropy: measured hardnesses, closed forms, which crystals have a Zener ratio."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.derived.elastic import Unstable, derive_elastic
from models.derived.mechanical import (
    derive_mechanical,
    hardness_chen,
    hardness_tian,
    has_cubic_form,
    log_euclidean_anisotropy,
    zener_anisotropy,
)
from models.quantities import Tensor
from models.tensors.rotate import rotate

Floats = NDArray[np.float64]


def _cubic(c11: float, c12: float, c44: float) -> Floats:
    c = np.diag([c11 - c12] * 3 + [c44] * 3)
    c[:3, :3] += c12
    return c


@pytest.mark.parametrize(("bulk", "shear", "measured"), [(443.0, 535.0, 96.0), (400.0, 403.0, 66.0)])
def test_diamond_and_boron_nitride_are_as_hard_as_measured(bulk: float, shear: float, measured: float) -> None:
    """R. A. Andrievski, Int. J. Refract. Met. Hard Mater. 19, 447 (2001): Vickers hardness of diamond and c-BN."""
    for formula in (hardness_chen, hardness_tian):
        assert formula(np.array([bulk]), np.array([shear]))[0] == pytest.approx(measured, rel=0.05)


@given(st.floats(1.0, 500.0), st.floats(1.0, 500.0))
def test_the_formulas_are_those_of_the_papers(bulk: float, shear: float) -> None:
    ratio = shear / bulk
    chen, tian = hardness_chen(np.array([bulk]), np.array([shear])), hardness_tian(np.array([bulk]), np.array([shear]))
    assert chen[0] == pytest.approx(2 * (ratio**2 * shear) ** 0.585 - 3, rel=1e-9, abs=1e-9)
    assert tian[0] == pytest.approx(0.92 * ratio**1.137 * shear**0.708, rel=1e-9)


def test_a_body_without_a_positive_modulus_has_no_hardness() -> None:
    for formula in (hardness_chen, hardness_tian):
        assert np.isnan(formula(np.array([-1.0, 100.0, np.nan]), np.array([50.0, 0.0, 50.0]))).all()


@settings(max_examples=50, deadline=None)
@given(st.floats(1.0, 300.0), st.floats(1.0, 300.0), st.floats(1.0, 300.0), st.integers(0, 2**32 - 1))
def test_the_zener_ratio_of_a_cubic_crystal_in_any_orientation(bulk: float, two: float, c44: float, seed: int) -> None:
    """Eigenvalues 3 K, c11 - c12 and 2 c44 may stand in any order."""
    c11 = bulk + 4 * two / 3
    rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    turned = rotate(Tensor.ELASTIC, _cubic(c11, c11 - 2 * two, c44)[None], rotation)
    assert has_cubic_form(turned)[0]
    assert zener_anisotropy(turned)[0] == pytest.approx(c44 / two, rel=1e-6)


def test_only_cubic_crystals_have_a_zener_ratio(stable: Floats) -> None:
    copper = _cubic(168.4, 121.4, 75.4)
    batch = np.stack([copper, copper, -np.eye(6), stable[0]])
    system = np.array(["cubic", "tetragonal", "cubic", "triclinic"])
    columns = derive_mechanical(derive_elastic(batch, Unstable.FLAG), batch, system, Unstable.FLAG)
    assert columns["zener_anisotropy"][0] == pytest.approx(2 * 75.4 / 47.0, rel=1e-9)
    assert np.isnan(columns["zener_anisotropy"][1:]).all()
    assert not has_cubic_form(stable[:50]).any()


def test_the_log_euclidean_anisotropy_is_that_of_the_zener_ratio() -> None:
    """Kube (2016), eq. 6, for cubic crystals: sqrt(5) ln[(2 + 3 A) (3 + 2 A) / (25 A)]; 0 where A is 1."""
    for c11, c12, c44 in ((168.4, 121.4, 75.4), (400.0, 50.0, 60.0), (200.0, 80.0, 60.0)):
        columns = derive_elastic(_cubic(c11, c12, c44)[None])
        got = log_euclidean_anisotropy(*(columns[f"{n}_gpa"] for n in ("k_voigt", "k_reuss", "g_voigt", "g_reuss")))[0]
        zener = 2 * c44 / (c11 - c12)
        expected = np.sqrt(5) * np.log((2 + 3 * zener) * (3 + 2 * zener) / (25 * zener))
        assert got == pytest.approx(expected, rel=1e-9, abs=1e-9)
