"""Success rates by crystal system, against operations that no symmetry library made."""

import numpy as np
import pytest

from gmt_tasks.evaluation.consistency import (
    consistency,
    forbidden_but_nonzero,
    point_group_residual,
)
from models.crystals.crystal import Floats
from models.crystals.crystal_systems import CRYSTAL_SYSTEMS, crystal_systems
from models.quantities import Tensor
from models.reference.crystals import class_operations
from models.symmetry.search import find_symmetry
from models.tensors.rotate import rotate
from models.tensors.voigt import from_components
from models.testing.contract import crystals_of_all_classes

CLASSIFIED = crystals_of_all_classes(seed=4)
SYMMETRY = find_symmetry(CLASSIFIED.crystals)
N_COMPONENTS = {
    Tensor.DIELECTRIC_ELECTRONIC: 6,
    Tensor.DIELECTRIC_TOTAL: 6,
    Tensor.PIEZOELECTRIC: 18,
    Tensor.ELASTIC: 21,
}


def random_tensors() -> dict[Tensor, Floats]:
    rng = np.random.default_rng(0)
    return {q: from_components(q, rng.normal(size=(32, n))) for q, n in N_COMPONENTS.items()}


def projected() -> dict[Tensor, Floats]:
    return {q: SYMMETRY.project(q, tensors) for q, tensors in random_tensors().items()}


def test_projected_tensors_obey_their_groups_in_all_seven_systems() -> None:
    rows = consistency(projected(), SYMMETRY)
    assert {row.system for row in rows} == {*CRYSTAL_SYSTEMS, "all"}
    assert all(row.success == 100.0 and row.worst < 1e-12 for row in rows)
    counts = [row.n for row in rows if row.quantity == Tensor.ELASTIC.value]
    assert counts == [2, 3, 3, 7, 5, 7, 5, 32]


def test_tensors_that_were_not_projected_obey_none_but_the_triclinic_groups() -> None:
    """Negative control of the test above; an even tensor is free in both triclinic classes, e is not in -1."""
    success = {(row.quantity, row.system): row.success for row in consistency(random_tensors(), SYMMETRY)}
    for quantity in Tensor:
        assert all(success[quantity.value, system] == 0.0 for system in list(CRYSTAL_SYSTEMS)[1:])
    assert success[Tensor.ELASTIC.value, "triclinic"] == 100.0
    assert success[Tensor.PIEZOELECTRIC.value, "triclinic"] == 50.0


@pytest.mark.parametrize("quantity", list(Tensor))
def test_the_residual_is_the_largest_over_the_operations_of_the_class(quantity: Tensor) -> None:
    tensors = random_tensors()[quantity]
    found = point_group_residual(quantity, tensors, SYMMETRY)
    for k, symbol in enumerate(CLASSIFIED.classes):
        basis = CLASSIFIED.crystals.lattice[k].T
        operations = basis @ class_operations(symbol) @ np.linalg.inv(basis)
        full = tensors if quantity is not Tensor.ELASTIC else _unfolded(tensors)
        moved = rotate(quantity, tensors[k], operations) - tensors[k]
        moved = moved if quantity is not Tensor.ELASTIC else _unfolded(moved)
        expected = np.sqrt((moved**2).reshape(len(moved), -1).sum(axis=1)).max() / np.linalg.norm(full[k])
        assert found[k] == pytest.approx(expected, abs=1e-10)


def _unfolded(stiffness_voigt: Floats) -> Floats:
    """All 81 Cartesian entries, one by one."""
    place = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])
    return stiffness_voigt[:, place[:, :, None, None], place[None, None, :, :]]


def test_a_forbidden_tensor_must_be_exactly_zero() -> None:
    leaking = projected()[Tensor.PIEZOELECTRIC]
    forbidden = (leaking == 0.0).all(axis=(1, 2, 3))
    assert forbidden.sum() == 12
    assert not forbidden_but_nonzero(Tensor.PIEZOELECTRIC, leaking, SYMMETRY).any()
    leaking[forbidden] = 1e-12
    assert np.array_equal(forbidden_but_nonzero(Tensor.PIEZOELECTRIC, leaking, SYMMETRY), forbidden)
    rows = consistency({Tensor.PIEZOELECTRIC: leaking}, SYMMETRY)
    assert next(row.success for row in rows if row.system == "all") == pytest.approx(100 * 20 / 32)


def test_a_small_break_is_seen() -> None:
    broken = projected()[Tensor.ELASTIC]
    broken[:, 0, 0] *= 1 + 1e-3
    success = {row.system: row.success for row in consistency({Tensor.ELASTIC: broken}, SYMMETRY)}
    assert success["cubic"] == success["hexagonal"] == 0.0


def test_a_tensor_of_rounding_errors_is_zero_and_a_small_one_is_not() -> None:
    noise = {q: 1e-17 * tensors for q, tensors in random_tensors().items() if q is not Tensor.PIEZOELECTRIC}
    assert all(row.success == 100.0 for row in consistency(noise, SYMMETRY))
    small = {q: 1e10 * tensors for q, tensors in noise.items()}
    assert all(row.success == 0.0 for row in consistency(small, SYMMETRY) if row.system == "cubic")


def test_space_groups_have_the_systems_of_the_international_tables() -> None:
    numbers = np.array([1, 2, 3, 15, 16, 74, 75, 142, 143, 152, 167, 168, 194, 195, 227, 230])
    expected = ["triclinic"] * 2 + ["monoclinic"] * 2 + ["orthorhombic"] * 2 + ["tetragonal"] * 2
    expected += ["trigonal"] * 3 + ["hexagonal"] * 2 + ["cubic"] * 3
    assert crystal_systems(numbers).tolist() == expected
