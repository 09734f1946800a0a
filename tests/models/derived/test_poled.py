"""Poled ceramics: an average over explicit grains, the single crystal and the random texture as limits."""

import numpy as np
import pytest
from numpy.typing import NDArray

from models.derived.poled import polar_axes, poled_average
from models.quantities import Tensor
from models.tensors.rotate import rotate
from models.tensors.voigt import ShapeError, voigt_to_piezo

Floats = NDArray[np.float64]


def _about(axis: int, angle: float) -> Floats:
    turned = np.eye(3)
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    turned[first, first] = turned[second, second] = np.cos(angle)
    turned[second, first], turned[first, second] = np.sin(angle), -np.sin(angle)
    return turned


def _average_of_grains(tensor: Floats, axis: Floats, half_angle_deg: float) -> Floats:
    """By quadrature that is exact for rank 3: Gauss in the cosine, five equal steps of both other angles."""
    columns, _ = np.linalg.qr(np.column_stack([axis, np.eye(3)[np.argsort(np.abs(axis))[:2]].T]))
    upright = np.stack([columns[:, 1], np.cross(axis, columns[:, 1]), axis])
    c = np.cos(np.radians(half_angle_deg))
    nodes, weights = np.polynomial.legendre.leggauss(8)
    steps = 2 * np.pi * np.arange(5) / 5
    total = np.zeros((3, 3, 3))
    for cosine, weight in zip((1 + c) / 2 + (1 - c) / 2 * nodes, weights / 2, strict=True):
        tilts = [_about(2, a) @ _about(1, np.arccos(cosine)) @ _about(2, b) @ upright for a in steps for b in steps]
        total += weight * rotate(Tensor.PIEZOELECTRIC, np.broadcast_to(tensor, (25, 3, 3, 3)), np.stack(tilts)).mean(0)
    return total


@pytest.mark.parametrize("half_angle", [0.0, 30.0, 54.7, 90.0, 140.0, 180.0])
def test_the_average_is_that_of_explicit_grains(piezo: Floats, rng: np.random.Generator, half_angle: float) -> None:
    axes = rng.normal(size=(3, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    got = poled_average(piezo[:3], axes, half_angle)
    for row in range(3):
        np.testing.assert_allclose(got[row], _average_of_grains(piezo[row], axes[row], half_angle), atol=1e-12)


def test_without_poling_there_is_exactly_nothing(piezo: Floats) -> None:
    axes = polar_axes(piezo)
    assert (poled_average(piezo, axes, 180.0) == 0).all()
    assert np.abs(poled_average(piezo, axes, 90.0)).min(axis=0)[2, 2, 2] > 0  # control


def test_aligned_grains_of_class_6mm_are_the_crystal() -> None:
    crystal = voigt_to_piezo(np.array([[0, 0, 0, 0, -0.59, 0], [0, 0, 0, -0.59, 0, 0], [-0.61, -0.61, 1.14, 0, 0, 0]]))
    np.testing.assert_allclose(polar_axes(crystal[None]), [[0, 0, -1.0]])
    np.testing.assert_allclose(poled_average(crystal[None], np.array([[0, 0, 1.0]]), 0.0)[0], crystal, atol=1e-12)


def test_a_crystal_without_polar_axis_cannot_be_poled() -> None:
    """Class 32, as quartz: no vector is left alone by its rotations."""
    quartz = voigt_to_piezo(np.array([[0.171, -0.171, 0, -0.04, 0, 0], [0, 0, 0, 0, 0.04, -0.171], [0.0] * 6]))[None]
    assert np.isnan(polar_axes(quartz)).all()
    assert np.isnan(poled_average(quartz, polar_axes(quartz), 30.0)[0, 2, 2, 2])
    # along its threefold axis the shears 14 and 25 survive, as under any axis of infinite order
    along = poled_average(quartz, np.array([[0, 0, 1.0]]), 0.0)[0]
    assert along[0, 1, 2] == pytest.approx(-0.04)
    assert along[0, 0, 0] == 0


def test_what_has_no_meaning_is_refused(piezo: Floats) -> None:
    with pytest.raises(ShapeError, match=r"axes must have shape \[2, 3\]"):
        poled_average(piezo[:2], np.eye(3), 10.0)
    with pytest.raises(ShapeError, match="between 0 and 180"):
        poled_average(piezo[:2], np.eye(3)[:2], -1.0)
