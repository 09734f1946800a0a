"""The neighbour graph is a property of the crystal, not of its description."""

from dataclasses import fields, replace

import numpy as np
import pytest

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.crystals.graph import PUBLISHED_GRAPH, CrystalGraph, GraphSpec, build_graph, find_graph_neighbors
from models.crystals.neighbors import find_neighbors
from models.reference.crystals import in_cell, random_orthogonal, transformed
from models.testing.contract import crystals_of_all_classes, textbook_crystals

DEFAULT = GraphSpec()
PAPER = GraphSpec(n_neighbors=16, reach=1.001, undirected=True)
FIXED = GraphSpec(radius_angstrom=4.1)
SPECS = pytest.mark.parametrize("spec", [DEFAULT, PAPER, FIXED], ids=["default", "paper", "fixed"])

A = 4.0
FCC = A * np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
BCC = A * np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])

# neighbours within the reach, counted by hand from the shells: (distance / a, atoms) ...
SHELLS = {
    # fcc 12 at 0.707, 6 at 1: r_12 = 0.707, reach 0.884; r_16 = 1
    "fcc": (FCC, [[0, 0, 0]], [29], 12, 18),
    # bcc 8 at 0.866, 6 at 1, 12 at 1.414: r_12 = 1, reach 1.25; r_16 = 1.414
    "bcc": (BCC, [[0, 0, 0]], [26], 14, 26),
    # rocksalt 6 at 0.5, 12 at 0.707, 8 at 0.866: r_12 = 0.707, reach 0.884; r_16 = 0.707
    "rocksalt": (FCC, [[0, 0, 0], [0.5, 0.5, 0.5]], [12, 8], 26, 18),
    # diamond 4 at 0.433, 12 at 0.707, 12 at 0.829: r_12 = 0.707, reach 0.884; r_16 = 0.707
    "diamond": (FCC, [[0, 0, 0], [0.25, 0.25, 0.25]], [6, 6], 28, 16),
    # simple cubic 6 at 1, 12 at 1.414, 8 at 1.732: r_12 = 1.414, reach 1.768; r_16 = 1.414
    "simple cubic": (A * np.eye(3), [[0, 0, 0]], [84], 26, 18),
}


def crystal(name: str) -> CrystalBatch:
    lattice, frac_coords, numbers, _, _ = SHELLS[name]
    return CrystalBatch.from_arrays([lattice], [np.array(frac_coords)], [np.array(numbers)])


def noisy(batch: CrystalBatch, seed: int, noise_angstrom: float) -> CrystalBatch:
    """The crystal turned at random, its positions with noise."""
    rng = np.random.default_rng(seed)
    turned = transformed(batch, random_orthogonal(rng))
    shift = noise_angstrom * rng.normal(size=batch.frac_coords.shape)
    frac = turned.frac_coords + np.einsum("ni,nij->nj", shift, np.linalg.inv(turned.lattice)[batch.crystal_of_atom])
    return CrystalBatch(turned.lattice, frac, batch.numbers, batch.crystal_of_atom)


def degrees(graph: CrystalGraph) -> Ints:
    return np.bincount(graph.center, minlength=len(graph.numbers))


def surroundings(graph: CrystalGraph, decimals: int = 6) -> list[tuple[int, tuple[tuple[int, float, float], ...]]]:
    """Each atom's element and what it sees (element, distance, scaled distance): one entry per atom, sorted."""
    seen: list[list[tuple[int, float, float]]] = [[] for _ in graph.numbers]
    distance = np.linalg.norm(graph.vector, axis=1)
    for k, center in enumerate(graph.center):
        rounded = round(float(distance[k]), decimals), round(float(graph.scaled_distance[k]), decimals)
        seen[center].append((int(graph.numbers[graph.neighbor[k]]), *rounded))
    return sorted((int(z), tuple(sorted(rows))) for z, rows in zip(graph.numbers, seen, strict=True))


@pytest.mark.parametrize("name", SHELLS)
def test_shells_of_equal_distance_stay_whole_under_rotation_and_rounding(name: str) -> None:
    expected = SHELLS[name][3:]
    for seed in range(6):
        batch = noisy(crystal(name), seed, 1e-9)
        for spec, count in zip((DEFAULT, PAPER), expected, strict=True):
            assert set(degrees(build_graph(batch, spec))) == {count}


def test_taking_exactly_the_nearest_sixteen_splits_shells() -> None:
    """Negative control: the cut of the published code, an exact comparison with the 16th distance."""
    counts = []
    for seed in range(6):
        batch = noisy(crystal("rocksalt"), seed, 1e-9)
        found = find_neighbors(batch.lattice, batch.frac_coords, batch.crystal_of_atom, np.array([4.5]))
        for atom in range(2):
            distances = found.distance[found.center == atom]
            counts.append(int((distances <= np.sort(distances)[15]).sum()))
    whole = SHELLS["rocksalt"][4]
    assert min(counts) < whole  # some of the 12 atoms of the second shell are lost: which ones is left to rounding


@SPECS
def test_a_supercell_has_the_same_surroundings(spec: GraphSpec) -> None:
    """No image of an atom is counted twice, however many cells lie between."""
    batch = textbook_crystals().crystals
    one = [surroundings(build_graph(batch.select([k]), spec)) for k in range(batch.n_crystals)]
    large = in_cell(batch, np.diag([2, 1, 2]))
    for k, expected in enumerate(one):
        found = surroundings(build_graph(large.select([k]), spec))
        assert found == sorted(expected * 4)


def test_counting_the_images_of_an_atom_twice_would_show() -> None:
    """Negative control: an edge of an atom to itself doubled, as in the published graph."""
    batch = crystal("fcc")
    graph = build_graph(batch, DEFAULT)
    arrays = {f.name: getattr(graph, f.name) for f in fields(graph)}
    own = np.flatnonzero(graph.center == graph.neighbor)
    for name in ("center", "neighbor", "vector", "scaled_distance"):
        arrays[name] = np.concatenate([arrays[name], arrays[name][own]])
    large = build_graph(in_cell(batch, np.diag([2, 2, 2])), DEFAULT)
    assert surroundings(large) == surroundings(graph) * 8
    assert surroundings(large) != surroundings(CrystalGraph(**arrays)) * 8


@SPECS
@pytest.mark.parametrize(
    "cell", [np.array([[1, 2, 0], [0, 1, 0], [-3, 1, 1]]), np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])]
)
def test_another_cell_has_the_same_surroundings(spec: GraphSpec, cell: Ints) -> None:
    batch = crystals_of_all_classes(seed=3).crystals.select(range(8))
    assert surroundings(build_graph(in_cell(batch, cell), spec)) == surroundings(build_graph(batch, spec))


@SPECS
def test_a_batch_is_its_crystals_one_by_one(spec: GraphSpec) -> None:
    batch = CrystalBatch.join(
        [textbook_crystals().crystals, crystals_of_all_classes(seed=3).crystals.select(range(12))]
    )
    together = build_graph(batch, spec)
    assert together.n_crystals == batch.n_crystals
    for k in range(batch.n_crystals):
        assert surroundings(together.select(np.array([k]))) == surroundings(build_graph(batch.select([k]), spec))


def test_selecting_keeps_order_and_renumbers_atoms() -> None:
    batch = textbook_crystals().crystals
    order = np.array([7, 2, 2, 9])
    chosen, built = build_graph(batch, DEFAULT).select(order), build_graph(batch.select(order), DEFAULT)
    assert chosen.n_crystals == 4
    assert np.array_equal(chosen.numbers, built.numbers)
    assert np.array_equal(chosen.crystal_of_atom, built.crystal_of_atom)
    assert np.array_equal(chosen.center, built.center)
    assert surroundings(chosen) == surroundings(built)


@SPECS
def test_edges_stay_inside_their_crystal_and_are_sorted(spec: GraphSpec) -> None:
    batch = crystals_of_all_classes(seed=3).crystals
    graph = build_graph(batch, spec)
    assert (np.diff(graph.center) >= 0).all()
    assert np.array_equal(batch.crystal_of_atom[graph.center], batch.crystal_of_atom[graph.neighbor])
    assert spec is FIXED or (degrees(graph) >= spec.n_neighbors).all()


def test_the_scaled_distance_is_the_share_of_the_reach() -> None:
    """Of a directed graph: above 0, at most 1, and 1 / reach at the k-th neighbour."""
    graph = build_graph(crystals_of_all_classes(seed=3).crystals, DEFAULT)
    assert graph.scaled_distance.min() > 0
    assert graph.scaled_distance.max() <= 1
    distance = np.linalg.norm(graph.vector, axis=1)
    for atom in range(0, len(graph.numbers), 17):
        mine = graph.center == atom
        r_k = np.sort(distance[mine])[DEFAULT.n_neighbors - 1]
        assert np.allclose(graph.scaled_distance[mine], distance[mine] / (DEFAULT.reach * r_k))


@pytest.mark.parametrize(("name", "n_edges"), [("fcc", 18), ("bcc", 14), ("rocksalt", 32), ("simple cubic", 6)])
def test_a_fixed_radius_takes_what_lies_within_it(name: str, n_edges: int) -> None:
    """Counted by hand from the shells above, of which those up to 1.025 a lie within 4.1 angstrom."""
    graph = build_graph(crystal(name), FIXED)
    assert set(degrees(graph)) == {n_edges}
    assert np.allclose(graph.scaled_distance, np.linalg.norm(graph.vector, axis=1) / 4.1)


def test_one_search_serves_fixed_and_relative_radii() -> None:
    batch = textbook_crystals().crystals
    shared = find_graph_neighbors(batch, [DEFAULT, FIXED])
    for spec in (DEFAULT, FIXED):
        assert surroundings(build_graph(batch, spec, shared)) == surroundings(build_graph(batch, spec))
    near = find_graph_neighbors(batch, [GraphSpec(radius_angstrom=3.0)])
    with pytest.raises(ValueError, match="need neighbors farther away"):
        build_graph(batch, FIXED, near)


def test_the_published_rule_has_no_radius() -> None:
    with pytest.raises(ValueError, match="it has no radius"):
        replace(PUBLISHED_GRAPH, radius_angstrom=4.0)


def test_an_undirected_graph_holds_every_edge_in_both_directions() -> None:
    batch = crystals_of_all_classes(seed=3).crystals
    assert both_ways(build_graph(batch, PAPER))
    assert not both_ways(build_graph(batch, GraphSpec(16, 1.001, undirected=False)))


def both_ways(graph: CrystalGraph) -> bool:
    forth = np.column_stack([graph.center, graph.neighbor, np.round(graph.vector, 6)]) + 0.0
    back = np.column_stack([graph.neighbor, graph.center, np.round(-graph.vector, 6)]) + 0.0
    return np.array_equal(np.unique(forth, axis=0), np.unique(back, axis=0))


def enveloped_sum(batch: CrystalBatch, spec: GraphSpec) -> Floats:
    """Sum of a cutoff envelope per crystal: jumps where the graph jumps, unless the weight is zero there."""
    graph = build_graph(batch, spec)
    weight = np.clip(1.0 - graph.scaled_distance, 0.0, None) ** 2
    return np.bincount(graph.crystal_of_atom[graph.center], weights=weight, minlength=graph.n_crystals).astype(
        np.float64
    )


def test_a_sum_with_a_cutoff_envelope_is_continuous_while_the_number_of_edges_jumps() -> None:
    """An atom of a perovskite is pulled out of its site by 1 angstrom in small steps."""
    base = textbook_crystals().crystals.select([3])
    sums, counts = [], []
    for step in np.linspace(0, 0.25, 251):
        frac = base.frac_coords.copy()
        frac[1, 2] += step
        moved = CrystalBatch(base.lattice, frac, base.numbers, base.crystal_of_atom)
        sums.append(enveloped_sum(moved, DEFAULT)[0])
        counts.append(len(build_graph(moved, DEFAULT).center))
    assert np.abs(np.diff(sums)).max() < 0.02 * sums[0]
    assert np.ptp(sums) > 0.02 * sums[0]
    assert np.abs(np.diff(counts)).max() > 1


@pytest.mark.parametrize("length", [6.0, 12.0, 40.0])
def test_sparse_crystals_get_their_neighbours_however_far(length: float) -> None:
    """Layers, chains and molecules: the radius guessed from the density is far too small or too large."""
    frac = [np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 0.5 + 1.1 / length]])] * 2
    lattices = [np.diag([3.0, 3.0, length]), np.diag([3.0, length, length])]
    graph = build_graph(CrystalBatch.from_arrays(lattices, frac, [np.array([6, 8])] * 2), DEFAULT)
    assert (degrees(graph) >= DEFAULT.n_neighbors).all()


def test_no_crystals_give_no_edges() -> None:
    graph = build_graph(CrystalBatch.from_arrays([], [], []), DEFAULT)
    assert graph.n_crystals == 0
    assert len(graph.center) == 0
