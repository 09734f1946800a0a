"""Dielectric constants and optics: laws, published minerals, metals and broken tensors."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.derived.dielectric import (
    derive_dielectric,
    optic_sign,
    optical_class,
    optical_columns,
    principal_indices,
)
from models.quantities import DERIVED, Tensor
from models.tensors.voigt import ShapeError

Floats = NDArray[np.float64]


@pytest.fixture
def rotations(rng: np.random.Generator) -> Floats:
    return np.asarray(np.linalg.qr(rng.normal(size=(50, 3, 3)))[0])


def _turned(principal: Floats, rotations: Floats) -> Floats:
    """Tensors with the given principal values [n, 3] in arbitrary orientation."""
    return np.asarray(np.einsum("nia,na,nja->nij", rotations, principal, rotations))


def test_columns_are_exactly_the_registered_ones_in_order() -> None:
    columns = derive_dielectric(np.eye(3)[None], np.eye(3)[None])
    columns |= optical_columns(np.eye(3)[None], np.array(["cubic"]))
    dielectric = {Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL}
    assert list(columns) == [
        name for name, row in DERIVED.items() if row.from_tensors and set(row.from_tensors) <= dielectric
    ]


def test_principal_values_survive_any_orientation(rotations: Floats, rng: np.random.Generator) -> None:
    electronic, total = rng.uniform(1.5, 9, size=(50, 3)), rng.uniform(5, 40, size=(50, 3))
    tensors = _turned(electronic, rotations), _turned(total, rotations)
    columns = derive_dielectric(*tensors)
    for prefix, values in (("eps_electronic", electronic), ("eps_total", total)):
        np.testing.assert_allclose(columns[f"{prefix}_mean"], values.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(columns[f"{prefix}_min"], values.min(axis=1), rtol=1e-12)
        np.testing.assert_allclose(columns[f"{prefix}_max"], values.max(axis=1), rtol=1e-12)
    np.testing.assert_allclose(columns["refractive_index"], np.sqrt(electronic).mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(columns["birefringence"], np.ptp(np.sqrt(electronic), axis=1), rtol=1e-10)
    # control: the diagonal of the tensor is not its principal values
    assert np.abs(np.diagonal(tensors[0], axis1=1, axis2=2).min(axis=1) - electronic.min(axis=1)).max() > 0.1


def test_published_minerals_have_their_published_optics(published: dict[str, Any], rotations: Floats) -> None:
    for case, rotation in zip(published["optical"], rotations, strict=False):
        indices = np.array(case["refractive_indices"])
        eps = _turned(indices[None] ** 2, rotation[None])
        columns = derive_dielectric(eps, eps)
        np.testing.assert_allclose(principal_indices(eps)[0], np.sort(indices), rtol=1e-12)
        assert columns["birefringence"][0] == pytest.approx(case["birefringence"], abs=5e-4)
        assert columns["refractive_index"][0] == pytest.approx(indices.mean(), rel=1e-12)
        optics = optical_columns(eps, np.array([case["crystal_system"]]))
        assert {name: values.tolist() for name, values in optics.items()} == {
            "optical_class": [case["optical_class"]],
            "optic_sign": [case["optic_sign"]],
        }


@pytest.mark.parametrize(
    ("systems", "expected"),
    [
        (["cubic"], "isotropic"),
        (["trigonal", "tetragonal", "hexagonal"], "uniaxial"),
        (["triclinic", "monoclinic", "orthorhombic"], "biaxial"),
    ],
)
def test_the_optical_class_is_that_of_the_crystal_system_whatever_the_values(systems: list[str], expected: str) -> None:
    assert set(optical_class(np.array(systems)).tolist()) == {expected}
    # accidentally equal principal values change no class
    for principal in ((5.0, 5.0, 5.0), (5.0, 5.0, 9.0), (5.0, 7.0, 9.0)):
        eps = np.tile(np.diag(principal), (len(systems), 1, 1))
        assert set(optical_columns(eps, np.array(systems))["optical_class"].tolist()) == {expected}


def test_an_unknown_crystal_system_is_an_error() -> None:
    with pytest.raises(KeyError):
        optical_class(np.array(["cubic", "amorphous"]))


@pytest.mark.parametrize(
    ("principal", "sign"),
    [
        ((5.0, 5.0, 9.0), "+"),  # n_e > n_o
        ((5.0, 9.0, 9.0), "-"),
        ((2.0, 2.1, 3.0), "+"),
        ((2.0, 2.9, 3.0), "-"),
        ((3.0, 3.0, 3.0), ""),
        ((3.0, 3.0, 3.0 + 1e-9), ""),
        ((3.0, 4.0, 6.0), ""),  # 2/4 = 1/3 + 1/6: 2V = 90 degrees
        ((3.0, 3.99, 6.0), "+"),
        ((3.0, 4.01, 6.0), "-"),
        ((-1.0, 2.0, 3.0), ""),
        ((np.nan, 2.0, 3.0), ""),
    ],
)
def test_the_optic_sign_is_that_of_the_acute_bisectrix(
    principal: tuple[float, ...], sign: str, rotations: Floats
) -> None:
    tensors = _turned(np.tile(principal, (50, 1)), rotations)
    for anisotropic in ("uniaxial", "biaxial"):
        assert set(optic_sign(tensors, np.full(50, anisotropic)).tolist()) == {sign}
    assert set(optic_sign(tensors, np.full(50, "isotropic")).tolist()) == {""}


def test_the_optic_sign_agrees_with_where_the_optic_axes_are(rng: np.random.Generator) -> None:
    """Along an optic axis k the two refractive indices are equal: the axes are looked for, not calculated."""
    principal = np.sort(rng.uniform(1.5, 9.0, (40, 3)), axis=1)
    angles = np.radians(np.linspace(0, 90, 20001))
    # the axes lie in the plane of the lowest and the highest value, at an angle V from the axis of the highest
    for (low, middle, high), sign in zip(
        principal, optic_sign(np.eye(3) * principal[:, None], np.full(40, "biaxial")), strict=True
    ):
        in_plane = 1 / (np.cos(angles) ** 2 / low + np.sin(angles) ** 2 / high)
        from_highest = np.degrees(angles[np.argmin(np.abs(in_plane - middle))])
        assert sign == ("+" if from_highest < 45 else "-")


def test_no_light_propagates_where_a_principal_value_is_not_positive() -> None:
    eps = np.stack([np.diag([4.0, 4, 4]), np.diag([4.0, 4, -1]), np.diag([4.0, 4, 0])])
    columns = derive_dielectric(eps, eps)
    for name in ("refractive_index", "birefringence"):
        assert np.isnan(columns[name]).tolist() == [False, True, True]
    assert columns["eps_electronic_min"].tolist() == [4, -1, 0]


def test_a_tensor_with_nan_spoils_no_other_row_and_not_the_other_tensor() -> None:
    broken = np.stack([np.eye(3), np.full((3, 3), np.nan)])
    sound = np.stack([np.eye(3), 2 * np.eye(3)])
    columns = derive_dielectric(broken, sound)
    optics = optical_columns(broken, np.array(["trigonal", "trigonal"]))
    assert optics["optical_class"].tolist() == ["uniaxial", ""]
    assert optics["optic_sign"].tolist() == ["", ""]
    assert np.isnan(columns["eps_electronic_mean"]).tolist() == [False, True]
    assert np.isnan(columns["refractive_index"]).tolist() == [False, True]
    assert columns["eps_total_mean"].tolist() == [1.0, 2.0]


def test_different_numbers_of_crystals_and_wrong_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match="2 electronic but 1 total"):
        derive_dielectric(np.zeros((2, 3, 3)), np.zeros((1, 3, 3)))
    with pytest.raises(ShapeError, match=r"\[n_crystals, 3, 3\]"):
        derive_dielectric(np.eye(3), np.eye(3))


def test_an_empty_batch_gives_empty_columns() -> None:
    columns = derive_dielectric(np.zeros((0, 3, 3)), np.zeros((0, 3, 3)))
    columns |= optical_columns(np.zeros((0, 3, 3)), np.zeros(0, dtype=np.str_))
    assert all(values.shape == (0,) for values in columns.values())
