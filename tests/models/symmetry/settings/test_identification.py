"""Groups of operations: whatever basis and origin they are in, and whatever was asked before."""

import numpy as np
import pytest
import spglib

from models.crystals.crystal import Floats, Ints
from models.symmetry.minkowski import reduce_cells
from models.symmetry.settings.axes import centring
from models.symmetry.settings.identification import Identified, KnownGroups, OperationLists
from models.symmetry.settings.shift_equations import padded
from models.symmetry.space_group_tables import space_group_table
from tests.models.symmetry.space_groups import STANDARD_SETTINGS, number_of, random_conventional_cell

ALL = range(1, 531)


def codes_of(rotations: Floats) -> Ints:
    """Numbers in base 3, first entry first."""
    return np.asarray((rotations.reshape(-1, 9).astype(np.int64) + 1) @ 3 ** np.arange(8, -1, -1))


def in_random_basis(hall_number: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Operations of a table in random order, about a random origin, in a randomly reduced basis."""
    table = space_group_table(hall_number)
    skew = np.linalg.matrix_power(np.array([[1, 1, 0], [0, 1, 1], [0, 0, 1]]), int(rng.integers(-3, 4)))
    skew = skew @ np.eye(3)[rng.permutation(3)]
    skew = skew * np.sign(np.linalg.det(skew))
    # cells of unique axis a or c and rhombohedral ones have other metrics: the mean over the group of any will do
    cell = random_conventional_cell(number_of(hall_number), rng)
    mean = (table.average @ (cell.T @ cell).reshape(9)).reshape(3, 3)
    basis = np.linalg.cholesky(mean).T @ table.basis @ skew
    reduced, transform, done = np.zeros((1, 3, 3)), np.zeros((1, 3, 3)), np.zeros(1, np.bool_)
    reduce_cells(np.ascontiguousarray(basis.T)[None], reduced, transform, done)
    assert done[0]
    change = skew @ transform[0]
    inverse = np.linalg.inv(change)
    rotations = np.rint(inverse @ table.rotations @ change)
    origin = rng.random(3)
    translations = table.translations @ inverse.T + (np.eye(3) - rotations) @ origin + rng.integers(-2, 3, size=3)
    order = rng.permutation(len(rotations))
    return rotations[order], translations[order]


def identified(operations: list[tuple[Floats, Floats]], groups: KnownGroups) -> Identified:
    codes = [codes_of(rotations) for rotations, _ in operations]
    return groups.identify(OperationLists(codes, np.array([padded(translations) for _, translations in operations])))


def test_every_table_is_named_in_every_basis_and_about_every_origin() -> None:
    rng, groups = np.random.default_rng(1), KnownGroups()
    operations = [in_random_basis(hall, rng) for hall in ALL for _ in range(3)]
    found = identified(operations, groups)
    standard = np.array(STANDARD_SETTINGS)
    numbers = [number_of(hall) for hall in ALL for _ in range(3)]
    assert found.hall_number.tolist() == standard[np.array(numbers) - 1].tolist()
    for (rotations, translations), hall, linear, origin in zip(operations, *found, strict=True):
        table = space_group_table(int(hall))
        basis = linear @ centring(int(hall)) @ table.basis
        assert np.isclose(np.linalg.det(basis), 1.0)
        back = np.linalg.inv(basis)
        in_table = np.rint(back @ rotations @ basis)
        same = (in_table[:, None] == table.rotations[None]).all(axis=(2, 3))
        assert (same.sum(axis=1) == 1).all()
        about = (translations + (rotations - np.eye(3)) @ origin) @ back.T
        apart = about - table.translations[same.argmax(axis=1)]
        assert np.abs(apart - np.rint(apart)).max() < 1e-9


def test_spglib_gives_the_same_numbers() -> None:
    rng, groups = np.random.default_rng(2), KnownGroups()
    operations = [in_random_basis(hall, rng) for hall in ALL]
    found = identified(operations, groups)
    for (rotations, translations), hall in zip(operations, found.hall_number, strict=True):
        kind = spglib.get_spacegroup_type_from_symmetry(rotations.astype(np.int32), translations, symprec=1e-5)
        assert kind is not None
        assert kind.number == number_of(int(hall))


def test_answers_do_not_depend_on_what_was_met_before() -> None:
    rng = np.random.default_rng(3)
    operations = [in_random_basis(hall, rng) for hall in STANDARD_SETTINGS[::3] for _ in range(4)]
    together, groups = identified(operations, KnownGroups()), KnownGroups()
    backwards = [identified([each], groups) for each in operations[::-1]][::-1]
    for k, alone in enumerate(backwards):
        assert alone.hall_number[0] == together.hall_number[k]
        assert np.array_equal(alone.linear[0], together.linear[k])
        assert np.allclose(alone.origin[0], together.origin[k], atol=1e-12)
    assert len(set(together.hall_number.tolist())) == len(STANDARD_SETTINGS[::3])


@pytest.mark.parametrize("hall", [3, 64, 227, 349, 430, 489, 529])
def test_operations_that_are_no_group_are_not_named(hall: int) -> None:
    rng, groups = np.random.default_rng(hall), KnownGroups()
    rotations, translations = in_random_basis(hall, rng)
    operation = next(k for k, r in enumerate(rotations) if not np.array_equal(r, np.eye(3)))
    moved, missing = translations.copy(), np.arange(len(rotations)) != operation
    moved[operation] += [1e-3, 2e-3, -1e-3]
    operations = [(rotations, translations), (rotations, moved), (rotations[missing], translations[missing])]
    found = identified(operations, groups)
    assert found.hall_number[0] > 0
    # two operations are a group with any translation along the axis that the table allows: others are caught
    if len(rotations) > 2:
        assert found.hall_number[1] == 0
        assert found.hall_number[2] == 0


def test_a_screw_axis_makes_another_group_of_the_same_rotations() -> None:
    """P2 and P2_1, and P4_1 and its enantiomorph P4_3: one list of rotations, several kinds."""
    rng, groups = np.random.default_rng(5), KnownGroups()
    by_number = dict(zip(range(1, 231), STANDARD_SETTINGS, strict=True))
    for numbers in ([3, 4], [75, 76, 77, 78], [16, 17, 18, 19]):
        rotations, _ = in_random_basis(by_number[numbers[0]], np.random.default_rng(8))
        operations = []
        for number in numbers:
            # the same seed leads to the same basis and order
            other, translations = in_random_basis(by_number[number], np.random.default_rng(8))
            assert np.array_equal(other, rotations)
            operations.append((other, translations + (np.eye(3) - other) @ rng.random(3)))
        found = identified(operations, groups)
        assert [number_of(int(hall)) for hall in found.hall_number] == numbers
