"""Operations of files: group, metric, orbits; spglib's database of settings is the independent side."""

import numpy as np
import pytest
import spglib
from hypothesis import given, settings
from hypothesis import strategies as st

from models.symmetry.fractional_operations import IDENTITY, Operations, find_orbits, metric_deviation, wrapped

HALL_NUMBERS = [1, 2, 81, 230, 304, 433, 434, 458, 459, 525, 526, 530]


def setting(hall_number: int) -> Operations:
    found = spglib.get_symmetry_from_database(hall_number)
    return Operations(found["rotations"].astype(np.int64), found["translations"] % 1.0)


def cell_of(operations: Operations, seed: int = 0) -> np.ndarray:
    """A lattice that all operations leave as it is."""
    basis = 5 * np.eye(3) + np.random.default_rng(seed).uniform(-1, 1, (3, 3))
    metric = np.einsum("oji,jk,okl->il", operations.rotations, basis @ basis.T, operations.rotations)
    return np.linalg.cholesky(metric / operations.n_ops)


@pytest.mark.parametrize("hall_number", HALL_NUMBERS)
def test_a_space_group_is_a_group_that_leaves_its_cell_as_it_is(hall_number: int) -> None:
    operations = setting(hall_number)
    assert operations.is_group
    assert metric_deviation(operations.rotations, cell_of(operations)) < 1e-9


@pytest.mark.parametrize("hall_number", HALL_NUMBERS[1:])
def test_negative_control_without_one_operation_it_is_none(hall_number: int) -> None:
    operations = setting(hall_number)
    if operations.n_ops > 2:
        assert not Operations(operations.rotations[:-1], operations.translations[:-1]).is_group
    shifted = operations.translations.copy()
    shifted[-1] += 0.1  # no centring, no screw
    assert not Operations(operations.rotations, shifted).is_group or operations.n_ops == 2


def test_negative_control_a_monoclinic_cell_is_changed_by_a_rotation_about_another_axis() -> None:
    lattice = np.array([[5.0, 0, 0], [0, 6, 0], [-0.9, 0, 5]])
    about_b, about_c = np.diag([-1, 1, -1])[None], np.diag([-1, -1, 1])[None]
    assert metric_deviation(about_b, lattice) < 1e-12
    assert metric_deviation(about_c, lattice) > 0.1


@settings(max_examples=40)
@given(st.sampled_from(HALL_NUMBERS), st.lists(st.floats(0.01, 0.99), min_size=3, max_size=3), st.integers(0, 99))
def test_an_orbit_is_closed_and_its_length_divides_the_order(
    hall_number: int, position: list[float], seed: int
) -> None:
    operations, lattice = setting(hall_number), cell_of(setting(hall_number), seed)
    orbits = find_orbits(operations, np.array([position]), lattice, 1e-3)
    if isinstance(orbits, int):
        return  # so near to an element that the file must say more
    (orbit,) = orbits
    assert operations.n_ops % len(orbit) == 0
    images = np.einsum("oij,aj->oai", operations.rotations, orbit) + operations.translations[:, None]
    distances = np.linalg.norm(wrapped(images.reshape(-1, 1, 3) - orbit[None]) @ lattice, axis=2)
    assert distances.min(axis=1).max() < 1e-9


def test_rounded_coordinates_are_put_onto_their_symmetry_element() -> None:
    operations = setting(488)  # P 63/m m c
    lattice = np.array([[3.2, 0, 0], [-1.6, 3.2 * np.sqrt(0.75), 0], [0, 0, 5.2]])
    (orbit,) = find_orbits(operations, np.array([[0.333, 0.667, 0.25]]), lattice, 0.01)  # type: ignore[misc]
    assert len(orbit) == 2
    assert np.abs(wrapped(orbit * 12) - 0).max() % 1 < 1e-9 or np.allclose(wrapped(orbit * 12), 0, atol=1e-9)
    exact = find_orbits(operations, np.array([[0.333, 0.667, 0.25]]), lattice, 1e-6)
    assert isinstance(exact, list) and len(exact[0]) > 2


def test_the_identity_alone_leaves_every_site_alone() -> None:
    orbits = find_orbits(IDENTITY, np.array([[0.2, 1.3, -0.1]]), np.eye(3) * 5, 1e-3)
    assert isinstance(orbits, list) and np.allclose(orbits[0], [[0.2, 0.3, 0.9]])


def test_equal_sets_of_operations_have_one_key_whatever_their_order() -> None:
    operations = setting(525)
    order = np.random.default_rng(1).permutation(operations.n_ops)
    assert Operations(operations.rotations[order], operations.translations[order] + 1).key == operations.key
    assert setting(526).key != operations.key
