"""Differentiable invariants against the derived numbers of models/derived, a fine grid, and numpy."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.derived.elastic import compliance_voigt, derive_elastic
from models.derived.extremes.directional import derive_directional
from models.derived.extremes.sphere import half_sphere
from models.gmtnet.invariants import (
    VOIGT_MODULI,
    elastic_invariants,
    largest_singular_value,
    mandel_rows,
    symmetric_matrix,
)
from models.quantities import ELASTIC_INVARIANTS, TENSORS, Tensor
from models.reference.crystals import random_orthogonal
from models.tensors.irreps import change_of_basis
from models.tensors.rotate import component_rotation
from models.tensors.voigt import (
    compliance_voigt_to_mandel,
    from_components,
    piezo_to_voigt,
    stiffness_voigt_to_mandel,
    symmetric_to_mandel,
    to_components,
)

Floats = NDArray[np.float64]
N = 40
SHEAR = [ELASTIC_INVARIANTS.index(name) for name in ("shear_min", "shear_max")]
COLUMNS = {
    "k_voigt": "k_voigt_gpa",
    "k_reuss": "k_reuss_gpa",
    "k_vrh": "k_vrh_gpa",
    "g_voigt": "g_voigt_gpa",
    "g_reuss": "g_reuss_gpa",
    "g_vrh": "g_vrh_gpa",
    "young_min": "young_min_gpa",
    "young_max": "young_max_gpa",
    "linear_compressibility_min": "linear_compressibility_min_per_tpa",
    "linear_compressibility_max": "linear_compressibility_max_per_tpa",
}


def stiffnesses(n: int = N) -> Floats:
    """Positive definite C_IJ in GPa without symmetry, as anisotropic as real ones, [n, 6, 6]."""
    rng = np.random.default_rng(8)
    isotropic = np.diag([1.0, 1, 1, 0, 0, 0])
    isotropic[:3, :3] += 1.0
    isotropic += np.diag([0.5, 0.5, 0.5, 1, 1, 1])
    noise = rng.normal(size=(n, 6, 8))
    return 40.0 * isotropic + 2.0 * noise @ np.swapaxes(noise, 1, 2)


def components_of(stiffness: Floats) -> torch.Tensor:
    return torch.tensor(to_components(Tensor.ELASTIC, stiffness))


def brute_shear(stiffness: Floats) -> Floats:
    """Lowest and highest 1 / (4 S(n, m)) over a fine grid of orthogonal pairs, [n, 2] in GPa."""
    compliance = compliance_voigt_to_mandel(compliance_voigt(stiffness))
    axes = half_sphere(600)
    first = np.cross(axes, np.eye(3)[np.abs(axes).argmin(axis=1)])
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(axes, first)
    values = []
    for angle in np.linspace(0, np.pi, 36, endpoint=False):
        normal = np.cos(angle) * first + np.sin(angle) * second
        pair = axes[:, :, None] * normal[:, None, :]
        dyads = symmetric_to_mandel(0.5 * (pair + np.swapaxes(pair, 1, 2)))
        values.append(0.25e3 / np.einsum("da,nab,db->nd", dyads, compliance, dyads))  # compliances are per TPa
    return np.stack([np.min(values, axis=(0, 2)), np.max(values, axis=(0, 2))], axis=1)


def test_moduli_are_those_derived_elsewhere() -> None:
    stiffness = stiffnesses()
    found = elastic_invariants(components_of(stiffness)).numpy()
    expected = derive_elastic(stiffness)
    for k, name in enumerate(ELASTIC_INVARIANTS[:6]):
        assert np.allclose(found[:, k], expected[COLUMNS[name]], rtol=1e-10), name


def test_directional_extremes_are_those_derived_elsewhere() -> None:
    """Fixed directions a few degrees apart: within 4 % of the exact extremes, and never beyond them."""
    stiffness = stiffnesses()
    found = elastic_invariants(components_of(stiffness)).numpy()
    expected = derive_directional(stiffness)
    for k, name in enumerate(ELASTIC_INVARIANTS):
        if name not in COLUMNS or k < 6:
            continue
        exact = expected[COLUMNS[name]]
        scale = np.abs(expected["linear_compressibility_max_per_tpa"]) if name.startswith("linear") else exact
        assert (np.abs(found[:, k] - exact) < 0.04 * scale).all(), name
        inside = found[:, k] - exact if name.endswith("min") else exact - found[:, k]
        assert (inside > -1e-9 * scale).all(), name


def test_shear_extremes_are_those_of_a_fine_grid() -> None:
    stiffness = stiffnesses()
    found = elastic_invariants(components_of(stiffness)).numpy()[:, SHEAR]
    expected = brute_shear(stiffness)
    assert np.abs(found / expected - 1.0).max() < 0.08
    assert np.median(np.abs(found / expected - 1.0)) < 0.02
    anisotropy = expected[:, 1] / expected[:, 0]
    assert (anisotropy > 1.1).all()  # negative control: one number for both would be wrong


def test_an_isotropic_solid_has_one_modulus_of_each_kind() -> None:
    """K = 100 GPa, G = 60 GPa: E = 9KG / (3K + G), and 1 / 3K along every axis under pressure."""
    bulk, shear = 100.0, 60.0
    stiffness = np.diag([0.0, 0, 0, shear, shear, shear])
    stiffness[:3, :3] = bulk - 2 / 3 * shear
    stiffness[:3, :3] += 2 * shear * np.eye(3)
    young, compressibility = 9 * bulk * shear / (3 * bulk + shear), 1e3 / (3 * bulk)
    expected = [bulk] * 3 + [shear] * 3 + [young] * 2 + [shear] * 2 + [compressibility] * 2
    assert np.allclose(elastic_invariants(components_of(stiffness[None]))[0].numpy(), expected, rtol=1e-12)


def test_a_cubic_crystal_has_its_extremes_along_axes_and_diagonals() -> None:
    """C11, C12, C44 of silicon (165.8, 63.9, 79.6 GPa): the grid holds the directions of the extremes, so exact."""
    c11, c12, c44 = 165.8, 63.9, 79.6
    stiffness = np.diag([c11 - c12] * 3 + [c44] * 3) + np.pad(np.full((3, 3), c12), (0, 3))
    found = dict(zip(ELASTIC_INVARIANTS, elastic_invariants(components_of(stiffness[None]))[0].tolist(), strict=True))
    s11 = (c11 + c12) / ((c11 - c12) * (c11 + 2 * c12))
    s12 = -c12 / ((c11 - c12) * (c11 + 2 * c12))
    s = s11 - s12 - 0.5 / c44
    assert found["young_min"] == pytest.approx(1 / s11, rel=1e-12)
    assert found["young_max"] == pytest.approx(1 / (s11 - 2 / 3 * s), rel=1e-12)
    assert found["shear_max"] == pytest.approx(c44, rel=1e-12)
    assert found["shear_min"] == pytest.approx(0.5 * (c11 - c12), rel=1e-2)


@pytest.mark.parametrize("sign", [1, -1])
def test_invariants_do_not_depend_on_the_frame(sign: int) -> None:
    """Moduli exactly; extremes over fixed directions within 6 %."""
    components = components_of(stiffnesses())
    rotation = sign * random_orthogonal(np.random.default_rng(9))
    matrix = torch.tensor(component_rotation(Tensor.ELASTIC, rotation))
    before, after = elastic_invariants(components), elastic_invariants(components @ matrix.T)
    assert torch.allclose(after[:, :6], before[:, :6], rtol=1e-10)
    scale = before.abs()
    scale[:, -2:] = before[:, -1:].abs()
    assert float(((after - before).abs() / scale).max()) < 0.06
    assert float((components @ matrix.T - components).abs().max()) > 10.0  # negative control: the tensors did rotate


def test_gradients_are_finite_and_those_of_finite_differences() -> None:
    components = components_of(stiffnesses(4)).requires_grad_()
    slopes = torch.linspace(0.5, 1.5, len(ELASTIC_INVARIANTS)).double()
    (elastic_invariants(components) @ slopes).sum().backward()
    gradient = components.grad
    assert gradient is not None
    assert torch.isfinite(gradient).all()
    step = torch.randn(components.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        up, down = ((elastic_invariants(components + h * step) @ slopes).sum() for h in (1e-5, -1e-5))
    assert float((up - down) / 2e-5) == pytest.approx(float((gradient * step).sum()), rel=1e-5)


@pytest.mark.parametrize("eigenvalue", [0.3, 0.0, -50.0])
def test_soft_crystals_give_constants(eigenvalue: float) -> None:
    """No infinite compliance, no sign change: what depends on the compliance is that of 1 GPa, without gradient."""
    rows = mandel_rows(Tensor.ELASTIC)
    soft = np.diag([200.0, 100, 100, 80, 80, eigenvalue])
    components = torch.tensor(soft.ravel() @ rows.T)[None].requires_grad_()
    found = elastic_invariants(components)
    assert torch.isfinite(found).all()
    by_compliance = [k for k, name in enumerate(ELASTIC_INVARIANTS) if not name.endswith(("voigt", "vrh"))]
    of_one = elastic_invariants(torch.tensor(np.eye(6).ravel() @ rows.T)[None])
    assert torch.allclose(found[:, by_compliance], of_one[:, by_compliance])
    found[:, by_compliance].sum().backward()
    assert components.grad is not None
    assert float(components.grad.abs().max()) == 0.0
    stiff = torch.tensor(np.diag([200.0, 100, 100, 80, 80, 0.6]).ravel() @ rows.T)[None].requires_grad_()
    elastic_invariants(stiff)[:, by_compliance].sum().backward()  # negative control: above the bound there is one
    assert stiff.grad is not None
    assert 0.0 < float(stiff.grad.abs().max()) < float("inf")


def test_a_soft_crystal_does_not_disturb_its_neighbours() -> None:
    stiffness = stiffnesses(3)
    mixed = np.concatenate([stiffness, -stiffness])
    alone, beside = elastic_invariants(components_of(stiffness)), elastic_invariants(components_of(mixed))
    assert torch.allclose(beside[:3], alone, rtol=1e-12)


def test_mandel_rows_are_orthonormal_and_make_the_matrix() -> None:
    stiffness = stiffnesses(5)
    rows = mandel_rows(Tensor.ELASTIC)
    assert np.allclose(rows @ rows.T, np.eye(21), atol=1e-14)
    made = (to_components(Tensor.ELASTIC, stiffness) @ rows).reshape(-1, 6, 6)
    assert np.allclose(made, stiffness_voigt_to_mandel(stiffness), atol=1e-12)
    assert not np.allclose(made, stiffness)  # negative control: Mandel carries factors, Voigt none
    small = mandel_rows(Tensor.DIELECTRIC_TOTAL)
    assert np.allclose(small @ small.T, np.eye(6), atol=1e-14)


def test_the_bulk_and_shear_functionals_are_the_voigt_bounds() -> None:
    stiffness = stiffnesses()
    moduli = to_components(Tensor.ELASTIC, stiffness) @ VOIGT_MODULI.T
    expected = derive_elastic(stiffness)
    assert np.allclose(moduli, np.stack([expected["k_voigt_gpa"], expected["g_voigt_gpa"]], axis=1), rtol=1e-12)
    assert VOIGT_MODULI.shape == (2, TENSORS[Tensor.ELASTIC].n_components)
    assert np.allclose(change_of_basis(Tensor.ELASTIC)[2:] @ VOIGT_MODULI.T, 0.0, atol=1e-14)


def test_symmetric_matrices_are_those_of_the_components() -> None:
    components = np.random.default_rng(1).normal(size=(7, 6))
    expected = from_components(Tensor.DIELECTRIC_TOTAL, components)
    assert np.allclose(symmetric_matrix(torch.tensor(components)).numpy(), expected, atol=1e-14)


def maps_to_voigt(rotations: Floats) -> torch.Tensor:
    units = piezo_to_voigt(from_components(Tensor.PIEZOELECTRIC, np.eye(18))).reshape(18, 18)
    return torch.tensor(units.T @ component_rotation(Tensor.PIEZOELECTRIC, rotations))


def test_the_largest_singular_value_is_numpys() -> None:
    rng = np.random.default_rng(2)
    components = rng.normal(size=(9, 18))
    maps = maps_to_voigt(np.broadcast_to(np.eye(3), (9, 3, 3)))
    expected = np.linalg.svd(piezo_to_voigt(from_components(Tensor.PIEZOELECTRIC, components)), compute_uv=False)[:, 0]
    assert np.allclose(largest_singular_value(torch.tensor(components), maps).numpy(), expected, rtol=1e-7)


def test_the_largest_singular_value_depends_on_the_axes_it_is_taken_in() -> None:
    """Negative control: Voigt columns carry no factor of 2, so a map to other axes gives another number."""
    rng = np.random.default_rng(2)
    components = torch.tensor(rng.normal(size=(9, 18)))
    straight = largest_singular_value(components, maps_to_voigt(np.broadcast_to(np.eye(3), (9, 3, 3))))
    rotations = np.stack([random_orthogonal(rng) for _ in range(9)])
    assert float((largest_singular_value(components, maps_to_voigt(rotations)) / straight - 1.0).abs().max()) > 0.02
    back = torch.tensor(component_rotation(Tensor.PIEZOELECTRIC, rotations))
    rotated = torch.bmm(back, components[:, :, None])[:, :, 0]
    assert torch.allclose(
        largest_singular_value(rotated, maps_to_voigt(np.swapaxes(rotations, 1, 2))), straight, rtol=1e-10
    )


def test_a_vanishing_tensor_has_a_gradient() -> None:
    """A square root without its floor would give NaN there."""
    components = torch.zeros(2, 18, dtype=torch.float64, requires_grad=True)
    values = largest_singular_value(components, maps_to_voigt(np.broadcast_to(np.eye(3), (2, 3, 3))))
    values.sum().backward()
    assert values.detach().tolist() == pytest.approx([1e-4, 1e-4])
    assert components.grad is not None
    assert torch.isfinite(components.grad).all()
