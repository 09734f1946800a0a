"""Large cells pass as the primitive cell that they repeat, in the same frame; one atom out of place forbids it."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmt_tasks.sources.generated.reference_crystals import ReferenceSource
from models.crystals.crystal import Crystal, CrystalBatch, find_invalid
from models.crystals.primitive import MAX_LISTED_ATOMS, TOLERANCE_ANGSTROM, with_primitive_cells
from models.fingerprint.content_id import identify
from models.fingerprint.orientation import find_rotation
from models.symmetry.search import find_symmetry

Floats = np.ndarray

AWKWARD = {
    "unequal": np.diag([3, 7, 5]),
    "chain": np.diag([1, 1, 211]),
    "sheared": np.array([[4, 9, -3], [0, 5, 2], [0, 0, 6]]),
    "mirrored": np.array([[0, 6, 0], [5, 0, 0], [1, 1, 4]]),
    "very skewed": np.array([[1, 7, 300], [0, 1, 50], [0, 0, 150]]),
    "body centred of itself": np.array([[-5, 5, 5], [5, -5, 5], [5, 5, -5]]),
}


def reference() -> tuple[CrystalBatch, list[str]]:
    """The reference crystals and their names."""
    (block,) = ReferenceSource.from_text("reference").blocks()
    return block.crystals, block.source_ids


CRYSTALS, NAMES = reference()
IDS = identify(CRYSTALS).ids


def one(batch: CrystalBatch, row: int) -> tuple[Floats, Floats, Floats]:
    atoms = slice(batch.first_atom[row], batch.first_atom[row + 1])
    return batch.lattice[row], batch.frac_coords[atoms], batch.numbers[atoms]


def supercell(row: int, multiples: Floats, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """The cell with rows `multiples @ lattice`, atoms shuffled, listed in any neighbouring cells."""
    lattice, frac, numbers = one(CRYSTALS, row)
    reach = [range(-n, n + 1) for n in np.abs(multiples).sum(axis=0).tolist()]
    if np.prod([len(r) for r in reach]) < 2_000_000:
        points = np.array(list(itertools.product(*reach)), dtype=float)
    else:  # upper triangular: the box of its diagonal holds one point of each class
        points = np.array(list(itertools.product(*map(range, np.diag(multiples)))), dtype=float)
    inside = points @ np.linalg.inv(multiples)
    inside -= np.floor(inside + 1e-9)
    points = np.unique(np.round(inside, 9), axis=0) @ multiples
    assert len(points) == round(abs(np.linalg.det(multiples)))
    random = np.random.default_rng(seed)
    all_frac = ((frac[None] + points[:, None]).reshape(-1, 3)) @ np.linalg.inv(multiples)
    order = random.permutation(len(all_frac))
    shifted = all_frac[order] + random.integers(-2, 3, (len(order), 3))
    return multiples @ lattice, shifted, np.tile(numbers, len(points))[order]


def folded(cell: tuple[Floats, Floats, Floats], max_atoms: int = 1) -> tuple[CrystalBatch, dict[int, int]]:
    lattice, frac, numbers = cell
    return with_primitive_cells(CrystalBatch.from_arrays([lattice], [frac], [numbers]), max_atoms)


@pytest.mark.parametrize("size", [2, 3, 5, 10])
def test_a_supercell_is_the_crystal_that_it_repeats(size: int) -> None:
    rows = [k for k in range(len(IDS)) if CRYSTALS.atoms_per_crystal[k] * size**3 <= MAX_LISTED_ATOMS]
    for row in rows[:: 3 if size < 5 else 9]:
        n_atoms = int(CRYSTALS.atoms_per_crystal[row])
        small, listed = folded(supercell(row, size * np.eye(3, dtype=int)), n_atoms)
        assert listed == {0: n_atoms * size**3}, NAMES[row]
        assert small.atoms_per_crystal[0] <= n_atoms
        assert not find_invalid(small)
        assert identify(small).ids == [IDS[row]], NAMES[row]


@pytest.mark.parametrize("shape", AWKWARD)
def test_cells_of_any_shape_are_folded_in_the_frame_they_came_in(shape: str) -> None:
    for row in range(0, len(IDS), 29):
        n_atoms = int(CRYSTALS.atoms_per_crystal[row])
        if n_atoms * abs(np.linalg.det(AWKWARD[shape])) > MAX_LISTED_ATOMS:
            continue
        cell = supercell(row, AWKWARD[shape])
        small, _ = folded(cell, n_atoms)
        assert small.atoms_per_crystal[0] <= n_atoms, NAMES[row]
        assert identify(small).ids == [IDS[row]]
        # The listed vectors are whole multiples of the new ones: nothing was rotated.
        multiples = cell[0] @ np.linalg.inv(small.lattice[0])
        assert np.allclose(multiples, np.rint(multiples), atol=1e-6)
        assert np.sign(np.linalg.det(small.lattice[0])) == np.sign(np.linalg.det(cell[0]))
        rotation = find_rotation(CRYSTALS.select([row]), small)
        # Any rotation between the representations is one of the crystal itself.
        own = find_symmetry(CRYSTALS.select([row])).rotations
        assert rotation is not None and np.abs(own - rotation).max(axis=(1, 2)).min() < 1e-3, NAMES[row]


def test_small_cells_and_their_order_stay_as_they_are() -> None:
    rock_salt = supercell(0, 4 * np.eye(3, dtype=int))
    cells = [one(CRYSTALS, 1), rock_salt, one(CRYSTALS, 2), rock_salt]
    batch = CrystalBatch.from_arrays(*zip(*cells, strict=True))
    small, listed = with_primitive_cells(batch, 100)
    assert listed == {1: len(rock_salt[2]), 3: len(rock_salt[2])}
    assert identify(small).ids == [IDS[1], IDS[0], IDS[2], IDS[0]]
    for row in (0, 2):
        assert all(np.array_equal(a, b) for a, b in zip(one(small, row), one(batch, row), strict=True))
    same, nothing = with_primitive_cells(batch, 100_000)
    assert same is batch and nothing == {}


@pytest.mark.parametrize(
    "fault", ["vacancy", "two vacancies", "displaced", "substituted", "swapped", "doubled", "none"]
)
@pytest.mark.parametrize("row", [0, 1, 5])
def test_one_atom_out_of_place_forbids_it(row: int, fault: str) -> None:
    lattice, frac, numbers = supercell(row, 6 * np.eye(3, dtype=int))
    n_atoms = int(CRYSTALS.atoms_per_crystal[row])
    kept = np.ones(len(numbers), dtype=bool)
    if fault.endswith("cy"):
        kept[3] = False
    if fault == "two vacancies":
        kept[np.flatnonzero(numbers == numbers[0])[:2]] = False
    if fault == "displaced":
        frac[3] += np.array([0.03, 0, 0]) @ np.linalg.inv(lattice)
    if fault == "substituted":
        numbers[3] = 118
    if fault == "swapped":
        other = int(np.flatnonzero(numbers != numbers[3])[0])
        frac[[3, other]] = frac[[other, 3]]
    if fault == "doubled":
        frac[3] = frac[4]
    # Not even half of the cell is taken for the whole.
    small, listed = folded((lattice, frac[kept], numbers[kept]), len(numbers) // 2)
    assert (listed == {}) == (fault != "none")
    assert (small.atoms_per_crystal[0] <= n_atoms) == (fault == "none")


@pytest.mark.parametrize("amplitude", [0.015, 0.05])
def test_a_wave_whose_neighbours_differ_little_is_no_repetition(amplitude: float) -> None:
    """Each atom lies near its neighbour's copy; over the whole cell they drift apart by more than the tolerance."""
    lattice, frac, numbers = supercell(0, 7 * np.eye(3, dtype=int))
    node = frac[numbers == numbers.min()][0, 2]  # the atom that is asked first does not move
    wave = amplitude * np.sin(2 * np.pi * (frac[:, 2] - node))
    bent = frac + wave[:, None] * np.array([1.0, 0, 0]) @ np.linalg.inv(lattice)
    n_atoms = int(CRYSTALS.atoms_per_crystal[0])
    assert folded((lattice, frac, numbers), n_atoms)[1]
    assert not folded((lattice, bent, numbers), n_atoms)[1]  # seven of them are repeated across the wave


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32), st.floats(0, 4))
def test_noise_is_averaged_within_the_tolerance_and_refused_beyond(seed: int, share: float) -> None:
    row = 0
    lattice, frac, numbers = supercell(row, 5 * np.eye(3, dtype=int), seed)
    random = np.random.default_rng(seed)
    step = random.normal(size=frac.shape)
    step *= share * TOLERANCE_ANGSTROM / np.linalg.norm(step, axis=1)[:, None]
    small, listed = folded((lattice, frac + step @ np.linalg.inv(lattice), numbers), 100)
    if share < 0.6:
        assert listed
        assert identify(small).ids == [IDS[row]] or share > 0.01
    if share > 1.5:
        assert not listed


def test_cells_beyond_the_bound_and_faulty_ones_are_left_to_the_checks() -> None:
    cell = supercell(0, 5 * np.eye(3, dtype=int))
    for fault in (np.nan, np.inf, 1e300):
        frac = cell[1].copy()
        frac[7, 1] = fault
        assert not folded((cell[0], frac, cell[2]), 10)[1]
    flat = cell[0].copy()
    flat[2] = flat[1]
    assert not folded((flat, cell[1], cell[2]), 10)[1]
    assert not folded((cell[0] * np.nan, cell[1], cell[2]), 10)[1]
    assert not folded((cell[0], cell[1], np.zeros_like(cell[2])), 10)[1]
    n_atoms = MAX_LISTED_ATOMS + 1
    assert not folded((cell[0], np.zeros((n_atoms, 3)), np.ones(n_atoms, dtype=int)), 10)[1]
    Crystal(*one(CRYSTALS, 0))  # negative control: the crystal itself is sound
