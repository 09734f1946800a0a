"""Point groups and projectors, against the textbook, spglib, and groups made from their generators."""

from typing import Any

import moyopy
import numpy as np
import pytest
import spglib

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.quantities import TENSORS, Tensor
from models.reference.crystals import (
    CRYSTAL_CLASSES,
    class_operations,
    in_cell,
    random_orthogonal,
    transformed,
)
from models.symmetry import standard_setting
from models.symmetry.operations import SymmetryError, space_group_type
from models.symmetry.search import SymmetryBatch, find_symmetry
from models.tensors.rotate import rotate
from models.tensors.voigt import from_components, to_components
from models.testing.contract import crystals_of_all_classes, textbook_crystals
from tests.models.symmetry.space_groups import FIRST_SETTINGS, crystal_of_space_group, number_of

# Independent constants (dielectric, piezoelectric, elastic): Nye, Physical Properties of Crystals, tables 3, 8, 9.
NYE: dict[str, tuple[int, int, int]] = {
    "1": (6, 18, 21), "-1": (6, 0, 21),
    "2": (4, 8, 13), "m": (4, 10, 13), "2/m": (4, 0, 13),
    "222": (3, 3, 9), "mm2": (3, 5, 9), "mmm": (3, 0, 9),
    "4": (2, 4, 7), "-4": (2, 4, 7), "4/m": (2, 0, 7),
    "422": (2, 1, 6), "4mm": (2, 3, 6), "-42m": (2, 2, 6), "4/mmm": (2, 0, 6),
    "3": (2, 6, 7), "-3": (2, 0, 7),
    "32": (2, 2, 6), "3m": (2, 4, 6), "-3m": (2, 0, 6),
    "6": (2, 4, 5), "-6": (2, 2, 5), "6/m": (2, 0, 5),
    "622": (2, 1, 5), "6mm": (2, 3, 5), "-6m2": (2, 1, 5), "6/mmm": (2, 0, 5),
    "23": (1, 1, 3), "m-3": (1, 0, 3), "432": (1, 0, 3), "-43m": (1, 1, 3), "m-3m": (1, 0, 3),
}  # fmt: skip

CLASSIFIED = crystals_of_all_classes(seed=5)
SYMMETRY = find_symmetry(CLASSIFIED.crystals)
EVERY_TENSOR = pytest.mark.parametrize("quantity", list(TENSORS))


def random_tensors(quantity: Tensor, n: int, seed: int = 0) -> Floats:
    components = np.random.default_rng(seed).normal(size=(n, TENSORS[quantity].n_components))
    return from_components(quantity, components)


def operations_of(symmetry: SymmetryBatch, crystal: int) -> Floats:
    rotations: Floats = symmetry.rotations[symmetry.crystal_of_op == crystal]
    return rotations


def same_set(left: Floats, right: Floats, tolerance: float) -> bool:
    apart = np.abs(left[:, None] - right[None]).max(axis=(2, 3))
    return len(left) == len(right) and bool(
        (apart.min(axis=0) < tolerance).all() and (apart.min(axis=1) < tolerance).all()
    )


def test_every_class_is_recognised_with_its_order() -> None:
    assert tuple(SYMMETRY.point_group) == CRYSTAL_CLASSES
    orders = np.bincount(SYMMETRY.crystal_of_op, minlength=32)
    assert orders.tolist() == [len(class_operations(symbol)) for symbol in CRYSTAL_CLASSES]


def test_the_operations_are_those_made_from_the_generators() -> None:
    for k, symbol in enumerate(CRYSTAL_CLASSES):
        basis = CLASSIFIED.crystals.lattice[k].T
        expected = basis @ class_operations(symbol) @ np.linalg.inv(basis)
        assert same_set(operations_of(SYMMETRY, k), expected, 1e-9), symbol


def test_the_operations_are_orthogonal_to_rounding() -> None:
    product = SYMMETRY.rotations @ np.swapaxes(SYMMETRY.rotations, 1, 2)
    assert np.abs(product - np.eye(3)).max() < 1e-12


def test_the_operations_of_a_crystal_are_a_group() -> None:
    for k in range(32):
        operations = operations_of(SYMMETRY, k)
        products = (operations[:, None] @ operations[None]).reshape(-1, 3, 3)
        apart = np.abs(products[:, None] - operations[None]).max(axis=(2, 3))
        assert apart.min(axis=1).max() < 1e-10


@EVERY_TENSOR
def test_the_number_of_independent_constants_is_the_textbooks(quantity: Tensor) -> None:
    column = {Tensor.PIEZOELECTRIC: 1, Tensor.ELASTIC: 2}.get(quantity, 0)
    n = TENSORS[quantity].n_components
    units = np.tile(from_components(quantity, np.eye(n)), (32,) + (1,) * len(TENSORS[quantity].shape))
    each = SYMMETRY.select(np.arange(32))
    orders = np.bincount(each.crystal_of_op)
    repeated = SymmetryBatch(
        np.repeat(each.number, n),
        np.repeat(each.hall_number, n),
        np.repeat(each.conventional, n, axis=0),
        np.repeat(each.origin, n, axis=0),
        np.concatenate([np.tile(operations_of(each, k), (n, 1, 1)) for k in range(32)]),
        np.repeat(np.arange(32 * n), np.repeat(orders, n)),
        each.symprec,
    )
    projector = to_components(quantity, repeated.project(quantity, units)).reshape(32, n, n)
    free = np.einsum("cii->c", projector)
    assert np.allclose(free, [NYE[symbol][column] for symbol in CRYSTAL_CLASSES], atol=1e-9)
    assert np.allclose(projector @ projector, projector, atol=1e-12)
    assert np.allclose(projector, np.swapaxes(projector, 1, 2), atol=1e-12)


@EVERY_TENSOR
def test_projecting_twice_is_projecting_once(quantity: Tensor) -> None:
    once = SYMMETRY.project(quantity, random_tensors(quantity, 32))
    assert np.allclose(SYMMETRY.project(quantity, once), once, atol=1e-12)


@EVERY_TENSOR
def test_projected_tensors_obey_every_operation(quantity: Tensor) -> None:
    tensors = SYMMETRY.project(quantity, random_tensors(quantity, 32))[SYMMETRY.crystal_of_op]
    assert np.abs(rotate(quantity, tensors, SYMMETRY.rotations) - tensors).max() < 1e-12


@EVERY_TENSOR
def test_unprojected_tensors_obey_no_operation_but_the_identity(quantity: Tensor) -> None:
    """Negative control of the test above."""
    tensors = random_tensors(quantity, 32)[SYMMETRY.crystal_of_op]
    change = np.abs(rotate(quantity, tensors, SYMMETRY.rotations) - tensors).reshape(len(tensors), -1).max(axis=1)
    even = quantity is not Tensor.PIEZOELECTRIC
    trace = np.einsum("oii->o", SYMMETRY.rotations)
    trivial = np.abs(trace) > 2.999 if even else trace > 2.999  # inversion leaves even tensors as they are
    assert (change[~trivial] > 0.1).all()


@EVERY_TENSOR
@pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])
def test_projecting_commutes_with_rotating_the_crystal(quantity: Tensor, sign: int) -> None:
    turn = sign * random_orthogonal(np.random.default_rng(1))
    turned = find_symmetry(transformed(CLASSIFIED.crystals, turn))
    tensors = random_tensors(quantity, 32)
    expected = rotate(quantity, SYMMETRY.project(quantity, tensors), turn)
    assert np.allclose(turned.project(quantity, rotate(quantity, tensors, turn)), expected, atol=1e-9)
    unturned = SYMMETRY.project(
        quantity, rotate(quantity, tensors, turn)
    )  # negative control: the old frame's projector
    assert not np.allclose(unturned, expected, atol=1e-3)


def test_a_forbidden_piezoelectric_tensor_is_exactly_zero() -> None:
    projected = SYMMETRY.project(Tensor.PIEZOELECTRIC, random_tensors(Tensor.PIEZOELECTRIC, 32))
    forbidden = np.array([NYE[symbol][1] == 0 for symbol in CRYSTAL_CLASSES])
    assert forbidden.sum() == 12  # eleven centrosymmetric classes and 432
    assert (projected[forbidden] == 0.0).all()
    assert (np.abs(projected[~forbidden]).reshape(20, -1).max(axis=1) > 1e-3).all()
    assert np.array_equal(SYMMETRY.piezo_allowed, ~forbidden)


def test_cubic_dielectric_tensors_come_out_as_exact_multiples_of_one() -> None:
    axes = np.array([np.eye(3)] * 5)
    cubic = crystals_of_all_classes(seed=5).crystals.select(range(27, 32))
    upright = CrystalBatch(
        axes * np.linalg.norm(cubic.lattice, axis=2)[:, :1, None],
        cubic.frac_coords,
        cubic.numbers,
        cubic.crystal_of_atom,
    )
    tensors = find_symmetry(upright).project(Tensor.DIELECTRIC_TOTAL, random_tensors(Tensor.DIELECTRIC_TOTAL, 5))
    assert (tensors[:, ~np.eye(3, dtype=bool)] == 0.0).all()
    assert np.allclose(tensors[:, 0, 0], tensors[:, 2, 2], atol=1e-14)


def test_space_groups_of_the_textbook_crystals_are_the_known_ones() -> None:
    symmetry = find_symmetry(textbook_crystals().crystals)
    assert symmetry.number.tolist() == [154, 186, 216, 99, 225, 227, 136, 6, 1, 225]
    assert tuple(symmetry.point_group) == textbook_crystals().classes


def test_space_groups_made_from_tables_are_recognised_in_any_cell() -> None:
    numbers = [number_of(h) for h in FIRST_SETTINGS]
    batch = CrystalBatch.join(crystal_of_space_group(h).as_batch() for h in FIRST_SETTINGS)
    turned = in_cell(
        transformed(batch, random_orthogonal(np.random.default_rng(0))), np.array([[1, 1, 0], [0, 1, 0], [1, 0, 1]])
    )
    assert find_symmetry(batch).number.tolist() == numbers
    assert find_symmetry(turned, 1e-2).number.tolist() == numbers


def test_every_hall_number_has_one_of_the_32_classes() -> None:
    assert {space_group_type(h)[1] for h in range(1, 531)} == set(CRYSTAL_CLASSES)


@pytest.mark.parametrize("shape", [(2, 1, 1), (1, 3, 2)])
def test_a_supercell_keeps_the_full_point_group(shape: tuple[int, int, int]) -> None:
    batch = textbook_crystals().crystals
    unit, large = find_symmetry(batch), find_symmetry(in_cell(batch, np.diag(shape)))
    assert large.number.tolist() == unit.number.tolist()
    for k in range(batch.n_crystals):
        assert same_set(operations_of(unit, k), operations_of(large, k), 1e-7)


def test_the_operations_of_a_supercell_as_listed_are_only_a_subgroup() -> None:
    """Negative control: what the published code takes as the point group."""
    magnesia = in_cell(textbook_crystals().crystals.select([4]), np.diag([2, 1, 1]))
    cell: Any = (magnesia.lattice[0], magnesia.frac_coords, magnesia.numbers)
    listed: Any = spglib.get_symmetry(cell, symprec=1e-2)
    assert len(np.unique(listed["rotations"], axis=0)) < 48
    assert len(find_symmetry(magnesia).rotations) == 48


def distorted(seed: int) -> CrystalBatch:
    """Crystals of all classes with cells strained at random by 2e-4, well inside the tolerance."""
    strain = np.eye(3) + 2e-4 * np.random.default_rng(seed).normal(size=(32, 3, 3))
    batch = CLASSIFIED.crystals
    return CrystalBatch(batch.lattice @ strain, batch.frac_coords, batch.numbers, batch.crystal_of_atom)


def test_a_slightly_distorted_cell_gives_orthogonal_operations_of_the_whole_class() -> None:
    symmetry = find_symmetry(distorted(1), symprec=2e-2)
    assert tuple(symmetry.point_group) == CRYSTAL_CLASSES
    product = symmetry.rotations @ np.swapaxes(symmetry.rotations, 1, 2)
    assert np.abs(product - np.eye(3)).max() < 1e-12
    basis = symmetry.conventional[
        symmetry.crystal_of_op
    ]  # negative control: the same operations without the correction
    fractional = np.round(np.linalg.inv(basis) @ symmetry.rotations @ basis)
    raw = basis @ fractional @ np.linalg.inv(basis)
    assert np.abs(raw @ np.swapaxes(raw, 1, 2) - np.eye(3)).max() > 1e-5


@EVERY_TENSOR
def test_the_projector_of_a_distorted_crystal_does_not_depend_on_its_cell(quantity: Tensor) -> None:
    batch = distorted(2)
    tensors = random_tensors(quantity, 32)
    expected = find_symmetry(batch, symprec=2e-2).project(quantity, tensors)
    assert np.abs(find_symmetry(batch, symprec=2e-2).project(quantity, expected) - expected).max() < 1e-10
    for cell in (np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]]), np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])):
        other = find_symmetry(in_cell(batch, cell), symprec=2e-2)
        same = np.array(other.point_group) == np.array(CRYSTAL_CLASSES)
        assert same.all()
        assert np.abs(other.project(quantity, tensors) - expected).max() < 1e-7


def nothing_is_sure(*_: object) -> None:
    """In place of the search for operations: every crystal is left to the libraries."""


def give_up(*_: object, **__: object) -> None:
    raise ValueError("no space group")


def test_spglib_takes_over_where_moyopy_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for primitive and skewed cells, from which the conventional one must be found."""
    skewed = in_cell(textbook_crystals().crystals, np.array([[1, 1, 0], [0, 1, 0], [1, 0, 1]]))
    batch = CrystalBatch.join([CLASSIFIED.crystals, skewed])
    first = find_symmetry(batch)
    monkeypatch.setattr(standard_setting, "find_accepted", nothing_is_sure)
    monkeypatch.setattr(moyopy, "MoyoDataset", give_up)
    second = find_symmetry(batch)
    assert second.number.tolist() == first.number.tolist()
    for k in range(batch.n_crystals):
        assert same_set(operations_of(second, k), operations_of(first, k), 1e-6)


def test_a_crystal_that_both_libraries_refuse_has_no_group_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = textbook_crystals().crystals
    monkeypatch.setattr(standard_setting, "find_accepted", nothing_is_sure)
    monkeypatch.setattr(moyopy, "MoyoDataset", give_up)
    real: Any = spglib.get_symmetry_dataset

    def second(cell: tuple[Floats, Floats, Ints], symprec: float) -> object:
        return None if len(cell[2]) == 9 else real(cell, symprec=symprec)

    monkeypatch.setattr(spglib, "get_symmetry_dataset", second)
    symmetry = find_symmetry(batch)
    assert symmetry.failed.tolist() == [0]
    assert symmetry.point_group[0] == ""
    assert not symmetry.piezo_allowed[0]
    with pytest.raises(SymmetryError, match="1 of 10 crystals") as caught:
        symmetry.project(Tensor.ELASTIC, random_tensors(Tensor.ELASTIC, 10))
    assert caught.value.rows == [0]
    rest = symmetry.select(np.arange(1, 10))
    assert np.isfinite(rest.project(Tensor.ELASTIC, random_tensors(Tensor.ELASTIC, 9))).all()


def test_selected_crystals_keep_their_operations() -> None:
    chosen = np.array([3, 11, 30])
    some = SYMMETRY.select(chosen)
    assert some.point_group == [CRYSTAL_CLASSES[k] for k in chosen]
    for k, crystal in enumerate(chosen):
        assert np.array_equal(operations_of(some, k), operations_of(SYMMETRY, int(crystal)))


def test_no_crystals_have_no_symmetry() -> None:
    none = find_symmetry(CrystalBatch.from_arrays([], [], []))
    assert len(none.rotations) == 0
    assert none.project(Tensor.ELASTIC, np.zeros((0, 6, 6))).shape == (0, 6, 6)


def test_the_tolerance_decides_what_a_nearly_cubic_crystal_is() -> None:
    """A tetragonal distortion of 0.05 angstrom: a different crystal at 1e-3 and at 1e-1."""
    magnesia = in_cell(textbook_crystals().crystals.select([4]), np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]))
    stretched = CrystalBatch(
        magnesia.lattice @ np.diag([1, 1, 1.012]), magnesia.frac_coords, magnesia.numbers, magnesia.crystal_of_atom
    )
    assert find_symmetry(stretched, 1e-3).number[0] == 139
    assert find_symmetry(stretched, 1e-1).number[0] == 225
