"""Sums of Gaussians over images: against the sum in real space, and the same for every cell of a crystal."""

import numpy as np
import pytest

from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.graph import GraphSpec, build_graph
from models.crystals.image_kernels import ImageKernels, find_kernels, join_kernels, pairs_of
from models.reference.crystals import in_cell, random_orthogonal, transformed
from models.symmetry.orbits import graph_as_given, reduce_to_orbits
from models.testing.contract import textbook_crystals

TEXTBOOK = textbook_crystals().crystals
WIDTHS = (1.5, 3.0)


def block(kernels: ImageKernels, crystal: int) -> Floats:
    """Of one crystal, [n, n, n_widths]."""
    n = kernels.sizes[crystal]
    return kernels.values[kernels.starts[crystal] : kernels.starts[crystal + 1]].reshape(n, n, -1)


def in_real_space(batch: CrystalBatch, crystal: int, width: float) -> Floats:
    """The sum over all images within eight widths, one by one."""
    start, stop = batch.first_atom[crystal : crystal + 2]
    lattice, positions = batch.lattice[crystal], batch.frac_coords[start:stop]
    steps = np.ceil(8 * width * np.linalg.norm(np.linalg.inv(lattice), axis=0)).astype(int) + 1
    images = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in steps)), axis=-1).reshape(-1, 3)
    between = (positions[None] - positions[:, None])[:, :, None] + images
    return np.asarray(np.exp(-((between @ lattice) ** 2).sum(axis=-1) / (2 * width**2)).sum(axis=-1))


@pytest.mark.parametrize("crystal", range(TEXTBOOK.n_crystals))
def test_sums_in_reciprocal_and_in_real_space_agree(crystal: int) -> None:
    found = block(find_kernels(TEXTBOOK, WIDTHS), crystal)
    for k, width in enumerate(WIDTHS):
        expected = in_real_space(TEXTBOOK, crystal, width)
        assert np.allclose(found[:, :, k], expected, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("cell", [np.diag([2, 1, 1]), np.diag([2, 2, 2])], ids=["211", "222"])
def test_copies_in_a_supercell_add_up_to_the_atom(cell: Floats) -> None:
    small = np.flatnonzero(TEXTBOOK.atoms_per_crystal <= 4)
    batch = TEXTBOOK.select(small)
    copies, larger = find_kernels(batch, WIDTHS), find_kernels(in_cell(batch, cell), WIDTHS)
    n_copies = round(np.linalg.det(cell))
    for crystal in range(batch.n_crystals):
        rows, of_cell = block(larger, crystal), block(copies, crystal)
        total, expected = np.sort(rows.sum(axis=1), axis=0), np.repeat(of_cell.sum(axis=1), n_copies, axis=0)
        assert np.allclose(total, np.sort(expected, axis=0), rtol=1e-6)
    one_image = rows / n_copies  # negative control: a copy alone is not the atom
    assert not np.allclose(np.sort(one_image.sum(axis=1), axis=0), np.sort(expected, axis=0), rtol=1e-2)


def test_kernels_do_not_depend_on_frame_origin_or_choice_of_cell() -> None:
    expected = find_kernels(TEXTBOOK, WIDTHS).values
    rotated = transformed(TEXTBOOK, -random_orthogonal(np.random.default_rng(4)))
    skewed = in_cell(TEXTBOOK, np.array([[1, 1, 0], [-1, 0, 1], [2, 1, 0]]))
    moved = CrystalBatch(
        TEXTBOOK.lattice, TEXTBOOK.frac_coords + np.array([0.3, 1.4, -0.2]), TEXTBOOK.numbers, TEXTBOOK.crystal_of_atom
    )
    for batch in (rotated, moved):
        assert np.allclose(find_kernels(batch, WIDTHS).values, expected, rtol=1e-6)
    # the atoms of another cell come in another order
    assert np.allclose(np.sort(find_kernels(skewed, WIDTHS).values, axis=0), np.sort(expected, axis=0), rtol=1e-6)
    longer = CrystalBatch(1.02 * TEXTBOOK.lattice, TEXTBOOK.frac_coords, TEXTBOOK.numbers, TEXTBOOK.crystal_of_atom)
    assert not np.allclose(find_kernels(longer, WIDTHS).values, expected, rtol=1e-3)  # negative control


def test_wide_kernels_count_the_atoms_of_a_mean_density() -> None:
    """A Gaussian that is wider than the cell sees (2π)^(3/2) σ³ / V of each atom."""
    width = 15.0
    found = find_kernels(TEXTBOOK, (width,))
    volume = np.abs(np.linalg.det(TEXTBOOK.lattice))
    expected = np.repeat((2 * np.pi) ** 1.5 * width**3 / volume, TEXTBOOK.atoms_per_crystal**2)
    assert np.allclose(found.values[:, 0], expected, rtol=1e-6)


def test_kernels_of_orbits_are_sums_over_their_atoms() -> None:
    spec = GraphSpec(kernel_widths_angstrom=WIDTHS)
    graph = build_graph(TEXTBOOK, spec)
    of_atoms, orbits = graph_as_given(TEXTBOOK, graph), reduce_to_orbits(TEXTBOOK, graph)
    assert of_atoms.kernels is not None
    assert orbits.kernels is not None
    assert orbits.kernels.sizes.sum() == len(orbits.numbers) < len(TEXTBOOK.numbers)
    first_orbit = np.concatenate([[0], np.cumsum(orbits.kernels.sizes)])
    for crystal in range(TEXTBOOK.n_crystals):
        start, stop = TEXTBOOK.first_atom[crystal : crystal + 2]
        orbit = orbits.orbit_of_atom[start:stop] - first_orbit[crystal]
        firsts = [int(np.flatnonzero(orbit == k)[0]) for k in range(orbits.kernels.sizes[crystal])]
        rows = block(of_atoms.kernels, crystal)[firsts]
        expected = np.stack([rows[:, orbit == k].sum(axis=1) for k in range(len(firsts))], axis=1)
        assert np.allclose(block(orbits.kernels, crystal), expected)


def test_crystals_are_selected_and_joined_with_their_pairs() -> None:
    kernels = find_kernels(TEXTBOOK, WIDTHS)
    order = np.array([3, 0, 3, 7])
    chosen = kernels.select(order)
    for place, crystal in enumerate(order):
        assert np.array_equal(block(chosen, place), block(kernels, crystal))
    halves = [find_kernels(TEXTBOOK.select(part), WIDTHS) for part in ([0, 1, 2], range(3, TEXTBOOK.n_crystals))]
    joined = join_kernels(halves)
    assert np.array_equal(joined.sizes, kernels.sizes)
    assert np.array_equal(joined.values, kernels.values)


def test_pairs_stay_within_their_crystals() -> None:
    center, neighbor = pairs_of(np.array([2, 1, 3]))
    assert center.tolist() == [0, 0, 1, 1, 2, 3, 3, 3, 4, 4, 4, 5, 5, 5]
    assert neighbor.tolist() == [0, 1, 0, 1, 2, 3, 4, 5, 3, 4, 5, 3, 4, 5]


def test_no_crystals_have_no_kernels() -> None:
    empty = find_kernels(CrystalBatch.from_arrays([], [], []), WIDTHS)
    assert empty.values.shape == (0, 2)
    assert [part.tolist() for part in pairs_of(empty.sizes)] == [[], []]
