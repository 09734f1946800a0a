"""One search serves all: what is cut from it equals what a search of its own would give, bit by bit."""

import numpy as np
import pytest

from models.applicability.descriptor import DESCRIPTOR_GRAPH
from models.crystals.canonical_order import ORDER_RADIUS_ANGSTROM, canonical_order
from models.crystals.crystal import CrystalBatch
from models.crystals.graph import PUBLISHED_GRAPH, CrystalGraph, GraphSpec, build_graph, find_graph_neighbors
from models.crystals.neighborhood import find_neighborhood
from models.reference.crystals import crystals_of_all_classes, textbook_crystals

CRYSTALS = CrystalBatch.join([textbook_crystals().crystals, crystals_of_all_classes(seed=6).crystals])
SLAB = CrystalBatch.from_arrays([np.diag([2.5, 2.5, 30.0])], [np.zeros((1, 3))], [np.array([6])])
SPECS = [DESCRIPTOR_GRAPH, GraphSpec(16, 1.001, undirected=True), PUBLISHED_GRAPH]


def same_edges(first: CrystalGraph, second: CrystalGraph) -> bool:
    names = ("center", "neighbor", "vector", "scaled_distance")
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in names)


@pytest.mark.parametrize("spec", SPECS)
def test_a_graph_cut_from_a_farther_search_has_the_same_edges_in_the_same_order(spec: GraphSpec) -> None:
    batch = CrystalBatch.join([CRYSTALS, SLAB])
    shared = find_graph_neighbors(batch, SPECS, 9.0)
    own = find_graph_neighbors(batch, [spec])
    assert len(shared.pairs.center) > 1.5 * len(own.pairs.center)
    assert same_edges(build_graph(batch, spec, shared), build_graph(batch, spec))


def test_the_canonical_order_does_not_depend_on_who_searched() -> None:
    shared = find_graph_neighbors(CRYSTALS, SPECS, ORDER_RADIUS_ANGSTROM)
    first, second = canonical_order(CRYSTALS, shared), canonical_order(CRYSTALS)
    assert np.array_equal(first.frac_coords, second.frac_coords)
    assert np.array_equal(first.numbers, second.numbers)


def test_the_neighborhood_of_some_crystals_is_that_of_a_search_of_theirs() -> None:
    order = np.random.default_rng(1).permutation(CRYSTALS.n_crystals)[:12]
    radius = np.linspace(3.0, 5.0, CRYSTALS.n_crystals)
    chosen = find_neighborhood(CRYSTALS, radius).select(order)
    alone = find_neighborhood(CRYSTALS.select(order), radius[order])
    assert np.array_equal(chosen.crystal_of_atom, alone.crystal_of_atom)
    assert all(np.array_equal(one, other) for one, other in zip(chosen.pairs, alone.pairs, strict=True))
    assert np.array_equal(chosen.kth_distance(2), alone.kth_distance(2))


def test_a_search_that_is_too_short_for_a_graph_is_refused() -> None:
    short = find_neighborhood(CRYSTALS, np.full(CRYSTALS.n_crystals, 3.0))
    with pytest.raises(ValueError, match="crystals need neighbors farther away"):
        build_graph(CRYSTALS, DESCRIPTOR_GRAPH, short)


def test_the_graph_of_some_centers_has_their_edges_of_the_whole_graph() -> None:
    batch = CrystalBatch.join([CRYSTALS, SLAB])
    centers = np.arange(len(batch.numbers)) % 3 == 0
    whole, spec = build_graph(batch, DESCRIPTOR_GRAPH), DESCRIPTOR_GRAPH
    kept = centers[whole.center]
    expected = [each[kept] for each in (whole.center, whole.neighbor, whole.vector, whole.scaled_distance)]
    searched = find_graph_neighbors(batch, [spec], centers=centers)
    assert len(searched.pairs.center) < 0.5 * len(find_graph_neighbors(batch, [spec]).pairs.center)
    for graph in (
        build_graph(batch, spec, centers=centers),
        build_graph(batch, spec, searched, centers),
        build_graph(batch, spec, find_graph_neighbors(batch, SPECS, 9.0), centers),
    ):
        found = graph.center, graph.neighbor, graph.vector, graph.scaled_distance
        assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_the_centers_stay_those_of_the_crystals_that_are_selected() -> None:
    centers = np.arange(len(CRYSTALS.numbers)) % 2 == 0
    chosen = find_graph_neighbors(CRYSTALS, [DESCRIPTOR_GRAPH], centers=centers).select(np.array([5, 2]))
    part = CRYSTALS.select([5, 2])
    assert chosen.centers is not None
    assert np.isfinite(chosen.kth_distance(12)).tolist() == chosen.centers.tolist()
    assert len(build_graph(part, DESCRIPTOR_GRAPH, chosen, chosen.centers).center)


def test_a_graph_of_atoms_whose_neighbors_were_not_searched_is_refused() -> None:
    centers = np.arange(len(CRYSTALS.numbers)) % 2 == 0
    searched = find_graph_neighbors(CRYSTALS, [DESCRIPTOR_GRAPH], centers=centers)
    with pytest.raises(ValueError, match="centers were not searched"):
        build_graph(CRYSTALS, DESCRIPTOR_GRAPH, searched)
    with pytest.raises(ValueError, match="ask for the graph of all atoms"):
        build_graph(CRYSTALS, PUBLISHED_GRAPH, centers=centers)


@pytest.mark.parametrize("k", [1, 3, 12])
def test_the_kth_distance_is_that_of_sorted_distances(k: int) -> None:
    near = find_neighborhood(CrystalBatch.join([CRYSTALS, SLAB]), np.linspace(2.0, 6.0, CRYSTALS.n_crystals + 1))
    expected = [
        np.sort(np.append(near.pairs.distance[near.pairs.center == atom], np.full(k, np.inf)))[k - 1]
        for atom in range(len(near.crystal_of_atom))
    ]
    assert np.array_equal(near.kth_distance(k), expected)
    assert np.isinf(expected).any() and np.isfinite(expected).any()
