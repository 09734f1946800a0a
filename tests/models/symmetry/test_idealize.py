"""Idealised crystals: their space groups hold to rounding, and no representation of a crystal is preferred."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import spglib

from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.neighbors import Neighbors, find_neighbors
from models.reference.crystals import in_cell, random_orthogonal, transformed
from models.symmetry.idealize import IdealizedCrystals, idealize
from models.symmetry.search import SymmetryBatch, find_symmetry
from models.symmetry.space_group_tables import space_group_table
from models.testing.contract import crystals_of_all_classes, textbook_crystals
from tests.models.symmetry.space_groups import FIRST_SETTINGS, crystal_of_space_group

CLASSES = crystals_of_all_classes(seed=8).crystals
EXACT = CrystalBatch.join(
    [CLASSES, textbook_crystals().crystals, *(crystal_of_space_group(h).as_batch() for h in FIRST_SETTINGS)]
)
SYMPREC = 1e-2
UNIMODULAR = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 1]])


def noisy(batch: CrystalBatch, seed: int = 0) -> CrystalBatch:
    """Near-symmetric crystals: atoms displaced by up to 0.002 angstrom, cells strained by 1e-4."""
    rng = np.random.default_rng(seed)
    steps = rng.uniform(-1, 1, size=(len(batch.numbers), 3)) * 2e-3 / np.sqrt(3)
    inverse = np.linalg.inv(batch.lattice)[batch.crystal_of_atom]
    frac = batch.frac_coords + np.einsum("ni,nij->nj", steps, inverse)
    strain = np.eye(3) + 1e-4 * rng.uniform(-1, 1, size=(batch.n_crystals, 3, 3))
    return CrystalBatch(batch.lattice @ strain, frac, batch.numbers, batch.crystal_of_atom)


NOISY = noisy(EXACT)
SYMMETRY = find_symmetry(NOISY, SYMPREC)
IDEAL = idealize(NOISY, SYMMETRY)


def neighbors_of(batch: CrystalBatch, radius: float = 4.0) -> Neighbors:
    return find_neighbors(batch.lattice, batch.frac_coords, batch.crystal_of_atom, np.full(batch.n_crystals, radius))


def cartesian(batch: CrystalBatch) -> Floats:
    return np.einsum("ni,nij->nj", batch.frac_coords, batch.lattice[batch.crystal_of_atom])


def largest_miss(batch: CrystalBatch, symmetry: SymmetryBatch, crystal: int) -> float:
    """How far in angstrom any operation, about the origin, takes any atom from the next one of its element."""
    atoms = slice(batch.first_atom[crystal], batch.first_atom[crystal + 1])
    lattice, numbers = batch.lattice[crystal], batch.numbers[atoms]
    position = cartesian(batch)[atoms]
    table = space_group_table(int(symmetry.hall_number[crystal]))
    operations = symmetry.rotations[symmetry.crystal_of_op == crystal]
    worst = 0.0
    for rotation, translation in zip(operations, table.translations @ lattice, strict=True):
        apart = (position @ rotation.T + translation)[:, None] - position[None]
        steps = apart @ np.linalg.inv(lattice)
        distance = np.linalg.norm((steps - np.rint(steps)) @ lattice, axis=2)
        distance[numbers[:, None] != numbers[None]] = np.inf
        worst = max(worst, float(distance.min(axis=1).max()))
    return worst


def invariants(result: IdealizedCrystals, near: Neighbors, crystal: int) -> list[Floats]:
    """What no rotation, order or cell changes: volume, orbits, sorted distances around their first atoms."""
    batch = result.crystals
    atoms = np.flatnonzero(batch.crystal_of_atom == crystal)
    volume = abs(np.linalg.det(batch.lattice[crystal])) / len(atoms)
    firsts, counts = np.unique(result.first[atoms], return_counts=True)
    orbits = np.stack([batch.numbers[firsts], counts], axis=1)
    found = [np.array([volume]), orbits[np.lexsort(orbits.T)].astype(np.float64).ravel()]
    near = near.take(np.isin(near.center, firsts))
    ends = np.stack([batch.numbers[near.center], batch.numbers[near.neighbor]], axis=1)
    return [*found, *(np.sort(near.distance[(ends == pair).all(axis=1)]) for pair in np.unique(ends, axis=0))]


def assert_same_crystals(found: IdealizedCrystals, expected: IdealizedCrystals, tolerance: float = 1e-8) -> None:
    assert not len(found.failed)
    near, others = neighbors_of(found.crystals), neighbors_of(expected.crystals)
    for crystal in range(expected.crystals.n_crystals):
        pairs = zip(invariants(found, near, crystal), invariants(expected, others, crystal), strict=True)
        for left, right in pairs:
            assert left.shape == right.shape, crystal
            assert np.abs(left - right).max(initial=0.0) < tolerance, crystal


def test_every_operation_maps_the_idealised_crystal_onto_itself() -> None:
    assert not len(IDEAL.failed)
    assert max(largest_miss(IDEAL.crystals, SYMMETRY, k) for k in range(NOISY.n_crystals)) < 1e-10


def test_the_crystals_given_are_not_mapped_onto_themselves() -> None:
    """Negative control: without the averages the operations miss."""
    primitive = IDEAL.crystals
    moved = noisy(primitive, seed=3)
    symmetric = SYMMETRY.number > 1
    misses = np.array([largest_miss(moved, SYMMETRY, k) for k in range(NOISY.n_crystals)])
    assert (misses[symmetric] > 1e-5).all()
    assert not symmetric.all()


def test_spglib_finds_the_same_groups_and_orbits_at_a_tight_tolerance() -> None:
    batch = IDEAL.crystals
    for crystal in range(batch.n_crystals):
        atoms = slice(batch.first_atom[crystal], batch.first_atom[crystal + 1])
        cell = (batch.lattice[crystal], batch.frac_coords[atoms], batch.numbers[atoms])
        dataset: Any = spglib.get_symmetry_dataset(cell, symprec=1e-6)
        assert dataset.number == SYMMETRY.number[crystal]
        assert np.array_equal(dataset.equivalent_atoms, IDEAL.first[atoms] - batch.first_atom[crystal])


def test_idealising_twice_is_idealising_once() -> None:
    again = idealize(IDEAL.crystals, find_symmetry(IDEAL.crystals, SYMPREC))
    assert_same_crystals(again, IDEAL, 1e-10)
    assert again.displacement_angstrom.max() < 1e-10
    assert again.strain.max() < 1e-10
    assert IDEAL.displacement_angstrom.max() > 1e-3  # negative control
    assert IDEAL.strain.max() > 1e-5


@pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])
def test_a_rotated_crystal_is_idealised_to_the_rotated_crystal(sign: int) -> None:
    turn = sign * random_orthogonal(np.random.default_rng(2))
    turned = transformed(NOISY, turn)
    found = idealize(turned, find_symmetry(turned, SYMPREC))
    assert_same_crystals(found, IDEAL)
    change_of_basis = IDEAL.crystals.lattice @ np.linalg.inv(found.crystals.lattice @ turn)
    assert np.abs(change_of_basis - np.rint(change_of_basis)).max() < 1e-8


def test_order_of_atoms_and_origin_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    order = np.lexsort((rng.random(len(NOISY.numbers)), NOISY.crystal_of_atom))
    frac = NOISY.frac_coords[order] + rng.random((NOISY.n_crystals, 3))[NOISY.crystal_of_atom]
    other = CrystalBatch(NOISY.lattice, frac, NOISY.numbers[order], NOISY.crystal_of_atom)
    found = idealize(other, find_symmetry(other, SYMPREC))
    assert_same_crystals(found, IDEAL)
    assert np.abs(found.displacement_angstrom - IDEAL.displacement_angstrom).max() < 1e-8
    assert np.abs(found.strain - IDEAL.strain).max() < 1e-8


@pytest.mark.parametrize(
    "cell",
    [UNIMODULAR, UNIMODULAR[[1, 0, 2]], np.diag([2, 2, 2]), np.diag([2, 1, 1])],
    ids=["unimodular", "left-handed", "2x2x2", "2x1x1"],
)
def test_cells_of_a_crystal_give_one_primitive_cell(cell: Any) -> None:
    small = NOISY.select(np.flatnonzero(NOISY.atoms_per_crystal <= 24))
    assert small.n_crystals > 40
    expected = idealize(small, find_symmetry(small, SYMPREC))
    large = in_cell(small, cell)
    found = idealize(large, find_symmetry(large, SYMPREC))
    assert np.array_equal(found.crystals.atoms_per_crystal, expected.crystals.atoms_per_crystal)
    assert_same_crystals(found, expected)


def test_another_crystal_is_another_one() -> None:
    """Negative control of the tests above: 0.001 angstrom more noise is another idealised crystal."""
    other = noisy(EXACT, seed=1)
    with pytest.raises(AssertionError):
        assert_same_crystals(idealize(other, find_symmetry(other, SYMPREC)), IDEAL)


def test_copies_in_a_noisy_supercell_become_one_atom() -> None:
    large = noisy(in_cell(CLASSES, np.diag([2, 1, 1])), seed=5)
    symmetry = find_symmetry(large, SYMPREC)
    found = idealize(large, symmetry)
    assert not len(found.failed)
    assert np.array_equal(2 * found.crystals.atoms_per_crystal, large.atoms_per_crystal)
    assert np.array_equal(np.bincount(found.atom_of_given), np.full(len(CLASSES.numbers), 2))
    assert np.array_equal(found.crystals.numbers[found.atom_of_given], large.numbers)
    assert max(largest_miss(found.crystals, symmetry, k) for k in range(32)) < 1e-10


def test_the_matrices_take_the_surroundings_of_the_first_atom_to_the_atoms() -> None:
    batch, near = IDEAL.crystals, neighbors_of(IDEAL.crystals)
    n_wrong = 0
    for atom in np.flatnonzero(IDEAL.first != np.arange(len(batch.numbers))):
        own, firsts = near.take(near.center == atom), near.take(near.center == IDEAL.first[atom])
        assert len(own.center) == len(firsts.center)
        for matrix, is_right in ((IDEAL.rotations[atom], True), (np.eye(3), False)):
            apart = np.linalg.norm((firsts.vector @ matrix.T)[:, None] - own.vector[None], axis=2)
            apart[batch.numbers[firsts.neighbor][:, None] != batch.numbers[own.neighbor][None]] = np.inf
            if is_right:
                assert apart.min(axis=1).max(initial=0.0) < 1e-9
            else:
                n_wrong += bool(apart.min(axis=1).max(initial=0.0) > 1e-3)
    assert n_wrong > 100  # negative control: without the matrix


def test_the_matrices_are_operations_of_the_symmetry_and_the_identity_on_first_atoms() -> None:
    assert np.array_equal(SYMMETRY.crystal_of_op[IDEAL.operation], IDEAL.crystals.crystal_of_atom)
    assert np.abs(SYMMETRY.rotations[IDEAL.operation] - IDEAL.rotations).max() < 1e-12
    is_first = IDEAL.first == np.arange(len(IDEAL.first))
    assert np.array_equal(IDEAL.rotations[is_first], np.broadcast_to(np.eye(3), (is_first.sum(), 3, 3)))
    assert np.array_equal(IDEAL.first[IDEAL.first], IDEAL.first)
    assert 0.1 < is_first.mean() < 0.5


def test_atoms_stay_where_they_were_within_the_displacement_and_a_shift() -> None:
    ideal = IDEAL.crystals
    crystal = NOISY.crystal_of_atom
    before = cartesian(NOISY) - SYMMETRY.origin[crystal]
    # the strain moves atoms too: compared as fractions of the primitive cells, in those after the strain
    basis = np.array([space_group_table(int(h)).basis for h in SYMMETRY.hall_number])
    inverse = np.linalg.inv(SYMMETRY.conventional @ basis)
    steps = ideal.frac_coords[IDEAL.atom_of_given] - np.einsum("nij,nj->ni", inverse[crystal], before)
    moved = np.einsum("ni,nij->nj", steps - np.rint(steps), ideal.lattice[crystal])
    mean = np.stack([np.bincount(crystal, column) for column in moved.T], axis=1) / NOISY.atoms_per_crystal[:, None]
    distance = np.linalg.norm(moved - mean[crystal], axis=1)
    largest = np.maximum.reduceat(distance, NOISY.first_atom[:-1])
    assert np.allclose(largest, IDEAL.displacement_angstrom, atol=1e-12)
    assert IDEAL.displacement_angstrom.max() < 2 * SYMPREC
    assert np.array_equal(ideal.numbers[IDEAL.atom_of_given], NOISY.numbers)


def test_a_shift_of_all_atoms_is_no_displacement() -> None:
    shifted = CrystalBatch(EXACT.lattice, EXACT.frac_coords + 0.37, EXACT.numbers, EXACT.crystal_of_atom)
    symmetry = find_symmetry(EXACT, SYMPREC)
    off = replace(symmetry, origin=symmetry.origin + 0.004)
    assert idealize(EXACT, off).displacement_angstrom.max() < 1e-8
    assert idealize(shifted, find_symmetry(shifted, SYMPREC)).displacement_angstrom.max() < 1e-8


def test_crystals_that_a_group_does_not_fit_stay_as_they_are() -> None:
    broken = NOISY.frac_coords.copy()
    broken[NOISY.first_atom[20]] += 0.1
    batch = CrystalBatch(NOISY.lattice, broken, NOISY.numbers, NOISY.crystal_of_atom)
    number, hall = SYMMETRY.number.copy(), SYMMETRY.hall_number.copy()
    number[10] = hall[10] = 0
    kept = SYMMETRY.crystal_of_op != 10
    symmetry = replace(
        SYMMETRY,
        number=number,
        hall_number=hall,
        rotations=SYMMETRY.rotations[kept],
        crystal_of_op=SYMMETRY.crystal_of_op[kept],
    )
    found = idealize(batch, symmetry)
    assert found.failed.tolist() == [10, 20]
    for crystal in (10, 20):
        atoms = found.crystals.crystal_of_atom == crystal
        given = batch.crystal_of_atom == crystal
        assert np.array_equal(found.crystals.lattice[crystal], batch.lattice[crystal])
        assert np.array_equal(found.crystals.frac_coords[atoms], batch.frac_coords[given])
        assert np.array_equal(found.first[atoms], np.flatnonzero(atoms))
        assert np.array_equal(found.atom_of_given[given], np.flatnonzero(atoms))
        assert (found.operation[atoms] == -1).all()
        assert np.array_equal(found.rotations[atoms], np.broadcast_to(np.eye(3), (atoms.sum(), 3, 3)))
    others = found.crystals.select([k for k in range(batch.n_crystals) if k not in (10, 20)])
    expected = IDEAL.crystals.select([k for k in range(batch.n_crystals) if k not in (10, 20)])
    assert np.array_equal(others.frac_coords, expected.frac_coords)


def test_no_crystals_give_no_crystals() -> None:
    none = CrystalBatch.from_arrays([], [], [])
    found = idealize(none, find_symmetry(none))
    assert found.crystals.n_crystals == 0
    assert len(found.rotations) == 0
