"""Bounds of polycrystals: their order for any stiffness, closed forms of cubic crystals, the isotropic body."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.derived.elastic import Unstable, derive_elastic
from models.derived.polycrystal import derive_polycrystal
from models.quantities import Tensor
from models.tensors.rotate import rotate
from models.tensors.voigt import mandel_to_stiffness_voigt

Floats = NDArray[np.float64]


def _cubic(c11: float, c12: float, c44: float) -> Floats:
    c = np.diag([c11 - c12] * 3 + [c44] * 3)
    c[:3, :3] += c12
    return c


def _random_stiffness(seed: int, decades: float, mixing: float) -> Floats:
    """Twenty tensors whose eigenvalues spread over some decades, from nearly isotropic to no symmetry at all."""
    rng = np.random.default_rng(seed)
    values = 10.0 ** rng.uniform(0, decades, size=(20, 6)) * 10
    # Without mixing the first eigenvector is pure dilation, as in a cubic crystal.
    basis, _ = np.linalg.qr(np.concatenate([np.array([[1.0, 1, 1, 0, 0, 0]]), np.eye(6)[1:]]).T)
    vectors, _ = np.linalg.qr(basis + mixing * rng.normal(size=(20, 6, 6)))
    return np.asarray(mandel_to_stiffness_voigt((vectors * values[:, None, :]) @ np.swapaxes(vectors, 1, 2)))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 3.0), st.sampled_from([0.0, 1e-6, 0.1, 10.0]))
def test_reuss_lower_self_consistent_upper_voigt_stand_in_this_order(seed: int, decades: float, mixing: float) -> None:
    stiffness = _random_stiffness(seed, decades, mixing)
    columns = derive_elastic(stiffness) | derive_polycrystal(stiffness)
    for modulus in ("k", "g"):
        names = ("reuss", "hs_lower", "self_consistent", "hs_upper", "voigt")
        chain = np.stack([columns[f"{modulus}_{name}_gpa"] for name in names])
        assert (np.diff(chain, axis=0) >= -1e-6 * chain[1:]).all(), modulus


def test_the_bounds_are_narrower_than_voigts_and_reusss(stable: Floats) -> None:
    """Negative control: the order alone would hold for bounds that are no better than the old ones."""
    columns = derive_elastic(stable) | derive_polycrystal(stable)
    for modulus in ("k", "g"):
        new = columns[f"{modulus}_hs_upper_gpa"] - columns[f"{modulus}_hs_lower_gpa"]
        old = columns[f"{modulus}_voigt_gpa"] - columns[f"{modulus}_reuss_gpa"]
        assert np.median(new / old) < 0.7


@pytest.mark.parametrize(("c11", "c12", "c44"), [(168.4, 121.4, 75.4), (297.9, 95.8, 154.4), (400.0, 50.0, 60.0)])
def test_cubic_crystals_have_the_closed_forms(c11: float, c12: float, c44: float) -> None:
    """The first is copper; the last is anisotropic the other way round.

    Hashin and Shtrikman, J. Mech. Phys. Solids 10, 343 (1962); self-consistent: E. Kröner, Z. Phys. 151, 504 (1958).
    """
    columns = derive_polycrystal(_cubic(c11, c12, c44)[None])
    bulk, two, three = (c11 + 2 * c12) / 3, (c11 - c12) / 2, c44

    def bound(own: float, other: float, own_weight: int, other_weight: int) -> float:
        beta = -3 * (bulk + 2 * own) / (5 * own * (3 * bulk + 4 * own))
        return own + other_weight / (5 / (other - own) - 2 * own_weight * beta)

    bounds = sorted([bound(two, three, 2, 3), bound(three, two, 3, 2)])
    assert columns["g_hs_lower_gpa"][0] == pytest.approx(bounds[0], rel=1e-6)
    assert columns["g_hs_upper_gpa"][0] == pytest.approx(bounds[1], rel=1e-6)
    cubic = [8.0, 9 * bulk + 4 * two, -3 * three * (bulk + 4 * two), -6 * bulk * two * three]
    root = max(np.roots(cubic).real)
    assert columns["g_self_consistent_gpa"][0] == pytest.approx(root, rel=1e-8)
    for name in ("k_hs_lower_gpa", "k_hs_upper_gpa", "k_self_consistent_gpa"):
        assert columns[name][0] == pytest.approx(bulk, rel=1e-8)


@settings(max_examples=30, deadline=None)
@given(st.floats(1.0, 1000.0), st.floats(1.0, 1000.0))
def test_an_isotropic_body_is_its_own_polycrystal(bulk: float, shear: float) -> None:
    c11, c12 = bulk + 4 * shear / 3, bulk - 2 * shear / 3
    for name, values in derive_polycrystal(_cubic(c11, c12, shear)[None]).items():
        assert values[0] == pytest.approx(bulk if name.startswith("k_") else shear, rel=1e-6), name


def test_the_orientation_of_the_crystal_does_not_matter(stable: Floats, rng: np.random.Generator) -> None:
    rotation, _ = np.linalg.qr(rng.normal(size=(100, 3, 3)))
    turned = derive_polycrystal(rotate(Tensor.ELASTIC, stable[:100], rotation))
    for name, values in derive_polycrystal(stable[:100]).items():
        np.testing.assert_allclose(turned[name], values, rtol=1e-6, err_msg=name)


def test_an_unstable_crystal_has_no_moduli_and_spoils_no_other(stable: Floats) -> None:
    batch = np.stack([stable[0], -np.eye(6)])
    alone = derive_polycrystal(stable[:1])
    for name, values in derive_polycrystal(batch, Unstable.FLAG).items():
        assert np.isnan(values[1])
        assert values[0] == pytest.approx(alone[name][0], rel=1e-12)
