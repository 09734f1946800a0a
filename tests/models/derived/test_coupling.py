"""Coupling factors and longitudinal responses: closed forms of class 6mm, brute force over loads and directions."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.derived.coupling import EPS0_PC_PER_V_M, derive_coupling
from models.derived.extremes.longitudinal import largest_longitudinal
from models.derived.extremes.sphere import half_sphere
from models.derived.piezoelectric import strain_mandel
from models.quantities import Tensor
from models.tensors.rotate import rotate
from models.tensors.voigt import ShapeError, voigt_to_piezo

Floats = NDArray[np.float64]


def _from_entries(entries: dict[str, float], n_rows: int) -> Floats:
    matrix = np.zeros((n_rows, 6))
    for key, value in entries.items():
        matrix[int(key[0]) - 1, int(key[1]) - 1] = value
        if n_rows == 6:
            matrix[int(key[1]) - 1, int(key[0]) - 1] = value
    return matrix


def _polar(t15: float, t31: float, t33: float) -> Floats:
    """e_ijk of class 6mm."""
    return np.asarray(voigt_to_piezo(_from_entries({"15": t15, "24": t15, "31": t31, "32": t31, "33": t33}, 3)))


def test_zno_has_the_larger_of_its_two_coupling_factors(published: dict[str, Any]) -> None:
    """IEEE Std 176-1987: k_15^2 = e15^2 / (c44 eps11^T); along the axis the free crystal gains 2 e31 d31 + e33 d33.

    A bar poled along its length has k_33^2 = d33^2 / (s33 eps33^T), which no geometry may exceed.
    """
    case = next(case for case in published["piezoelectric"] if case["name"] == "ZnO")
    e, c = case["e_c_per_m2"], _from_entries(case["stiffness_gpa"], 6)
    eps = np.array([8.33, 8.33, 8.84])
    got = derive_coupling(_polar(e["15"], e["31"], e["33"])[None], c[None], np.diag(eps)[None], np.array([True]))
    s = 1000 * np.linalg.inv(c)
    d31 = e["31"] * (s[0, 0] + s[0, 1]) + e["33"] * s[0, 2]
    d33 = 2 * e["31"] * s[0, 2] + e["33"] * s[2, 2]
    gains = np.array([e["15"] ** 2 * s[3, 3], 2 * e["31"] * d31 + e["33"] * d33])
    free = gains + EPS0_PC_PER_V_M * eps[[0, 2]]
    assert got["k_coupling_max"][0] == pytest.approx(np.sqrt(gains / free).max(), rel=1e-9)
    k_33 = d33 / np.sqrt(s[2, 2] * free[1])
    assert 0.4 < k_33 < got["k_coupling_max"][0] < 0.6


def test_no_stress_gives_more_than_the_figures_say(piezo: Floats, stable: Floats, rng: np.random.Generator) -> None:
    count, eps = 5, np.diag([4.0, 7.0, 11.0]) + 0.5
    columns = derive_coupling(piezo[:count], stable[:count], np.stack([eps] * count), np.ones(count, dtype=np.bool_))
    stress = rng.normal(size=(60000, 6))
    stress /= np.linalg.norm(stress, axis=1, keepdims=True)
    for row in range(count):
        d = strain_mandel(piezo[row : row + 1], stable[row : row + 1])[0]
        compliance = 1000 * np.linalg.inv(_mandel(stable[row]))
        free = EPS0_PC_PER_V_M * eps + d @ _mandel(stable[row]) @ d.T / 1000
        polarization = stress @ d.T
        field = polarization @ np.linalg.inv(free)
        product = (polarization * field).sum(axis=1)
        # Under stress alone the part of the elastic energy that is electric at open electrodes is k squared.
        energy = product / np.einsum("ni,ij,nj->n", stress, compliance, stress)
        for name, tried in (
            ("g_max_mv_m_per_n", 1e3 * np.linalg.norm(field, axis=1)),
            ("dg_max_per_tpa", product),
            ("k_coupling_max", np.sqrt(energy)),
        ):
            assert tried.max() <= columns[name][row] * (1 + 1e-9), name
            assert tried.max() > 0.8 * columns[name][row], name


def _mandel(voigt: Floats) -> Floats:
    factor = np.array([1.0, 1, 1, *[np.sqrt(2.0)] * 3])
    return voigt * np.outer(factor, factor)


def test_what_symmetry_forbids_is_zero_and_what_is_unstable_unknown(piezo: Floats, stable: Floats) -> None:
    stiffness = np.stack([stable[0], -np.eye(6), -np.eye(6)])
    eps = np.stack([5 * np.eye(3)] * 3)
    for values in derive_coupling(piezo[:3], stiffness, eps, np.array([True, False, True])).values():
        assert values[0] > 0
        assert values[1] == 0
        assert np.isnan(values[2])
    with pytest.raises(ShapeError, match=r"\[3, 3, 3\]"):
        derive_coupling(piezo[:3], stiffness, eps[:2], np.ones(3, dtype=np.bool_))


@pytest.mark.parametrize(("t15", "t31", "t33"), [(-0.59, -0.61, 1.14), (12.0, -5.0, 20.0), (3.0, 1.0, 0.2)])
def test_class_6mm_responds_most_along_or_beside_its_axis(t15: float, t31: float, t33: float) -> None:
    """With u the cosine to the axis, T_nnn = (t31 + 2 t15) u (1 - u^2) + t33 u^3."""
    aside = t31 + 2 * t15
    u = np.sqrt(np.clip(aside / (3 * (aside - t33)), 0, 1))
    expected = max(abs(t33), abs(aside * u + (t33 - aside) * u**3))
    value, direction = largest_longitudinal(_polar(t15, t31, t33)[None])
    assert value[0] == pytest.approx(expected, rel=1e-9)
    assert np.einsum("ijk,i,j,k", _polar(t15, t31, t33), *[direction[0]] * 3) == pytest.approx(expected, rel=1e-9)


def test_no_direction_of_a_fine_grid_responds_more(piezo: Floats) -> None:
    values, directions = largest_longitudinal(piezo[:50])
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, rtol=1e-12)
    n = half_sphere(8000)
    fine = np.abs(np.einsum("cijk,ni,nj,nk->cn", piezo[:50], n, n, n, optimize=True)).max(axis=1)
    assert (values >= fine * (1 - 1e-12)).all()
    np.testing.assert_allclose(values, fine, rtol=2e-3)


def test_the_longitudinal_extreme_does_not_depend_on_the_frame(piezo: Floats, rng: np.random.Generator) -> None:
    rotation, _ = np.linalg.qr(rng.normal(size=(200, 3, 3)))
    turned = rotate(Tensor.PIEZOELECTRIC, piezo[:200], rotation)
    np.testing.assert_allclose(largest_longitudinal(turned)[0], largest_longitudinal(piezo[:200])[0], rtol=1e-6)
    assert np.abs(turned[:, 0, 0, 0] - piezo[:200, 0, 0, 0]).mean() > 0.1  # control
