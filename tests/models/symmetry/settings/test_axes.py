"""Axes of monoclinic, orthorhombic and triclinic crystals: the same operations, in the cell that the rule asks for."""

import moyopy
import numpy as np
import pytest

from models.crystals.crystal import Floats
from models.symmetry.settings.axes import Axes, centring, conventional_axes, product_in_order
from models.symmetry.space_group_tables import space_group_table
from tests.models.symmetry.space_groups import STANDARD_SETTINGS, number_of, random_conventional_cell

MONOCLINIC, ORTHORHOMBIC = STANDARD_SETTINGS[2:15], STANDARD_SETTINGS[15:74]


def axes_of(hall_number: int, conventional: Floats) -> Axes:
    """Axes chosen for a crystal that is given in a conventional cell of its setting, columns in angstrom."""
    primitive = np.linalg.inv(centring(hall_number))
    # the primitive cell stands for the reduced one: whole numbers are all that is asked of it
    return conventional_axes(np.array([hall_number]), np.eye(3)[None], (conventional @ primitive)[None])


def in_conventional(hall_number: int, axes: Axes) -> tuple[Floats, Floats]:
    """New axes and origin in the conventional cell given."""
    primitive = np.linalg.inv(centring(hall_number))
    return primitive @ axes.basis[0], primitive @ axes.shift[0]


@pytest.mark.parametrize("hall", MONOCLINIC + ORTHORHOMBIC)
def test_operations_are_those_of_the_table_in_the_new_axes(hall: int) -> None:
    rng, table = np.random.default_rng(hall), space_group_table(hall)
    n_changed = 0
    for _ in range(20):
        conventional = random_conventional_cell(number_of(hall), rng)
        change, origin = in_conventional(hall, axes_of(hall, conventional))
        assert np.isclose(np.linalg.det(change), 1.0)
        n_changed += not np.allclose(change, np.eye(3))
        basis = np.linalg.inv(table.basis) @ change @ table.basis
        shift, back = np.linalg.inv(table.basis) @ origin, np.linalg.inv(basis)
        rotations = np.rint(back @ table.rotations @ basis)
        same = (rotations[:, None] == table.rotations[None]).all(axis=(2, 3))
        assert same.any(axis=1).all()
        about = (table.translations + (table.rotations - np.eye(3)) @ shift) @ back.T
        apart = about - table.translations[same.argmax(axis=1)]
        assert np.abs(apart - np.rint(apart)).max() < 1e-9
    assert n_changed > 0 or number_of(hall) > 15


def test_monoclinic_angles_are_not_acute_and_no_cell_of_the_same_group_is_less_skewed() -> None:
    rng = np.random.default_rng(7)
    p2 = STANDARD_SETTINGS[2]
    for _ in range(50):
        conventional = random_conventional_cell(3, rng)
        change, _ = in_conventional(p2, axes_of(p2, conventional))
        cell = conventional @ change
        metric = cell.T @ cell
        cosine = metric[0, 2] / np.sqrt(metric[0, 0] * metric[2, 2])
        assert -0.5 - 1e-9 < cosine <= 0.0
        assert np.sqrt(metric[0, 0]) <= np.sqrt(metric[2, 2]) + 1e-8
        short = cell[:, [0, 2]] @ np.array([[1, 1, 2, 1], [1, -1, 1, 2]])
        assert np.linalg.norm(short, axis=0).min() >= np.sqrt(metric[2, 2]) - 1e-9


@pytest.mark.parametrize("hall", MONOCLINIC)
def test_monoclinic_axes_are_the_shortest_that_centrings_and_glides_cannot_tell_apart(hall: int) -> None:
    """Both tell translations apart only by whether their whole numbers are even."""
    rng = np.random.default_rng(hall)
    grid = np.array([[x, 0, z] for x in range(-6, 7) for z in range(-6, 7)])
    for _ in range(20):
        conventional = random_conventional_cell(number_of(hall), rng)
        change, _ = in_conventional(hall, axes_of(hall, conventional))
        lengths = np.linalg.norm(grid @ conventional.T, axis=1)
        for axis in (change[:, 0], change[:, 2]):
            alike = ((grid - np.rint(axis)) % 2 == 0).all(axis=1)
            assert np.linalg.norm(conventional @ axis) <= lengths[alike].min() + 1e-9


def test_orthorhombic_axes_are_ordered_as_far_as_the_group_allows() -> None:
    cell = np.diag([7.0, 5.0, 6.0])
    lengths = {}
    for number in (16, 17, 25, 26, 47, 62, 69, 74):
        hall = STANDARD_SETTINGS[number - 1]
        change, _ = in_conventional(hall, axes_of(hall, cell))
        lengths[number] = np.linalg.norm(cell @ change, axis=0).round(6).tolist()
    free, polar, fixed = [5.0, 6.0, 7.0], [5.0, 7.0, 6.0], [7.0, 5.0, 6.0]
    assert lengths == {16: free, 17: polar, 25: polar, 26: fixed, 47: free, 62: fixed, 69: free, 74: polar}


def test_triclinic_cells_are_those_of_niggli() -> None:
    rng = np.random.default_rng(9)
    for _ in range(20):
        conventional = random_conventional_cell(2, rng)
        change, _ = in_conventional(2, axes_of(2, conventional))
        assert moyopy.is_niggli_reduced((conventional @ change).T.tolist())


def test_what_only_rounding_could_decide_is_not_sure() -> None:
    """No angle of a monoclinic cell tells which axis is the unique one, or a length is at the edge of being equal."""
    p2 = STANDARD_SETTINGS[2]
    assert not axes_of(p2, np.diag([4.0, 5.0, 6.0])).basis.any()
    skewed = random_conventional_cell(3, np.random.default_rng(1))
    assert axes_of(p2, skewed).basis.any()
    pmmm = STANDARD_SETTINGS[46]
    assert not axes_of(pmmm, np.diag([4.0, 4.0 + 1e-8, 6.0])).basis.any()
    assert axes_of(pmmm, np.diag([4.0, 4.0 + 1e-9, 6.0])).basis.any()


def test_products_are_those_of_matrices() -> None:
    rng = np.random.default_rng(3)
    left, right = rng.normal(size=(5, 1, 3, 3)), rng.normal(size=(5, 4, 3, 3))
    assert np.allclose(product_in_order(left, right), left @ right, atol=1e-14)
