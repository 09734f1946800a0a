"""The IEEE frame: in all 230 space groups the symmetry elements stand where the standard wants them."""

from functools import cache

import numpy as np
import pytest
import spglib
from numpy.typing import NDArray

from models.quantities import Tensor
from models.tensors.frames import FrameError, axes_of_lattice, ieee_rotation, oriented_point_group
from models.tensors.rotate import rotate

Floats = NDArray[np.float64]


def _about_z(degrees: float) -> Floats:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


_E = np.eye(3)
_TWO_X, _TWO_Y, _TWO_Z = np.diag([1.0, -1, -1]), np.diag([-1.0, 1, -1]), np.diag([-1.0, -1, 1])
_MIRROR_X, _MIRROR_Y, _MIRROR_Z = -_TWO_X, -_TWO_Y, -_TWO_Z
_THREE, _FOUR, _SIX, _DIAGONAL = _about_z(120), _about_z(90), _about_z(60), np.roll(_E, 1, axis=0)

# IEEE Std 176-1987, section 3.2: generators of each class in the IEEE frame
GENERATORS: dict[str, list[Floats]] = {
    "1": [_E], "-1": [-_E],
    "2": [_TWO_Y], "m": [_MIRROR_Y], "2/m": [_TWO_Y, -_E],
    "222": [_TWO_X, _TWO_Y], "mm2": [_TWO_Z, _MIRROR_X], "mmm": [_TWO_X, _TWO_Y, -_E],
    "4": [_FOUR], "-4": [-_FOUR], "4/m": [_FOUR, -_E], "422": [_FOUR, _TWO_X], "4mm": [_FOUR, _MIRROR_X],
    "-42m": [-_FOUR, _TWO_X], "4/mmm": [_FOUR, _TWO_X, -_E],
    "3": [_THREE], "-3": [_THREE, -_E], "32": [_THREE, _TWO_X], "3m": [_THREE, _MIRROR_X], "-3m": [_THREE, _TWO_X, -_E],
    "6": [_SIX], "-6": [-_SIX], "6/m": [_SIX, -_E], "622": [_SIX, _TWO_X], "6mm": [_SIX, _MIRROR_X],
    "-6m2": [-_SIX, _MIRROR_X], "6/mmm": [_SIX, _TWO_X, -_E],
    "23": [_DIAGONAL, _TWO_Z], "m-3": [_DIAGONAL, _TWO_Z, -_E], "432": [_DIAGONAL, _FOUR],
    "-43m": [_DIAGONAL, -_FOUR], "m-3m": [_DIAGONAL, _FOUR, -_E],
}  # fmt: skip
CLASS_OF = {
    "321": "32", "312": "32", "3m1": "3m", "31m": "3m", "-3m1": "-3m", "-31m": "-3m", "-4m2": "-42m", "-62m": "-6m2",
}  # fmt: skip


def _as_set(operations: Floats) -> set[tuple[float, ...]]:
    return {tuple(np.round(op, 6).ravel() + 0.0) for op in operations}


@cache
def _group(point_group: str) -> set[tuple[float, ...]]:
    operations = [_E]
    while True:
        products = [op @ g for op in operations for g in GENERATORS[point_group]]
        found = _as_set(np.array(operations + products))
        if len(found) == len(operations):
            return found
        operations = [np.array(op).reshape(3, 3) for op in found]


def _space_group_type(hall_number: int) -> spglib.SpaceGroupType:
    found = spglib.get_spacegroup_type(hall_number)
    assert found is not None
    return found


@cache
def _standard_setting(number: int) -> int:
    """First Hall number of a space group: the standard setting of International Tables (hexagonal axes, unique b)."""
    return next(h for h in range(1, 531) if _space_group_type(h).number == number)


def _random_lattice(number: int, rng: np.random.Generator) -> Floats:
    """Conventional cell with the metric of the space group, arbitrarily oriented; a reduced cell if triclinic."""
    a, b, c = rng.uniform(3, 9, size=3)
    rows = np.diag([a, b, c])
    if number <= 2:
        rows = np.diag([5.0, 7.0, 4.0]) + 0.4 * rng.uniform(-1, 1, size=(3, 3))
    elif number <= 15:
        rows[2, 0] = rng.uniform(-4, 4)
    elif 75 <= number <= 142:
        rows[1, 1] = a
    elif 143 <= number <= 194:
        rows[1] = [-a / 2, a * np.sqrt(3) / 2, 0]
    elif number >= 195:
        rows = a * np.eye(3)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return np.asarray(rows @ rotation.T)


def _cartesian_operations(number: int, lattice: Floats) -> Floats:
    found = spglib.get_symmetry_from_database(_standard_setting(number))
    assert found is not None
    return np.asarray(lattice.T @ found["rotations"] @ np.linalg.inv(lattice.T))


@pytest.mark.parametrize("number", range(1, 231))
def test_symmetry_elements_of_every_space_group_stand_where_ieee_wants_them(number: int) -> None:
    rng = np.random.default_rng(number)
    point_group = oriented_point_group(number)
    for _ in range(4):
        lattice = _random_lattice(number, rng)
        frame = ieee_rotation(lattice, point_group)
        operations = frame @ _cartesian_operations(number, lattice) @ frame.T
        assert _as_set(operations) == _group(CLASS_OF.get(point_group, point_group))


@pytest.mark.parametrize("number", [149, 157, 162, 189, 115])
def test_x_along_a_would_be_wrong_in_settings_with_elements_between_the_axes(number: int) -> None:
    """Negative control: the class without its setting misplaces the two-fold axes and mirrors."""
    careless = {"312": "321", "31m": "3m1", "-31m": "-3m1", "-62m": "-6m2", "-4m2": "-42m"}
    lattice = _random_lattice(number, np.random.default_rng(number))
    point_group = oriented_point_group(number)
    frame = ieee_rotation(lattice, careless[point_group])
    operations = frame @ _cartesian_operations(number, lattice) @ frame.T
    assert _as_set(operations) != _group(CLASS_OF[point_group])


@pytest.mark.parametrize("number", range(1, 231))
def test_oriented_symbols_name_the_class_that_spglib_names(number: int) -> None:
    theirs = _space_group_type(_standard_setting(number)).pointgroup_international
    ours = oriented_point_group(number)
    assert CLASS_OF.get(ours, ours) == CLASS_OF.get(theirs, theirs)


@pytest.mark.parametrize("number", [1, 2, 4, 8, 14, 19, 33, 62, 82, 113, 115, 152, 161, 186, 189, 216])
def test_the_frame_turns_with_the_crystal_and_is_right_handed(number: int, rotations: Floats) -> None:
    rng = np.random.default_rng(number)
    lattice, point_group = _random_lattice(number, rng), oriented_point_group(number)
    frame = ieee_rotation(lattice, point_group)
    for rotation in rotations[np.linalg.det(rotations) > 0]:
        rotated = ieee_rotation(lattice @ rotation.T, point_group)
        np.testing.assert_allclose(rotated, frame @ rotation.T, atol=1e-12)
        assert np.linalg.det(rotated) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("number", [1, 2, 8, 14])
def test_the_tensor_in_the_ieee_frame_does_not_depend_on_how_the_cell_is_listed(number: int) -> None:
    rng = np.random.default_rng(number)
    lattice, point_group = _random_lattice(number, rng), oriented_point_group(number)
    operations = _cartesian_operations(number, lattice)
    dielectric = (operations @ np.diag([1.0, 2.0, 3.0]) @ np.swapaxes(operations, 1, 2)).mean(axis=0)
    expected = rotate(Tensor.DIELECTRIC_TOTAL, dielectric, ieee_rotation(lattice, point_group))
    a, b, c = lattice
    others = [[-a, -b, -c], [c, b, a], [a, -b, c], [a, b, -c]]
    if number > 2:
        others += [[a, b, c + 2 * a], [a - 3 * c, b, c]]
    for other in others:
        frame = ieee_rotation(np.array(other), point_group)
        np.testing.assert_allclose(rotate(Tensor.DIELECTRIC_TOTAL, dielectric, frame), expected, atol=1e-12)
    assert np.abs(dielectric - expected).max() > 0.01  # control: the frame does change this tensor


def test_orthorhombic_axes_are_named_by_length() -> None:
    np.testing.assert_array_equal(ieee_rotation(np.diag([4.0, 6.0, 9.0]), "mmm"), [[0, 1, 0], [0, 0, 1], [1, 0, 0]])
    np.testing.assert_array_equal(ieee_rotation(np.diag([6.0, 4.0, 3.0]), "mm2"), [[0, 1, 0], [-1, 0, 0], [0, 0, 1]])


def test_tetragonal_z_is_the_four_fold_axis_even_when_c_is_short() -> None:
    """The case where taking lengths as a guide fails (c < a), as pymatgen's rule does."""
    frame = ieee_rotation(np.diag([4.6, 4.6, 2.96]), "4/mmm")
    np.testing.assert_array_equal(frame, np.eye(3))


def test_monoclinic_axes_are_the_shortest_pair_with_an_obtuse_angle() -> None:
    a, b, c = np.array([5.0, 0, 0]), np.array([0, 6.0, 0]), np.array([-1.0, 0, 4.0])
    frame = ieee_rotation(np.array([a, b, c + 2 * a]), "2/m")  # a sheared description of the same lattice
    np.testing.assert_allclose(frame[2], c / np.linalg.norm(c), atol=1e-14)
    np.testing.assert_allclose(frame[1], b / 6.0, atol=1e-14)
    assert frame[0] @ a > 0


def test_triclinic_z_is_the_shortest_axis_and_y_is_normal_to_010() -> None:
    lattice = np.array([[4.0, 0.1, 0.2], [0.3, 5.0, -0.4], [0.2, -0.3, 6.0]])  # c, a, b by length
    frame = ieee_rotation(lattice, "1")
    np.testing.assert_allclose(np.abs(frame[2] @ lattice[0]), np.linalg.norm(lattice[0]), rtol=1e-14)
    np.testing.assert_allclose(frame[1] @ lattice[[0, 1]].T, 0, atol=1e-14)
    assert np.abs(frame[1] @ lattice[2]) > 5  # control: the b axis does not lie in the plane that Y is normal to


@pytest.mark.parametrize(
    ("lattice", "point_group"),
    [
        (np.diag([4.0, 5.0, 4.0]), "m-3m"),
        (np.diag([4.0, 4.0, 6.0]), "6mm"),
        (np.array([[0, 2.0, 2], [2, 0, 2], [2, 2, 0]]), "m-3m"),
        (np.array([[3.0, 0, 1], [0, 4, 0], [1, 0.5, 5]]), "2/m"),
    ],
)
def test_a_cell_that_is_not_conventional_is_refused(lattice: Floats, point_group: str) -> None:
    with pytest.raises(FrameError, match="is not the conventional"):
        ieee_rotation(lattice, point_group)


def test_unknown_classes_flat_cells_and_wrong_numbers_are_refused() -> None:
    with pytest.raises(FrameError, match="no crystal class"):
        ieee_rotation(np.eye(3), "5m")
    with pytest.raises(FrameError, match="flat"):
        ieee_rotation(np.array([[1.0, 0, 0], [0, 1, 0], [1, 1, 0]]), "1")
    with pytest.raises(FrameError, match="finite"):
        ieee_rotation(np.full((3, 3), np.nan), "1")
    for number in (0, 231):
        with pytest.raises(FrameError, match="1 to 230"):
            oriented_point_group(number)


ZIRCONIA = np.array([[5.0838, 0, -0.8234], [0, 5.21, 0], [0, 0, 5.32]])


@pytest.mark.parametrize(
    ("lattice", "words"),
    [
        (ZIRCONIA, ": a in the xz plane, b along y, c along z"),
        ([[5.15, 0, 0], [0, 5.21, 0], [-0.85, 0, 5.25]], ": a along x, b along y, c in the xz plane"),
        ([[4, 0, 0], [-2, 3.4641, 0], [0, 0, 6]], ": a along x, b in the xy plane, c along z"),
        ([[0, 2, 2], [2, 0, 2], [2, 2, 0]], ": a in the yz plane, b in the xz plane, c in the xy plane"),
        ([[-4, 0, 0], [1, 2, 3], [3e-16, 1e-15, 5]], ": a along -x, c along z"),
        ([[1, 2, 3], [3, 1, 2], [2, 3, 1]], " as they stand"),
    ],
)
def test_the_axes_are_named_where_lattice_rows_lie_along_them(lattice: list[list[float]], words: str) -> None:
    assert axes_of_lattice(lattice) == f"Cartesian x, y, z of the lattice rows{words}"


def test_a_turned_lattice_is_not_said_to_lie_along_the_axes() -> None:
    assert axes_of_lattice(ZIRCONIA @ _about_z(1e-3).T) != axes_of_lattice(ZIRCONIA)
    assert axes_of_lattice(ZIRCONIA @ _about_z(90).T).endswith("a in the yz plane, b along -x, c along z")
