"""Neighbours within a radius: every image once, in any cell."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pymatgen.core.structure import Structure

from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.crystals.neighbors import Neighbors, cell_heights, closest_pairs, find_neighbors, reduce_lattices
from models.reference.crystals import in_cell, random_orthogonal
from models.testing.contract import crystals_of_all_classes, textbook_crystals

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SKEW = np.array([[1, 0, 0], [7, 1, 0], [-5, 3, 1]])


def search(batch: CrystalBatch, radius: float) -> Neighbors:
    return find_neighbors(batch.lattice, batch.frac_coords, batch.crystal_of_atom, np.full(batch.n_crystals, radius))


def brute_force(lattice: Floats, frac_coords: Floats, radius: float) -> list[tuple[int, int, float]]:
    """Pairs and distances from all images in a box that surely holds the sphere, sorted."""
    wrapped = frac_coords - np.floor(frac_coords)
    reach = np.ceil(radius * np.linalg.norm(np.linalg.inv(lattice), axis=0)).astype(int) + 1
    images = np.array(list(np.ndindex(*(2 * reach + 1)))) - reach
    pairs = []
    for i, first in enumerate(wrapped):
        for j, second in enumerate(wrapped):
            distance = np.linalg.norm((second + images - first) @ lattice, axis=1)
            pairs += [(i, j, float(d)) for d in distance[(distance < radius) & (distance > 1e-8)]]
    return sorted(pairs)


def as_sorted(found: Neighbors) -> list[tuple[int, int, float]]:
    return sorted(zip(found.center.tolist(), found.neighbor.tolist(), found.distance.tolist(), strict=True))


def agree(left: list[tuple[int, int, float]], right: list[tuple[int, int, float]]) -> bool:
    """Same atoms and distances; sorting by distance keeps equal ones together."""
    same_pairs = [p[:2] for p in left] == [p[:2] for p in right]
    return same_pairs and np.allclose([p[2] for p in left], [p[2] for p in right], atol=1e-9)


@st.composite
def cells(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Cells from squat to flat, skewed at will, one to three atoms anywhere (also outside the cell)."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.uniform(np.log(1.5), np.log(9.0), size=3))
    lattice = lengths[:, None] * (np.eye(3) + 0.3 * rng.normal(size=(3, 3)))
    lattice[1] += draw(st.integers(-3, 3)) * lattice[0]
    lattice[2] += draw(st.integers(-3, 3)) * lattice[1]
    if abs(np.linalg.det(lattice)) < 6.0:
        lattice = np.diag(lengths) + 0.1
    return lattice, rng.uniform(-2, 3, size=(draw(st.integers(1, 3)), 3))


@settings(max_examples=60, deadline=None)
@given(cells(), st.floats(1.0, 4.0))
def test_the_neighbours_are_those_of_a_search_through_all_images(cell: tuple[Floats, Floats], radius: float) -> None:
    lattice, frac_coords = cell
    found = find_neighbors(lattice[None], frac_coords, np.zeros(len(frac_coords), np.int64), np.array([radius]))
    assert agree(as_sorted(found), brute_force(lattice, frac_coords, radius))


@pytest.mark.parametrize("radius", [2.5, 6.0])
@pytest.mark.parametrize("cell", [np.eye(3, dtype=int), SKEW, np.diag([2, 1, 3]), np.diag([-1, 1, 1])])
def test_the_neighbours_are_those_of_pymatgen(radius: float, cell: Ints) -> None:
    batch = in_cell(textbook_crystals().crystals, cell)
    found = search(batch, radius)
    for k in range(batch.n_crystals):
        one = batch.select([k])
        structure = Structure(one.lattice[0], [SYMBOLS[z] for z in one.numbers], one.frac_coords)
        center, neighbor, _, distance = structure.get_neighbor_list(radius)
        mine = batch.crystal_of_atom[found.center] == k
        assert mine.sum() == len(center)
        start = batch.first_atom[k]
        counts = np.bincount(
            (found.center[mine] - start) * len(one.numbers) + found.neighbor[mine] - start,
            minlength=len(one.numbers) ** 2,
        )
        assert (counts == np.bincount(center * len(one.numbers) + neighbor, minlength=len(counts))).all()
        assert np.allclose(np.sort(found.distance[mine]), np.sort(distance), atol=1e-9)


def test_vectors_point_from_the_center_to_an_image_of_the_neighbour() -> None:
    batch = in_cell(crystals_of_all_classes(seed=2).crystals.select(range(8)), SKEW)
    found = search(batch, 4.0)
    cell = batch.lattice[batch.crystal_of_atom[found.center]]
    between = batch.frac_coords[found.neighbor] - batch.frac_coords[found.center]
    cells_apart = np.einsum("ni,nij->nj", found.vector, np.linalg.inv(cell)) - between
    assert np.abs(cells_apart - np.round(cells_apart)).max() < 1e-7
    assert np.allclose(np.linalg.norm(found.vector, axis=1), found.distance)


def test_every_edge_has_its_reverse_and_no_image_comes_twice() -> None:
    batch = textbook_crystals().crystals
    found = search(batch, 5.0)
    key = np.column_stack([found.center, found.neighbor, np.round(found.vector, 6)])
    back = np.column_stack([found.neighbor, found.center, np.round(-found.vector, 6)])
    assert len(np.unique(key + 0.0, axis=0)) == len(key)
    assert (np.unique(key + 0.0, axis=0) == np.unique(back + 0.0, axis=0)).all()


def test_the_radius_belongs_to_the_crystal() -> None:
    batch = textbook_crystals().crystals
    radius = np.linspace(2.0, 6.0, batch.n_crystals)
    together = find_neighbors(batch.lattice, batch.frac_coords, batch.crystal_of_atom, radius)
    for k in range(batch.n_crystals):
        alone = search(batch.select([k]), radius[k])
        mine = batch.crystal_of_atom[together.center] == k
        assert mine.sum() == len(alone.center)
        assert np.allclose(np.sort(together.distance[mine]), np.sort(alone.distance))


def test_centers_are_ascending_so_that_edges_of_an_atom_are_a_slice() -> None:
    found = search(crystals_of_all_classes(seed=2).crystals, 3.0)
    assert (np.diff(found.center) >= 0).all()


def search_in_full(lattice: Floats, frac_coords: Floats, radius: float) -> Neighbors:
    """The oracle: every image of every pair of a crystal in arrays, in the order that is promised."""
    reduced, transform = reduce_lattices(lattice[None])
    frac = frac_coords @ np.linalg.inv(transform[0])
    n = len(frac)
    first, second = np.repeat(np.arange(n), n), np.tile(np.arange(n), n)
    difference = frac[second] - frac[first]
    difference -= np.floor(difference + 0.5)
    most = np.floor(radius / cell_heights(reduced)[0] + 0.5).astype(int)
    images = np.array(list(np.ndindex(*(2 * most + 1)))) - most
    vector = (difference @ reduced[0])[:, None] + images @ reduced[0]
    distance = np.linalg.norm(vector, axis=2)
    found = distance < radius
    found[first == second, len(images) // 2] = False
    pair, image = np.nonzero(found)
    return Neighbors(first[pair], second[pair], vector[pair, image], distance[pair, image])


def is_the_same(found: Neighbors, expected: Neighbors) -> bool:
    same_pairs = np.array_equal(found.center, expected.center) and np.array_equal(found.neighbor, expected.neighbor)
    return same_pairs and np.allclose(found.vector, expected.vector, rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(cells(), st.floats(1.0, 4.0))
def test_pairs_come_by_center_then_neighbour_then_image(cell: tuple[Floats, Floats], radius: float) -> None:
    lattice, frac_coords = cell
    found = find_neighbors(lattice[None], frac_coords, np.zeros(len(frac_coords), np.int64), np.array([radius]))
    assert is_the_same(found, search_in_full(lattice, frac_coords, radius))


@pytest.mark.parametrize("edges", [(14.0, 15.0, 16.0), (3.0, 3.5, 160.0), (2.0, 30.0, 30.0), (9.0, 9.0, 9.0)])
def test_large_and_thin_cells_with_many_atoms_are_searched_like_small_ones(edges: tuple[float, ...]) -> None:
    random = np.random.default_rng(4)
    lattice = np.diag(edges) + 0.2 * random.normal(size=(3, 3))
    frac_coords = random.uniform(-1, 2, size=(260, 3))
    for radius in (0.01, 2.0, 3.5):
        found = find_neighbors(lattice[None], frac_coords, np.zeros(260, np.int64), np.array([radius]))
        assert is_the_same(found, search_in_full(lattice, frac_coords, radius))


def test_thousands_of_atoms_have_the_neighbours_that_a_part_of_them_has() -> None:
    random = np.random.default_rng(4)
    block = random.random((40, 3))
    frac_coords = (block + np.array(list(np.ndindex(5, 5, 5)))[:, None]).reshape(-1, 3) / 5
    large = find_neighbors(35.0 * np.eye(3)[None], frac_coords, np.zeros(5000, np.int64), np.array([3.0]))
    small = find_neighbors(7.0 * np.eye(3)[None], block, np.zeros(40, np.int64), np.array([3.0]))
    assert len(large.center) == 125 * len(small.center)
    counts = np.bincount(large.center, minlength=5000).reshape(125, 40)
    assert (counts == np.bincount(small.center, minlength=40)).all()


def test_atoms_in_the_same_place_are_neighbours_of_each_other_and_not_of_themselves() -> None:
    frac_coords = np.array([[0.1, 0.2, 0.3], [1.1, 0.2, 0.3], [0.1, 0.2, 0.3]])
    found = find_neighbors(4.0 * np.eye(3)[None], frac_coords, np.zeros(3, np.int64), np.array([1.0]))
    pairs = set(zip(found.center.tolist(), found.neighbor.tolist(), strict=True))
    assert pairs == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}
    assert found.distance == pytest.approx(0.0, abs=1e-12)


def test_a_larger_radius_adds_pairs_between_those_of_a_smaller_one() -> None:
    batch = crystals_of_all_classes(seed=2).crystals
    near, far = search(batch, 3.0), search(batch, 5.0)
    kept = far.take(far.distance < 3.0)
    assert len(far.center) > 2 * len(near.center)
    assert all(np.array_equal(one, other) for one, other in zip(near, kept, strict=True))


def test_chosen_centers_have_the_pairs_that_they_have_among_all() -> None:
    batch = crystals_of_all_classes(seed=2).crystals
    centers = np.random.default_rng(1).random(len(batch.numbers)) < 0.3
    arrays = batch.lattice, batch.frac_coords, batch.crystal_of_atom, np.full(batch.n_crystals, 4.0)
    whole = find_neighbors(*arrays)
    chosen = whole.take(centers[whole.center])
    found = find_neighbors(*arrays, centers=centers)
    assert 0 < len(found.center) < len(whole.center)
    assert all(np.array_equal(one, other) for one, other in zip(found, chosen, strict=True))
    assert not len(find_neighbors(*arrays, centers=np.zeros_like(centers)).center)


def test_crowded_atoms_need_more_room_than_the_mean_density_says() -> None:
    frac_coords = 0.02 * np.random.default_rng(0).random((50, 3))
    found = find_neighbors(40.0 * np.eye(3)[None], frac_coords, np.zeros(50, np.int64), np.array([2.0]))
    assert len(found.center) == 50 * 49


def test_no_crystals_have_no_neighbours() -> None:
    found = search(CrystalBatch.from_arrays([], [], []), 5.0)
    assert len(found.center) == 0
    assert found.vector.shape == (0, 3)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-9, 9)), max_size=8)
)
def test_reducing_keeps_lattice_frame_and_volume(seed: int, shears: list[tuple[int, int, int]]) -> None:
    rng = np.random.default_rng(seed)
    compact = np.diag(rng.uniform(2, 6, size=3)) @ random_orthogonal(rng)
    skewed = compact.copy()
    for i, j, times in shears:
        skewed[i] += times * skewed[j] if i != j else 0.0
    reduced, transform = reduce_lattices(skewed[None])
    assert (transform == np.round(transform)).all()
    assert abs(abs(np.linalg.det(transform[0])) - 1) < 1e-6
    assert np.allclose(reduced[0], transform[0] @ skewed, atol=1e-9 * np.abs(skewed).max() * np.abs(transform).max())
    assert abs(np.linalg.det(reduced[0]) - np.linalg.det(skewed)) < 1e-6 * abs(np.linalg.det(compact))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_reduced_vector_gets_shorter_by_adding_another(seed: int) -> None:
    rng = np.random.default_rng(seed)
    skew = np.eye(3) + np.tril(rng.integers(-6, 7, size=(3, 3)), -1)
    lattice = skew @ (np.diag(rng.uniform(2, 6, size=3)) @ random_orthogonal(rng))
    reduced = reduce_lattices(lattice[None])[0][0]
    for i, j in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)):
        for sign in (-1, 1):
            assert np.linalg.norm(reduced[i] + sign * reduced[j]) > np.linalg.norm(reduced[i]) * (1 - 1e-5)


def test_a_skewed_cell_is_not_reduced_before_reducing() -> None:
    """Negative control of the two tests above."""
    lattice = SKEW @ np.diag([3.0, 3.5, 4.0])
    reduced = reduce_lattices(lattice[None])[0]
    assert np.linalg.norm(lattice, axis=1).max() > 3 * np.linalg.norm(reduced, axis=2).max()
    assert cell_heights(lattice[None]).min() < 0.5 * cell_heights(reduced).min()


def test_heights_are_volume_over_face() -> None:
    lattice = crystals_of_all_classes(seed=1).crystals.lattice
    for axis in range(3):
        face = np.cross(lattice[:, (axis + 1) % 3], lattice[:, (axis + 2) % 3])
        expected = np.abs(np.linalg.det(lattice)) / np.linalg.norm(face, axis=1)
        assert np.allclose(cell_heights(lattice)[:, axis], expected)


def test_the_closest_pair_is_named_with_its_distance() -> None:
    frac = [np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), np.array([[0, 0, 0], [0.5, 0.5, 0.5], [0.99, 0.02, 0.01]])]
    batch = CrystalBatch.from_arrays([4.0 * np.eye(3)] * 2, frac, [np.array([12, 8]), np.array([12, 8, 1])])
    pairs = closest_pairs(batch.lattice, batch.frac_coords, batch.crystal_of_atom, 0.5)
    assert list(pairs) == [1]
    i, j, distance = pairs[1]
    assert {i, j} == {0, 2}
    assert distance == pytest.approx(4.0 * np.sqrt(0.01**2 + 0.02**2 + 0.01**2))


def test_an_atom_closer_to_its_own_image_than_allowed_is_found() -> None:
    batch = CrystalBatch.from_arrays([np.diag([0.4, 6.0, 6.0])], [np.zeros((1, 3))], [np.array([1])])
    i, j, distance = closest_pairs(batch.lattice, batch.frac_coords, batch.crystal_of_atom, 0.5)[0]
    assert (i, j) == (0, 0)
    assert distance == pytest.approx(0.4)


@given(seed=st.integers(0, 10_000), n_atoms=st.integers(1, 25), edge=st.sampled_from([0.9, 1.4, 3.0, 6.0]))
def test_the_sweep_finds_what_a_search_of_all_images_finds(seed: int, n_atoms: int, edge: float) -> None:
    random = np.random.default_rng(seed)
    lattice = edge * (np.eye(3) + 0.3 * random.standard_normal((3, 3)))
    batch = CrystalBatch.from_arrays(
        [lattice, 2 * lattice], [random.normal(size=(n_atoms, 3))] * 2, [np.ones(n_atoms)] * 2
    )
    if np.abs(np.linalg.det(lattice)) < 0.1 * edge**3:
        return
    found = closest_pairs(batch.lattice, batch.frac_coords, batch.crystal_of_atom, 0.5)
    for crystal in (0, 1):
        everything = search(batch.select([crystal]), 0.5)
        if not len(everything.distance):
            assert crystal not in found
            continue
        i, j, distance = found[crystal]
        assert distance == pytest.approx(everything.distance.min())
        of_pair = (everything.center == i) & (everything.neighbor == j)
        assert np.isclose(everything.distance[of_pair], distance).any()


def test_wrapping_to_the_nearest_image_alone_would_miss_neighbours_in_a_skewed_cell() -> None:
    """Negative control: the usual short cut without lattice reduction and without counting images."""
    batch = in_cell(textbook_crystals().crystals.select([4]), SKEW)
    difference = batch.frac_coords[1] - batch.frac_coords[0]
    nearest = (difference - np.round(difference)) @ batch.lattice[0]
    assert np.linalg.norm(nearest) > search(batch, 4.0).distance.min() + 0.5
