"""The published mask is what the published code computes, and is no projector; ours, beside it, is one."""

import numpy as np
import pytest
import torch
from e3nn import o3
from e3nn.io import CartesianTensor

from models.crystals.crystal import CrystalBatch, Floats
from models.gmtnet.published.mask import (
    ideal_entries,
    mask_as_published,
    published_corrections,
    published_entries,
    published_masks,
)
from models.quantities import TENSORS, Tensor
from models.reference.crystals import in_cell, random_orthogonal, transformed
from models.symmetry.operations import ListedOperations, listed_operations
from models.symmetry.search import find_symmetry
from models.tensors.irreps import change_of_basis
from models.tensors.rotate import component_rotation, rotate
from models.tensors.voigt import from_components, to_components, voigt_to_stiffness
from models.testing.contract import crystals_of_all_classes, textbook_crystals

TEXTBOOK = textbook_crystals().crystals
THREE = (Tensor.DIELECTRIC_ELECTRONIC, Tensor.PIEZOELECTRIC, Tensor.ELASTIC)
IDENTITY = ListedOperations(np.array([1]), np.eye(3)[None], np.array([0]))
QUARTZ, ROCK_SALT = 0, 4


def tilted(seed: int = 5) -> CrystalBatch:
    return transformed(TEXTBOOK, random_orthogonal(np.random.default_rng(seed)))


def random_tensors(n_crystals: int, quantity: Tensor, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return from_components(quantity, rng.normal(size=(n_crystals, TENSORS[quantity].n_components)))


def size(quantity: Tensor, tensors: Floats) -> Floats:
    return np.asarray(np.linalg.norm(to_components(quantity, tensors), axis=-1))


@pytest.mark.parametrize("quantity", THREE)
def test_masks_are_the_averaged_wigner_matrices_above_the_published_threshold(quantity: Tensor) -> None:
    """Against e3nn's own matrices, as the published code uses them."""
    batch = tilted()
    listed = listed_operations(batch)
    basis = change_of_basis(quantity)
    masks = published_masks(batch, (quantity,))[quantity]
    irreps = o3.Irreps(TENSORS[quantity].irreps)
    for crystal in range(batch.n_crystals):
        rotations = torch.tensor(listed.rotations[listed.crystal_of_op == crystal])
        mean = irreps.D_from_matrix(rotations).mean(dim=0).numpy()
        expected = np.where(mean > 1e-5, mean, 0.0)
        np.testing.assert_allclose(basis @ masks[crystal] @ basis.T, expected, atol=3e-6)
        assert (mean < -1e-3).any() == (np.abs(expected - mean).max() > 1e-3), "what is lost are the negative entries"


def test_the_test_tensor_is_the_published_one() -> None:
    """Dielectric irreps 0e, 1e, 2e of 10, 12 to 14 and 1800 to 2200, through e3nn's converter."""
    numbers = torch.tensor([10.0, 12, 13, 14, 1800, 1900, 2000, 2100, 2200], dtype=torch.float64)
    expected = CartesianTensor("ij").to_cartesian(numbers).numpy().reshape(1, 9)
    np.testing.assert_allclose(ideal_entries(Tensor.DIELECTRIC_ELECTRONIC, IDENTITY), expected, rtol=1e-5)


def test_entries_stand_in_the_published_order() -> None:
    stiffness = random_tensors(1, Tensor.ELASTIC)
    full = voigt_to_stiffness(stiffness)[0]
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2)]
    expected = [full[i, j, k, m] for i, j in pairs for k, m in pairs]
    np.testing.assert_allclose(published_entries(Tensor.ELASTIC, stiffness)[0], expected)
    piezo = random_tensors(1, Tensor.PIEZOELECTRIC)
    expected = [piezo[0, i, j, k] for i in range(3) for j, k in pairs]
    np.testing.assert_allclose(published_entries(Tensor.PIEZOELECTRIC, piezo)[0], expected)


@pytest.mark.parametrize("quantity", THREE)
def test_the_published_mask_is_no_projector_and_ours_is(quantity: Tensor) -> None:
    batch = tilted()
    masks = published_masks(batch, (quantity,))[quantity]
    defect = np.abs(masks @ masks - masks).max(axis=(1, 2))
    assert (defect > 0.02).sum() >= 5
    symmetry = find_symmetry(batch, 1e-5)
    rotations = component_rotation(quantity, symmetry.rotations)
    for crystal in range(batch.n_crystals):
        ours = rotations[symmetry.crystal_of_op == crystal].mean(axis=0)
        np.testing.assert_allclose(ours @ ours, ours, atol=1e-10)


@pytest.mark.parametrize(("quantity", "leak"), [(THREE[0], 0.02), (THREE[1], 0.3), (THREE[2], 0.1)])
def test_the_published_correction_lets_forbidden_parts_through_in_a_turned_frame(quantity: Tensor, leak: float) -> None:
    batch, symmetry = tilted(), find_symmetry(tilted(), 1e-5)
    raw = random_tensors(batch.n_crystals, quantity)
    ours = symmetry.project(quantity, raw)
    published = mask_as_published({quantity: raw[None]}, batch)[quantity][0]

    def share_forbidden(tensors: Floats) -> Floats:
        rest = size(quantity, tensors - symmetry.project(quantity, tensors))
        return rest / np.maximum(size(quantity, tensors), 1e-12)

    assert share_forbidden(published).max() > leak
    assert share_forbidden(ours).max() < 1e-9


def test_the_published_correction_cannot_make_a_hexagonal_stiffness() -> None:
    """Quartz in its own frame: C66 = (C11 - C12) / 2 is no equality of entries."""
    batch = TEXTBOOK.select([QUARTZ] * 10)
    raw = random_tensors(10, Tensor.ELASTIC)
    published = mask_as_published({Tensor.ELASTIC: raw[None]}, batch)[Tensor.ELASTIC][0]
    ours = find_symmetry(batch, 1e-5).project(Tensor.ELASTIC, raw)

    def misfit(c: Floats) -> Floats:
        return np.abs(c[:, 5, 5] - (c[:, 0, 0] - c[:, 0, 1]) / 2)

    np.testing.assert_allclose(published[:, 0, 0], published[:, 1, 1])
    np.testing.assert_allclose(published[:, 0, 5], 0.0, atol=1e-9)
    assert misfit(published).max() > 0.02
    assert misfit(ours).max() < 1e-12


@pytest.mark.parametrize("quantity", THREE)
def test_turning_crystal_and_tensor_together_turns_our_result_and_not_the_published(quantity: Tensor) -> None:
    rotation = random_orthogonal(np.random.default_rng(5))
    raw = random_tensors(TEXTBOOK.n_crystals, quantity)
    rotated, batch = rotate(quantity, raw, rotation), tilted()
    ours = rotate(quantity, find_symmetry(TEXTBOOK, 1e-5).project(quantity, raw), rotation)
    np.testing.assert_allclose(find_symmetry(batch, 1e-5).project(quantity, rotated), ours, atol=1e-8)
    published = rotate(quantity, mask_as_published({quantity: raw[None]}, TEXTBOOK)[quantity][0], rotation)
    again = mask_as_published({quantity: rotated[None]}, batch)[quantity][0]
    assert (size(quantity, again - published) > 0.05 * size(quantity, published)).sum() >= 4


def test_the_published_correction_keeps_what_needs_no_correction_only_where_the_frame_is_kind() -> None:
    """Rock salt along its axes: a cubic stiffness passes. Rotated, the same stiffness is damaged."""
    batch = TEXTBOOK.select([ROCK_SALT])
    for crystal, kind in ((batch, True), (tilted().select([ROCK_SALT]), False)):
        cubic = find_symmetry(crystal, 1e-5).project(Tensor.ELASTIC, random_tensors(1, Tensor.ELASTIC))
        corrected = mask_as_published({Tensor.ELASTIC: cubic[None]}, crystal)[Tensor.ELASTIC][0]
        assert (size(Tensor.ELASTIC, corrected - cubic)[0] < 1e-6 * size(Tensor.ELASTIC, cubic)[0]) == kind


def test_a_supercell_that_breaks_its_symmetry_lists_a_subgroup() -> None:
    """Rock salt, 1x1x2 of the primitive cell: spglib lists fewer rotations; ours come from the Hall number."""
    one, large = TEXTBOOK.select([ROCK_SALT]), in_cell(TEXTBOOK.select([ROCK_SALT]), np.diag([1, 1, 2]))
    assert len(listed_operations(one).rotations) == 48
    assert len(listed_operations(large).rotations) < 48
    assert listed_operations(large).number.tolist() == [225]
    assert len(find_symmetry(large, 1e-5).rotations) == 48


def test_listed_operations_are_those_of_the_class_where_the_cell_is_primitive() -> None:
    classified = crystals_of_all_classes(seed=3)
    listed, ours = listed_operations(classified.crystals), find_symmetry(classified.crystals, 1e-5)
    np.testing.assert_array_equal(listed.number, ours.number)
    np.testing.assert_array_equal(np.bincount(listed.crystal_of_op), np.bincount(ours.crystal_of_op))
    products = listed.rotations @ np.swapaxes(listed.rotations, 1, 2)
    np.testing.assert_allclose(products, np.broadcast_to(np.eye(3), products.shape), atol=1e-6)


@pytest.mark.parametrize("quantity", THREE)
def test_the_correction_for_training_is_the_correction_for_scoring(quantity: Tensor) -> None:
    """Near a tensor that has the symmetry the two agree; they differ where opposite entries have equal signs."""
    batch = tilted()
    symmetric = find_symmetry(batch, 1e-5).project(quantity, random_tensors(batch.n_crystals, quantity))
    trained = published_corrections(batch, (quantity,))[quantity]
    found = from_components(quantity, np.einsum("nij,nj->ni", trained, to_components(quantity, symmetric)))
    scored = mask_as_published({quantity: symmetric[None]}, batch)[quantity][0]
    same = size(quantity, found - scored) < 1e-6 * np.maximum(size(quantity, symmetric), 1e-9)
    assert same.mean() >= 0.8
    if quantity is Tensor.DIELECTRIC_ELECTRONIC:
        assert same.all(), "no opposite entries there"


def test_networks_are_corrected_one_by_one_and_no_crystals_give_none() -> None:
    batch = TEXTBOOK.select([0, 1, 2])
    networks = np.stack([random_tensors(3, Tensor.PIEZOELECTRIC, seed) for seed in (1, 2)])
    both = mask_as_published({Tensor.PIEZOELECTRIC: networks}, batch)[Tensor.PIEZOELECTRIC]
    for network, corrected in zip(networks, both, strict=True):
        alone = mask_as_published({Tensor.PIEZOELECTRIC: network[None]}, batch)[Tensor.PIEZOELECTRIC]
        np.testing.assert_array_equal(alone[0], corrected)
    none = CrystalBatch.from_arrays([], [], [])
    assert mask_as_published({Tensor.ELASTIC: np.zeros((1, 0, 6, 6))}, none)[Tensor.ELASTIC].shape == (1, 0, 6, 6)
