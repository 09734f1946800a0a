"""Directional elasticity: closed forms for cubic crystals, brute force for triclinic ones, invariance."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.derived.elastic import Unstable
from models.derived.extremes.directional import derive_directional, young_modulus_along
from models.derived.extremes.sphere import half_sphere
from models.derived.surfaces import Surface, directional_values
from models.errors import UnphysicalTensorError
from models.quantities import Tensor
from models.tensors.rotate import rotate
from models.tensors.voigt import ShapeError

Floats = NDArray[np.float64]


def _cubic(c11: float, c12: float, c44: float) -> Floats:
    c = np.diag([c11 - c12] * 3 + [c44] * 3)
    c[:3, :3] += c12
    return c


def test_copper_is_softest_along_100_and_stiffest_along_111() -> None:
    """Nye (1985), ch. VIII: 1/E = s11 - 2 (s11 - s12 - s44/2) (l^2 m^2 + m^2 n^2 + n^2 l^2) for cubic crystals."""
    copper = _cubic(168.4, 121.4, 75.4)
    s = np.linalg.inv(copper)
    anisotropy = s[0, 0] - s[0, 1] - s[3, 3] / 2
    columns = derive_directional(copper[None])
    assert columns["young_min_gpa"][0] == pytest.approx(1 / s[0, 0], rel=1e-10)
    assert columns["young_max_gpa"][0] == pytest.approx(1 / (s[0, 0] - 2 * anisotropy / 3), rel=1e-10)
    along = young_modulus_along(copper[None], np.array([[2.0, 0, 0], [0, 3, 3], [1, 1, 1]]))[0]
    expected = [1 / (s[0, 0] - 2 * anisotropy * weight) for weight in (0, 1 / 4, 1 / 3)]
    np.testing.assert_allclose(along, expected, rtol=1e-12)


def test_modulus_along_a_direction_is_that_of_the_crystal_turned_there(
    stable: Floats, rng: np.random.Generator
) -> None:
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    compliance = np.linalg.inv(rotate(Tensor.ELASTIC, stable[:20], rotation))
    along = young_modulus_along(stable[:20], rotation[:1])[:, 0]
    np.testing.assert_allclose(along, 1 / compliance[:, 0, 0], rtol=1e-8)


def test_extremes_bound_a_fine_grid_closely(stable: Floats) -> None:
    columns = derive_directional(stable[:40])
    fine = young_modulus_along(stable[:40], half_sphere(40000))
    assert (columns["young_min_gpa"] <= fine.min(axis=1) * (1 + 1e-12)).all()
    assert (columns["young_max_gpa"] >= fine.max(axis=1) * (1 - 1e-12)).all()
    np.testing.assert_allclose(columns["young_min_gpa"], fine.min(axis=1), rtol=5e-3)
    np.testing.assert_allclose(columns["young_max_gpa"], fine.max(axis=1), rtol=5e-3)


def test_extremes_are_unchanged_by_rotation_where_a_grid_is_not(stable: Floats, rng: np.random.Generator) -> None:
    rotation, _ = np.linalg.qr(rng.normal(size=(300, 3, 3)))
    rotated = rotate(Tensor.ELASTIC, stable[:300], rotation)
    before, after = derive_directional(stable[:300]), derive_directional(rotated)
    for name in before:
        change = np.abs(after[name] - before[name]) / np.maximum(np.abs(before[name]), 1e-3)
        # of these crystals, far more anisotropic than real ones, a few have a maximum narrower than the grid
        assert np.quantile(change, 0.97) < 1e-6, name
        assert change.max() < 0.1, name
    grid = half_sphere(800)
    coarse = [young_modulus_along(c, grid).max(axis=1) for c in (stable[:300], rotated)]
    assert np.abs(coarse[0] / coarse[1] - 1).max() > 1e-4  # control


@pytest.mark.parametrize(
    ("column", "surface", "sign"),
    [
        ("shear_min_gpa", Surface.SHEAR_MIN, -1.0),
        ("shear_max_gpa", Surface.SHEAR_MAX, 1.0),
        ("poisson_min", Surface.POISSON_MIN, -1.0),
        ("poisson_max", Surface.POISSON_MAX, 1.0),
    ],
)
def test_no_frame_of_a_fine_grid_goes_beyond_the_extremes(
    column: str, surface: Surface, sign: float, stable: Floats
) -> None:
    """Oracle: eigenvalues of the transverse 2x2 matrix along 3,000 directions."""
    directions = half_sphere(3000)
    extremes = derive_directional(stable[:12])[column]
    for crystal, extreme in zip(stable, extremes, strict=False):
        fine = (sign * directional_values(surface, {Tensor.ELASTIC: crystal}, directions)).max()
        assert fine <= sign * extreme + 1e-8 * abs(extreme)
        assert fine == pytest.approx(sign * extreme, rel=0.02, abs=0.01)


def test_linear_compressibility_sums_to_the_reuss_compressibility(stable: Floats) -> None:
    compliance = 1000 * np.linalg.inv(stable)
    along_axes = compliance[:, :3, :3].sum(axis=2)  # along x, y and z
    columns = derive_directional(stable)
    low, high = columns["linear_compressibility_min_per_tpa"], columns["linear_compressibility_max_per_tpa"]
    slack = 1e-9 * np.abs(along_axes).max()
    assert ((low[:, None] <= along_axes + slack) & (along_axes <= high[:, None] + slack)).all()
    cubic = derive_directional(_cubic(168.4, 121.4, 75.4)[None])
    third = 1000 / (3 * (168.4 + 2 * 121.4) / 3)
    assert cubic["linear_compressibility_min_per_tpa"][0] == pytest.approx(third, rel=1e-12)
    assert cubic["linear_compressibility_max_per_tpa"][0] == pytest.approx(third, rel=1e-12)


def test_an_isotropic_body_is_the_same_in_every_direction() -> None:
    columns = derive_directional(_cubic(200.0, 80.0, 60.0)[None])
    young = 9 * 120 * 60 / (3 * 120 + 60)
    assert columns["young_min_gpa"][0] == pytest.approx(young, rel=1e-12)
    assert columns["young_max_gpa"][0] == pytest.approx(young, rel=1e-12)


def test_unstable_crystals_are_refused_or_flagged(stable: Floats) -> None:
    batch = stable[:3].copy()
    batch[2] = -np.eye(6)
    with pytest.raises(UnphysicalTensorError, match="1 of 3"):
        derive_directional(batch)
    for values in derive_directional(batch, unstable=Unstable.FLAG).values():
        assert np.isnan(values).tolist() == [False, False, True]


def test_directions_without_length_are_refused(stable: Floats) -> None:
    with pytest.raises(ShapeError, match="zero or not finite"):
        young_modulus_along(stable[:1], np.zeros((1, 3)))
    with pytest.raises(ShapeError, match=r"\[n_directions, 3\]"):
        young_modulus_along(stable[:1], np.ones(3))
