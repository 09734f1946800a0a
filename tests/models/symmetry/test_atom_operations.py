"""Operations as they act on atoms, and the axes by which irreps are named."""

from itertools import permutations, product

import moyopy
import numpy as np
import pytest
import spglib

from models.crystals.crystal import CrystalBatch, Ints
from models.reference.crystals import (
    CRYSTAL_CLASSES,
    class_operations,
    crystals_of_all_classes,
    in_cell,
)
from models.symmetry.atom_operations import atom_operations, atom_permutations, axes_by_length
from models.symmetry.operations import SymmetryError
from tests.models.symmetry.published_modes import published_modes

CLASSIFIED = crystals_of_all_classes(seed=0)


@pytest.mark.parametrize("row", range(32), ids=CRYSTAL_CLASSES)
def test_operations_take_atoms_to_atoms_of_their_element_and_are_a_group(row: int) -> None:
    crystal = CLASSIFIED.crystals.select(np.array([row]))
    operations = atom_operations(crystal, 0)
    rotations, moves = operations.rotations, operations.permutations
    assert len(rotations) == len(class_operations(CRYSTAL_CLASSES[row]))
    assert (crystal.numbers[moves] == crystal.numbers).all()
    # Cartesian images of all atoms coincide with atoms up to one translation of the crystal and those of the lattice
    positions = crystal.frac_coords @ crystal.lattice[0]
    offsets = positions[moves] - positions @ rotations.transpose(0, 2, 1)
    apart = (offsets - offsets[:, :1]) @ np.linalg.inv(crystal.lattice[0])
    assert np.abs(apart - np.rint(apart)).max() < 1e-6
    # the product of two operations is the operation with the product of the rotations
    first, second = np.random.default_rng(row).integers(len(rotations), size=(2, 20))
    apart = np.abs((rotations[first] @ rotations[second])[:, None] - rotations[None]).max(axis=(2, 3))
    assert apart.min(axis=1).max() < 1e-9
    composed = np.take_along_axis(moves[first], moves[second], axis=1)
    assert np.array_equal(composed, moves[apart.argmin(axis=1)])


def test_a_four_fold_axis_takes_atoms_around_it() -> None:
    frac_coords = np.array([[0.1, 0, 0], [0, 0.1, 0], [-0.1, 0, 0], [0, -0.1, 0], [0.5, 0.5, 0]])
    numbers = np.array([6, 6, 6, 6, 7])
    around = np.array([[[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]])
    moves = atom_permutations(np.diag([4.0, 4, 5]), frac_coords, numbers, around, np.zeros((1, 3)))
    assert moves.tolist() == [[1, 2, 3, 0, 4]]
    with pytest.raises(SymmetryError, match="Operation 0 of 1 does not map the crystal onto itself"):
        atom_permutations(np.diag([4.0, 4, 5]), frac_coords, numbers, around, np.array([[0.5, 0.5, 0]]))
    moved = frac_coords + np.array([[0, 0, 0.02]] + 4 * [[0, 0, 0]])
    assert atom_permutations(np.diag([4.0, 4, 5]), moved, numbers, around, np.zeros((1, 3))).tolist() == moves.tolist()
    with pytest.raises(SymmetryError, match=r"0\.1 angstrom from the next place"):
        atom_permutations(np.diag([4.0, 4, 5]), moved, numbers, around, np.zeros((1, 3)), tolerance_angstrom=0.05)


def test_atoms_do_not_take_places_of_another_element() -> None:
    frac_coords, half = np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), np.array([[0.5, 0.5, 0.5]])
    arguments = np.eye(3) * 4, frac_coords
    assert atom_permutations(*arguments, np.array([55, 55]), np.eye(3)[None], half).tolist() == [[1, 0]]
    with pytest.raises(SymmetryError, match="does not map"):
        atom_permutations(*arguments, np.array([55, 17]), np.eye(3)[None], half)


def test_two_atoms_do_not_take_the_same_place() -> None:
    frac_coords = np.array([[0, 0, 0], [0.02, 0, 0]])
    with pytest.raises(SymmetryError, match="does not map"):
        atom_permutations(
            np.eye(3) * 4, frac_coords, np.array([6, 6]), -np.eye(3)[None], np.zeros((1, 3)), tolerance_angstrom=0.2
        )


def test_a_cell_that_is_not_primitive_is_refused() -> None:
    rutile = published_modes()["rutile TiO2"].crystal
    doubled = in_cell(rutile, np.diag([1, 1, 2]))
    with pytest.raises(SymmetryError, match="not primitive"):
        atom_operations(doubled, 0)


def orthorhombic_group(number: int) -> tuple[Ints, Ints]:
    """Rotations and translations (in 24ths) of an orthorhombic group in its standard setting."""
    hall = next(h for h in range(108, 349) if (kind := spglib.get_spacegroup_type(h)) and kind.number == number)
    table = spglib.get_symmetry_from_database(hall)
    assert table is not None
    return table["rotations"].astype(np.int64), np.rint(24 * table["translations"]).astype(np.int64) % 24


def stays(number: int, order: tuple[int, ...]) -> bool:
    """Whether a group in its standard setting is the same group, elsewhere in the cell, with its axes renamed."""
    rotations, translations = orthorhombic_group(number)
    renamed = np.diagonal(rotations, axis1=1, axis2=2)[:, order]
    origins = 3 * np.array(list(product(range(8), repeat=3)))  # eighths of the cell
    is_same = np.ones(len(origins), dtype=bool)
    for diagonal, translation in zip(renamed, translations[:, order], strict=True):
        places = translations[(np.diagonal(rotations, axis1=1, axis2=2) == diagonal).all(axis=1)]
        moved = (translation + origins * (1 - diagonal)) % 24
        is_same &= (moved[:, None] == places[None]).all(axis=2).any(axis=1)
    return bool(is_same.any())


@pytest.mark.parametrize("number", range(16, 75))
def test_axes_go_by_length_exactly_where_an_orthorhombic_group_leaves_them_open(number: int) -> None:
    allowed = {order for order in permutations(range(3)) if stays(number, order)}
    chosen = set()
    for lengths in permutations((3.0, 4.0, 5.0)):
        order = axes_by_length(number, np.diag(lengths))
        assert tuple(order) in allowed
        chosen.add(tuple(np.array(lengths)[order]))
    # however the axes are named first, the same crystal ends with the same names
    assert len(chosen) == 6 // len(allowed)


def test_the_names_of_axes_do_not_depend_on_how_a_cell_is_given() -> None:
    rows = [CRYSTAL_CLASSES.index(symbol) for symbol in ("222", "mm2", "mmm")]
    for row, spacegroup in zip(rows, (16, 25, 47), strict=True):
        crystal = CLASSIFIED.crystals.select(np.array([row]))
        reference = atom_operations(crystal, 0)
        assert reference.spacegroup == spacegroup
        for order in permutations(range(3)):
            given = in_cell(crystal, np.eye(3, dtype=np.int64)[list(order)])
            conventional = atom_operations(given, 0).conventional
            cosines = np.einsum("ai,ai->i", conventional, reference.conventional)
            assert np.allclose(np.abs(cosines), (reference.conventional**2).sum(axis=0))


def give_up(*_: object, **__: object) -> None:
    raise ValueError("no space group")


def test_spglib_takes_over_where_moyopy_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    crystals = [published.crystal for published in published_modes().values() if len(published.crystal.numbers) < 13]
    expected = [atom_operations(crystal, 0) for crystal in crystals]
    monkeypatch.setattr(moyopy, "MoyoDataset", give_up)
    for crystal, first in zip(crystals, expected, strict=True):
        second = atom_operations(crystal, 0)
        assert second.spacegroup == first.spacegroup
        # the order of operations is the library's own
        apart = np.abs(first.rotations[:, None] - second.rotations[None]).max(axis=(2, 3))
        assert apart.min(axis=1).max() < 1e-6
        other = apart.argmin(axis=1)
        assert np.array_equal(second.permutations[other], first.permutations)
        assert second.irreps.symbols == first.irreps.symbols
        assert np.array_equal(second.irreps.characters[:, other], first.irreps.characters)


def test_a_crystal_that_both_libraries_refuse_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    crystal = published_modes()["CsCl"].crystal
    monkeypatch.setattr(moyopy, "MoyoDataset", give_up)
    monkeypatch.setattr(spglib, "get_symmetry_dataset", lambda *_, **__: None)
    with pytest.raises(SymmetryError, match="No space group was found for row 1") as caught:
        atom_operations(CrystalBatch.join([crystal, crystal]), 1)
    assert caught.value.rows == [1]
