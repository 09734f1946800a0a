"""Surfaces of one crystal: closed forms, brute force over both directions, rotation, and what is refused."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.derived.extremes.sphere import half_sphere
from models.derived.surfaces import (
    SURFACES,
    Extremes,
    MissingTensorError,
    Surface,
    directional_values,
    extremes,
    sphere,
)
from models.errors import UnphysicalTensorError
from models.quantities import TENSORS, Tensor
from models.tensors.rotate import rotate
from models.tensors.voigt import ShapeError, voigt_to_piezo, voigt_to_stiffness

Floats = NDArray[np.float64]

DENSITY = 5000.0
ALL = list(Surface)


@pytest.fixture
def tensors(stable: Floats, piezo: Floats) -> dict[Tensor, Floats]:
    """Of a crystal of no symmetry."""
    shape = np.array([[4.0, 0.5, 0.1], [0.5, 6.0, -0.3], [0.1, -0.3, 5.0]])
    return {
        Tensor.ELASTIC: stable[0],
        Tensor.PIEZOELECTRIC: piezo[0],
        Tensor.DIELECTRIC_ELECTRONIC: shape,
        Tensor.DIELECTRIC_TOTAL: 3 * shape,
    }


def _cubic(c11: float, c12: float, c44: float) -> Floats:
    c = np.diag([c11 - c12] * 3 + [c44] * 3)
    c[:3, :3] += c12
    return c


def _reached(surface: Surface, tensors: dict[Tensor, Floats], ends: Extremes) -> list[float]:
    directions = np.stack([ends.min_direction, ends.max_direction])
    return directional_values(surface, tensors, directions, DENSITY).tolist()


@pytest.mark.parametrize("surface", ALL)
def test_extremes_bound_a_fine_grid_and_are_reached(surface: Surface, tensors: dict[Tensor, Floats]) -> None:
    ends = extremes(surface, tensors, DENSITY)
    grid = half_sphere(5000)
    values = directional_values(surface, tensors, np.concatenate([grid, -grid]), DENSITY)
    slack = 1e-9 * np.abs(values).max()
    assert ends.min <= values.min() + slack
    assert ends.max >= values.max() - slack
    assert _reached(surface, tensors, ends) == pytest.approx([ends.min, ends.max])
    # a coupling factor is 0 where the piezoelectric response changes its sign
    assert SURFACES[surface].signed or ends.min > 0 or surface is Surface.THICKNESS_COUPLING


@pytest.mark.parametrize("surface", ALL)
def test_a_surface_turns_with_the_crystal(surface: Surface, tensors: dict[Tensor, Floats]) -> None:
    rotation, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    rotated = {tensor: rotate(tensor, values, rotation) for tensor, values in tensors.items()}
    grid = half_sphere(50)
    before = directional_values(surface, tensors, grid, DENSITY)
    after = directional_values(surface, rotated, grid @ rotation.T, DENSITY)
    np.testing.assert_allclose(after, before, rtol=1e-7, atol=1e-9)
    fixed = directional_values(surface, rotated, grid, DENSITY)
    assert np.abs(fixed - before).max() > 1e-2 * np.abs(before).max()  # control: the directions must turn as well


@pytest.mark.parametrize(
    ("stiffness", "piezo", "eps", "rotated_y", "published"),
    [
        # K. Tsubouchi, N. Mikoshiba, IEEE Trans. Sonics Ultrason. 32, 634 (1985): AlN, k_t^2 = 6.5 %
        ((345, 125, 120, 395, 118, 0), (-0.48, -0.58, 1.55, 0), (9.0, 9.5), 90, 0.255),
        # H. Jaffe, D. A. Berlincourt, Proc. IEEE 53, 1372 (1965): ZnO
        ((209.7, 121.1, 105.1, 210.9, 42.5, 0), (-0.59, -0.61, 1.14, 0), (8.55, 8.84), 90, 0.28),
        # A. W. Warner, M. Onoe, G. A. Coquin, J. Acoust. Soc. Am. 42, 1223 (1967): LiNbO3, Z and 36 degree Y cut
        ((203, 53, 75, 245, 60, 9), (3.7, 0.2, 1.3, 2.5), (44.0, 29.0), 90, 0.17),
        ((203, 53, 75, 245, 60, 9), (3.7, 0.2, 1.3, 2.5), (44.0, 29.0), 36, 0.487),
    ],
)
def test_thickness_coupling_is_that_of_published_plates(
    stiffness: tuple[float, ...],
    piezo: tuple[float, ...],
    eps: tuple[float, float],
    rotated_y: float,
    published: float,
) -> None:
    c11, c12, c13, c33, c44, c14 = stiffness
    e15, e31, e33, e22 = piezo
    c = np.diag([c11, c11, c33, c44, c44, (c11 - c12) / 2])
    c[0, 1] = c[1, 0] = c12
    c[:2, 2] = c[2, :2] = c13
    c[0, 3], c[1, 3], c[4, 5] = c[3, 0], c[3, 1], c[5, 4] = c14, -c14, c14
    e = np.array([[0, 0, 0, 0, e15, -e22], [-e22, e22, 0, e15, 0, 0], [e31, e31, e33, 0, 0, 0]])
    given = {
        Tensor.ELASTIC: c,
        Tensor.PIEZOELECTRIC: voigt_to_piezo(e),
        Tensor.DIELECTRIC_TOTAL: np.diag([eps[0], eps[0], eps[1]]),
    }
    angle = np.radians(rotated_y)
    normal = np.array([[0.0, np.cos(angle), np.sin(angle)]])
    assert directional_values(Surface.THICKNESS_COUPLING, given, normal)[0] == pytest.approx(published, rel=0.05)


def test_thickness_coupling_along_a_polar_axis_is_what_the_field_adds_to_the_stiffness(
    tensors: dict[Tensor, Floats],
) -> None:
    """Of a pure mode k^2 = 1 - c^E/c^D, with c^D from the stiffened Christoffel matrix; without e it is 0."""
    c, e, eps = tensors[Tensor.ELASTIC].copy(), np.zeros((3, 3, 3)), tensors[Tensor.DIELECTRIC_TOTAL]
    # no stress and no field across x from a strain along it: a pure mode
    c[0, [4, 5]] = c[[4, 5], 0] = 0.0
    e[0, 0, 0] = 2.0
    stiffened = voigt_to_stiffness(c)[0, :, 0, :] * 1e9
    stiffened[0, 0] += e[0, 0, 0] ** 2 / (8.8541878188e-12 * eps[0, 0])
    expected = np.sqrt(1 - c[0, 0] * 1e9 / stiffened[0, 0])
    given = {Tensor.ELASTIC: c, Tensor.PIEZOELECTRIC: e, Tensor.DIELECTRIC_TOTAL: eps}
    axis = np.eye(3)[:1]
    assert np.abs(np.linalg.eigvalsh(stiffened) / stiffened[0, 0] - 1).min() < 1e-12  # it is a mode
    assert directional_values(Surface.THICKNESS_COUPLING, given, axis)[0] == pytest.approx(expected, rel=1e-9)
    given[Tensor.PIEZOELECTRIC] = 0 * e
    assert directional_values(Surface.THICKNESS_COUPLING, given, axis)[0] == 0


def test_shear_and_poisson_bound_brute_force_over_the_transverse_direction(tensors: dict[Tensor, Floats]) -> None:
    """An independent road: the crystal is rotated so that n, m are its first two axes, and S'_66, S'_12 are read."""
    n = half_sphere(1)[0]
    low = {s: directional_values(s, tensors, n[None])[0] for s in ALL[2:6]}
    first = np.cross(n, [1.0, 0, 0])
    first /= np.linalg.norm(first)
    shear, poisson = [], []
    for angle in np.linspace(0, np.pi, 721):
        m = np.cos(angle) * first + np.sin(angle) * np.cross(n, first)
        turned = rotate(Tensor.ELASTIC, tensors[Tensor.ELASTIC], np.stack([n, m, np.cross(n, m)]))
        s = np.linalg.inv(turned)
        shear.append(1 / s[5, 5])
        poisson.append(-s[0, 1] / s[0, 0])
    expected = [min(shear), max(shear), min(poisson), max(poisson)]
    assert list(low.values()) == pytest.approx(expected, rel=1e-4)


def test_cubic_crystals_have_the_extremes_of_the_closed_forms() -> None:
    """Shear: c44 and (c11 - c12) / 2. Sound along 100, 110, 111: M. J. P. Musgrave (1970), ch. 7."""
    c11, c12, c44 = 168.4, 121.4, 75.4
    copper = {Tensor.ELASTIC: _cubic(c11, c12, c44)}
    low, high = (extremes(s, copper) for s in (Surface.SHEAR_MIN, Surface.SHEAR_MAX))
    assert (low.min, high.max) == pytest.approx(((c11 - c12) / 2, c44))
    axes = np.array([[1.0, 0, 0], [1, 1, 0], [1, 1, 1]]) / np.sqrt([[1], [2], [3]])
    longitudinal = [c11, (c11 + c12 + 2 * c44) / 2, (c11 + 2 * c12 + 4 * c44) / 3]
    slow = [c44, (c11 - c12) / 2, (c11 - c12 + c44) / 3]
    for surface, moduli in ((Surface.SOUND_LONGITUDINAL, longitudinal), (Surface.SOUND_TRANSVERSE_SLOW, slow)):
        expected = np.sqrt(np.array(moduli) * 1e9 / DENSITY)
        np.testing.assert_allclose(directional_values(surface, copper, axes, DENSITY), expected, rtol=1e-12)


def test_poisson_ratio_of_a_cubic_crystal_along_110() -> None:
    """F. Milstein and K. Huang, Phys. Rev. B 19, 2030 (1979), eq. 1: pulled along 110, read along 001 and 1-10."""
    c11, c12, c44 = 168.4, 121.4, 75.4
    copper = {Tensor.ELASTIC: _cubic(c11, c12, c44)}
    n = np.array([[1.0, 1, 0]]) / np.sqrt(2)
    shared = (c11 + 2 * c12) * (c11 - c12)
    across = 4 * c12 * c44 / (2 * c11 * c44 + shared)
    along = (shared - 2 * c11 * c44) / (2 * c11 * c44 + shared)
    found = [directional_values(s, copper, n)[0] for s in (Surface.POISSON_MIN, Surface.POISSON_MAX)]
    assert found == pytest.approx([along, across], rel=1e-12)
    assert along < 0 < across  # copper is auxetic along 1-10


def test_transverse_directions_are_normal_and_belong_to_the_extreme(tensors: dict[Tensor, Floats]) -> None:
    ends = extremes(Surface.POISSON_MAX, tensors)
    assert ends.max_transverse is not None
    assert abs(ends.max_direction @ ends.max_transverse) < 1e-12
    frame = np.stack([ends.max_direction, ends.max_transverse, np.cross(ends.max_direction, ends.max_transverse)])
    s = np.linalg.inv(rotate(Tensor.ELASTIC, tensors[Tensor.ELASTIC], frame))
    assert -s[0, 1] / s[0, 0] == pytest.approx(ends.max)
    assert extremes(Surface.YOUNG, tensors).max_transverse is None


def test_an_isotropic_crystal_is_the_same_everywhere() -> None:
    isotropic = {Tensor.ELASTIC: _cubic(200.0, 80.0, 60.0)}
    for surface in ALL[:6]:
        ends = extremes(surface, isotropic)
        assert ends.min == pytest.approx(ends.max, rel=1e-9)


def test_what_is_missing_or_unphysical_is_named(tensors: dict[Tensor, Floats]) -> None:
    n = half_sphere(2)
    with pytest.raises(MissingTensorError, match="elastic_voigt"):
        directional_values(Surface.PIEZO_LONGITUDINAL_D, {Tensor.PIEZOELECTRIC: tensors[Tensor.PIEZOELECTRIC]}, n)
    with pytest.raises(MissingTensorError, match="density"):
        extremes(Surface.SOUND_LONGITUDINAL, tensors)
    with pytest.raises(UnphysicalTensorError):
        extremes(Surface.SOUND_LONGITUDINAL, {Tensor.ELASTIC: -np.eye(6)}, DENSITY)
    with pytest.raises(ShapeError, match="unit vectors"):
        directional_values(Surface.YOUNG, tensors, 2 * n)
    with pytest.raises(ShapeError, match="elastic_voigt must have shape"):
        directional_values(Surface.YOUNG, {Tensor.ELASTIC: np.eye(3)}, n)


def test_the_sphere_closes_and_every_surface_is_declared() -> None:
    theta, phi, directions = sphere(7, 9)
    assert (len(theta), len(phi), directions.shape) == (7, 9, (63, 3))
    np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1)
    np.testing.assert_allclose(directions.reshape(7, 9, 3)[:, 0], directions.reshape(7, 9, 3)[:, -1], atol=1e-12)
    assert set(SURFACES) == set(Surface)
    assert {tensor for row in SURFACES.values() for tensor in row.from_tensors} == set(TENSORS)
