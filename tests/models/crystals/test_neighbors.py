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


def test_chunks_of_candidates_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = textbook_crystals().crystals
    whole = as_sorted(search(batch, 5.0))
    monkeypatch.setattr("models.crystals.neighbors._MAX_CANDIDATES", 500)
    assert agree(as_sorted(search(batch, 5.0)), whole)


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


def test_many_large_cells_are_searched_group_by_group_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    cells = [np.diag(random.uniform(5, 8, 3)) for _ in range(7)]
    sizes = [3, 40, 1, 25, 60, 2, 30]
    frac_coords = [random.random((n, 3)) for n in sizes]
    batch = CrystalBatch.from_arrays(cells, frac_coords, [np.ones(n) for n in sizes])
    whole = search(batch, 3.0)
    monkeypatch.setattr("models.crystals.neighbors._MAX_CANDIDATES", 500)
    parts = search(batch, 3.0)
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_wrapping_to_the_nearest_image_alone_would_miss_neighbours_in_a_skewed_cell() -> None:
    """Negative control: the usual short cut without lattice reduction and without counting images."""
    batch = in_cell(textbook_crystals().crystals.select([4]), SKEW)
    difference = batch.frac_coords[1] - batch.frac_coords[0]
    nearest = (difference - np.round(difference)) @ batch.lattice[0]
    assert np.linalg.norm(nearest) > search(batch, 4.0).distance.min() + 0.5
