"""Irreps of the modes at Γ: published decompositions, the laws of degenerate sets, and the same in any description."""

from collections import Counter
from functools import cache

import numpy as np
import pytest

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.reference.crystals import CRYSTAL_CLASSES, crystals_of_all_classes, in_cell, random_orthogonal, transformed
from models.symmetry.atom_operations import AtomOperations, atom_operations
from models.symmetry.mode_irreps import IrrepModes, mode_irreps, optic_decomposition
from models.symmetry.operations import SymmetryError
from models.symmetry.point_group_irreps import point_group_irreps
from tests.models.symmetry.published_modes import published_modes

PUBLISHED = published_modes()
CLASSIFIED = crystals_of_all_classes(seed=0)
EVERY_CLASS = pytest.mark.parametrize("row", range(32), ids=CRYSTAL_CLASSES)


@cache
def operations_of(name: str) -> AtomOperations:
    """Of a published crystal or of a class."""
    if name in PUBLISHED:
        return atom_operations(PUBLISHED[name].crystal, 0)
    return atom_operations(CLASSIFIED.crystals, CRYSTAL_CLASSES.index(name))


def displacements(operations: AtomOperations) -> Floats:
    """What each operation does to displacements, written out, shape [n_ops, 3 n_atoms, 3 n_atoms]."""
    n_ops, n_atoms = operations.permutations.shape
    moves = np.zeros((n_ops, n_atoms, n_atoms))
    for op in range(n_ops):
        moves[op, operations.permutations[op], np.arange(n_atoms)] = 1.0
    return np.einsum("oij,oab->oiajb", moves, operations.rotations).reshape(n_ops, 3 * n_atoms, 3 * n_atoms)


def symmetrized(matrix: Floats, operations: AtomOperations, masses: Floats) -> Floats:
    """The matrix averaged over the group, with translations as modes of eigenvalue 0."""
    total = np.zeros_like(matrix)
    for action in displacements(operations):
        total += action @ (matrix + matrix.T) @ action.T
    shift = np.kron(np.sqrt(masses / masses.sum())[:, None], np.eye(3))
    without = np.eye(len(matrix)) - shift @ shift.T
    projected: Floats = without @ total @ without / len(operations.rotations)
    return projected


@cache
def random_modes(name: str, seed: int = 0) -> tuple[Floats, Floats]:
    """A dynamical matrix of a crystal's symmetry, else random, and the masses."""
    crystal = (
        PUBLISHED[name].crystal if name in PUBLISHED else CLASSIFIED.crystals.select([CRYSTAL_CLASSES.index(name)])
    )
    masses = crystal.numbers.astype(np.float64) * 2
    matrix = np.random.default_rng(seed).normal(size=(3 * len(masses), 3 * len(masses)))
    return symmetrized(matrix, operations_of(name), masses), masses


def diagonalized(matrix: Floats) -> tuple[Floats, Floats]:
    """Eigenvectors and frequencies, imaginary ones negative."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors, np.sign(values) * np.sqrt(np.abs(values))


def counts(sets: tuple[IrrepModes, ...]) -> dict[str, int]:
    return dict(Counter(modes.irrep for modes in sets))


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_optic_modes_are_the_published_ones(name: str) -> None:
    operations = operations_of(name)
    assert operations.spacegroup == PUBLISHED[name].spacegroup
    assert optic_decomposition(operations) == PUBLISHED[name].optic


@EVERY_CLASS
def test_every_mode_of_every_class_gets_its_irrep(row: int) -> None:
    name = CRYSTAL_CLASSES[row]
    operations, (matrix, masses) = operations_of(name), random_modes(CRYSTAL_CLASSES[row])
    sets = mode_irreps(*diagonalized(matrix), masses, operations)
    assert sum(modes.degeneracy for modes in sets) == 3 * len(masses) - 3
    assert counts(sets) == optic_decomposition(operations)
    actions = displacements(operations)
    for modes in sets:
        vectors = modes.eigenvectors
        value = np.sign(modes.frequency) * modes.frequency**2
        assert np.allclose(matrix @ vectors, value * vectors, atol=1e-10)
        # the operations take the set into itself, with the characters of its irrep
        within = np.einsum("ia,oij,jb->oab", vectors, actions, vectors, optimize=True)
        assert np.allclose(within @ within.transpose(0, 2, 1), np.eye(modes.degeneracy), atol=1e-8)
        expected = operations.irreps.characters[operations.irreps.symbols.index(modes.irrep)]
        assert np.allclose(np.einsum("oaa->o", within), expected, atol=1e-8)


def test_soft_modes_below_the_acoustic_ones_are_kept() -> None:
    name = "cubic perovskite SrTiO3"
    matrix, masses = random_modes(name)
    operations = operations_of(name)
    stable = symmetrized(matrix @ matrix, operations, masses)
    # titanium against the rest, along x, y and z
    along_x = np.zeros(len(matrix))
    along_x[3 * PUBLISHED[name].crystal.numbers.tolist().index(22)] = 1.0
    polar = symmetrized(np.outer(along_x, along_x), operations, masses)
    softened = stable - 2 * np.linalg.norm(stable, 2) / np.linalg.norm(polar, 2) * polar
    vectors, frequencies = diagonalized(softened)
    shift = np.kron(np.sqrt(masses / masses.sum())[:, None], np.eye(3))
    # the lowest three are not the translations here
    assert np.abs(shift.T @ vectors[:, :3]).max() < 1e-6
    sets = mode_irreps(vectors, frequencies, masses, operations)
    assert counts(sets) == PUBLISHED[name].optic
    assert [modes.frequency > 0 for modes in sets] == [False, True, True, True]
    assert sets[0].irrep == "T1u" and sets[0].polar
    assert np.abs(shift.T @ sets[0].eigenvectors).max() < 1e-9


def test_irreps_that_coincide_by_accident_stay_apart() -> None:
    name = "rutile TiO2"
    matrix, masses = random_modes(name)
    operations = operations_of(name)
    # all fifteen optic frequencies are 1 to ten digits
    together = symmetrized(0.5 * np.eye(18), operations, masses) + 1e-10 * matrix
    vectors, frequencies = diagonalized(together)
    assert np.ptp(frequencies[3:]) < 1e-8
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(15, 15)))[0]
    vectors[:, 3:] = vectors[:, 3:] @ turn
    assert counts(mode_irreps(vectors, frequencies, masses, operations)) == PUBLISHED[name].optic
    # no split of these vectors by their frequencies is one by symmetry: operations take each into all others
    within = vectors[:, 3:].T @ displacements(operations)[1] @ vectors[:, 3:]
    assert min(np.linalg.norm(within[:k, k:]) for k in range(1, 15)) > 0.1


@pytest.mark.parametrize("name", ["quartz SiO2", "scheelite CaWO4", "spinel MgAl2O4"])
def test_modes_of_one_irrep_that_noise_has_split_are_joined(name: str) -> None:
    matrix, masses = random_modes(name)
    noise = np.random.default_rng(4).normal(size=matrix.shape)
    noisy = matrix + 1e-3 * (noise + noise.T)
    exact = mode_irreps(*diagonalized(matrix), masses, operations_of(name))
    sets = mode_irreps(*diagonalized(noisy), masses, operations_of(name))
    assert counts(sets) == counts(exact) == PUBLISHED[name].optic
    # eigenvalues move by no more than the noise
    squares = [np.sort([modes.frequency * abs(modes.frequency) for modes in each]) for each in (exact, sets)]
    assert np.abs(squares[0] - squares[1]).max() < 2e-3 * np.linalg.norm(noise, 2)


def equivalent(name: str, how: str) -> tuple[CrystalBatch, Floats, Floats]:
    """A crystal in another description, its dynamical matrix and masses."""
    crystal = PUBLISHED[name].crystal
    matrix, masses = random_modes(name)
    rng = np.random.default_rng(5)
    if how in {"rotated", "reflected"}:
        turn = random_orthogonal(rng) * (1 if how == "rotated" else -1)
        on_all = np.kron(np.eye(len(masses)), turn)
        return transformed(crystal, turn), on_all @ matrix @ on_all.T, masses
    if how == "permuted":
        order: Ints = rng.permutation(len(masses))
        rows = (3 * order[:, None] + np.arange(3)).ravel()
        batch = CrystalBatch(
            crystal.lattice, crystal.frac_coords[order], crystal.numbers[order], crystal.crystal_of_atom
        )
        return batch, matrix[np.ix_(rows, rows)], masses[order]
    if how == "shifted":
        shifted = crystal.frac_coords + rng.random(3)
        return CrystalBatch(crystal.lattice, shifted, crystal.numbers, crystal.crystal_of_atom), matrix, masses
    other = np.array([[0, 1, 0], [1, 1, 0], [0, 1, -1]]) @ np.array([[1, 0, 2], [0, 1, 0], [0, 0, 1]])
    return in_cell(crystal, other), matrix, masses


@pytest.mark.parametrize("how", ["rotated", "reflected", "permuted", "shifted", "in another cell"])
@pytest.mark.parametrize(
    "name", ["rutile TiO2", "quartz SiO2", "wurtzite ZnO", "brookite TiO2", "CaTiO3, Pnma", "orthorhombic KNbO3"]
)
def test_labels_do_not_depend_on_the_description(name: str, how: str) -> None:
    matrix, masses = random_modes(name)
    expected = mode_irreps(*diagonalized(matrix), masses, operations_of(name))
    crystal, other_matrix, other_masses = equivalent(name, how)
    sets = mode_irreps(*diagonalized(other_matrix), other_masses, atom_operations(crystal, 0))
    assert [modes.irrep for modes in sets] == [modes.irrep for modes in expected]
    assert np.allclose([modes.frequency for modes in sets], [modes.frequency for modes in expected], atol=1e-6)


def test_other_axes_of_an_orthorhombic_crystal_would_give_other_labels() -> None:
    operations = operations_of("CaTiO3, Pnma")
    as_pbnm = point_group_irreps(operations.rotations, operations.conventional[:, [2, 0, 1]])
    for in_pbnm, in_pnma in (("B1g", "B2g"), ("B2g", "B3g"), ("B3g", "B1g")):
        renamed = as_pbnm.characters[as_pbnm.symbols.index(in_pbnm)]
        assert np.array_equal(renamed, operations.irreps.characters[operations.irreps.symbols.index(in_pnma)])


def test_dipoles_and_raman_activity_of_rutile() -> None:
    operations = operations_of("rutile TiO2")
    matrix, masses = random_modes("rutile TiO2")
    c = operations.conventional[:, 2] / np.linalg.norm(operations.conventional[:, 2])
    along = np.outer(c, c)
    for modes in mode_irreps(*diagonalized(matrix), masses, operations):
        expected = {"A2u": along, "Eu": np.eye(3) - along}.get(modes.irrep, np.zeros((3, 3)))
        assert np.allclose(modes.dipole_projector, expected)
        assert modes.polar == (modes.irrep in {"A2u", "Eu"})
        assert modes.raman_active == (modes.irrep in {"A1g", "B1g", "B2g", "Eg"})
        assert modes.totally_symmetric == (modes.irrep == "A1g")


def test_one_atom_has_no_optic_modes() -> None:
    crystal = PUBLISHED["CsCl"].crystal
    single = CrystalBatch(crystal.lattice, crystal.frac_coords[:1], crystal.numbers[:1], crystal.crystal_of_atom[:1])
    operations = atom_operations(single, 0)
    assert mode_irreps(np.eye(3), np.zeros(3), np.array([55.0]), operations) == ()
    assert optic_decomposition(operations) == {}


def test_what_does_not_belong_together_is_refused() -> None:
    matrix, masses = random_modes("quartz SiO2")
    operations = operations_of("quartz SiO2")
    vectors, frequencies = diagonalized(matrix)
    mode_irreps(vectors, frequencies, masses, operations)
    with pytest.raises(SymmetryError, match="not orthonormal"):
        mode_irreps(vectors / np.sqrt(np.repeat(masses, 3))[:, None], frequencies, masses, operations)
    with pytest.raises(SymmetryError, match="breaks the symmetry"):
        mode_irreps(np.roll(vectors, 3, axis=0), frequencies, masses, operations)
    turned = np.kron(np.eye(9), random_orthogonal(np.random.default_rng(6)))
    with pytest.raises(SymmetryError, match="breaks the symmetry"):
        mode_irreps(turned @ vectors, frequencies, masses, operations)
    with pytest.raises(SymmetryError, match="nan %"):
        mode_irreps(vectors, np.where(frequencies > 0, frequencies, np.nan), masses, operations)
    with pytest.raises(SymmetryError, match="same mass"):
        mode_irreps(vectors, frequencies, masses + np.arange(9), operations)
