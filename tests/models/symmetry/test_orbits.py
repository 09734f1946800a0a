"""Graphs of one atom per orbit: fewer atoms, the same prediction."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.graph import GraphSpec, build_graph
from models.gmtnet.config import GMTNET, GMTNET_PAPER, GMTNetConfig
from models.quantities import Scalar, Tensor
from models.reference.crystals import in_cell, random_orthogonal, transformed
from models.symmetry import orbits as orbits_module
from models.symmetry.orbits import DEGREES, OrbitGraph, join_orbit_graphs, reduce_to_orbits
from models.testing.contract import crystals_of_all_classes, textbook_crystals
from tests.models.gmtnet.untrained import EVERY_BACKBONE, fresh_network, run

BOOKS = textbook_crystals()
TEXTBOOK = BOOKS.crystals
QUARTZ, TRICLINIC = BOOKS.names.index("quartz"), BOOKS.names.index("triclinic GaNO")


def reduced(batch: CrystalBatch, spec: GraphSpec = GMTNET.graph, symprec: float = 1e-2) -> OrbitGraph:
    return reduce_to_orbits(batch, build_graph(batch, spec), symprec, np.float64)


def largest_error(found: dict[Tensor | Scalar, Floats], expected: dict[Tensor | Scalar, Floats]) -> float:
    """Largest difference of any output, as a share of that output's largest value."""
    return max(float(np.abs(found[q] - c).max() / np.abs(c).max()) for q, c in expected.items())


def identities(n: int, *, signs: bool) -> Floats:
    """D matrices of the identity as `turns` (with signs) or `averages` hold them."""
    squares = np.concatenate([np.eye(2 * degree + 1).ravel() for degree in DEGREES])
    flat = np.concatenate([squares, [1.0]] if signs else [squares, squares])
    return np.broadcast_to(flat, (n, len(flat))).copy()


@EVERY_BACKBONE
def test_one_atom_per_orbit_says_what_all_atoms_say(config: GMTNetConfig) -> None:
    network = fresh_network(config)
    graph = reduced(TEXTBOOK, config.graph)
    assert len(graph.numbers) < 0.65 * len(TEXTBOOK.numbers)
    found, expected = run(network, graph), run(network, TEXTBOOK)
    assert set(found) == set(Tensor) | set(config.scalars)
    assert largest_error(found, expected) < 1e-10


def test_so_it_is_in_a_turned_frame_and_in_every_crystal_class() -> None:
    network = fresh_network(GMTNET)
    classes = crystals_of_all_classes(seed=3).crystals
    small = classes.select(np.flatnonzero(classes.atoms_per_crystal <= 16))
    assert small.n_crystals > 15
    batch = transformed(small, -random_orthogonal(np.random.default_rng(4)))
    assert largest_error(run(network, reduced(batch)), run(network, batch)) < 1e-10


def test_without_turning_the_neighbours_tensors_it_is_wrong() -> None:
    """Negative control: a neighbour's tensors are not those of its orbit's first atom."""
    network, graph = fresh_network(GMTNET), reduced(TEXTBOOK)
    straight = replace(graph, turns=identities(len(graph.turns), signs=True))
    assert largest_error(run(network, straight), run(network, TEXTBOOK)) > 1e-3


def test_without_the_sign_of_improper_operations_it_is_wrong() -> None:
    """Negative control: pseudotensors (1e, 2o) turn with det R; the published network gathers them."""
    network, graph = fresh_network(GMTNET_PAPER), reduced(TEXTBOOK, GMTNET_PAPER.graph)
    assert set(np.unique(np.round(graph.turns[:, -1], 12))) == {-1.0, 1.0}
    unsigned = np.concatenate([graph.turns[:, :-1], np.ones((len(graph.turns), 1))], axis=1)
    assert largest_error(run(network, replace(graph, turns=unsigned)), run(network, TEXTBOOK)) > 1e-6


def test_the_average_of_pseudotensors_is_not_that_of_tensors() -> None:
    """Negative control: the twist (2o) part of e is averaged with det R."""
    network, graph = fresh_network(GMTNET), reduced(TEXTBOOK)
    natural = graph.averages[:, : graph.averages.shape[1] // 2]
    unsigned = replace(graph, averages=np.concatenate([natural, natural], axis=1))
    found, expected = run(network, unsigned), run(network, TEXTBOOK)
    odd = Tensor.PIEZOELECTRIC
    assert largest_error({odd: found[odd]}, {odd: expected[odd]}) > 1e-6
    even = {q: c for q, c in expected.items() if q is not odd}
    assert largest_error(found, even) < 1e-10


@EVERY_BACKBONE
def test_without_the_average_over_the_point_group_it_is_wrong(config: GMTNetConfig) -> None:
    """Negative control: the first atoms alone lean towards where they stand."""
    network, graph = fresh_network(config), reduced(TEXTBOOK, config.graph)
    leaning = replace(graph, averages=identities(graph.n_crystals, signs=False))
    found, expected = run(network, leaning), run(network, TEXTBOOK)
    assert largest_error(found, expected) > 1e-3
    for scalar in config.scalars:
        assert np.allclose(found[scalar], expected[scalar], rtol=1e-10)  # invariants need no average


def test_without_the_shares_of_the_orbits_it_is_wrong() -> None:
    """Negative control: an orbit of six oxygens counts six times."""
    network, graph = fresh_network(GMTNET), reduced(TEXTBOOK)
    per_crystal = np.bincount(graph.crystal_of_orbit)
    even = replace(graph, share=1.0 / per_crystal[graph.crystal_of_orbit])
    assert largest_error(run(network, even), run(network, TEXTBOOK)) > 1e-3


def test_shares_are_the_orbits_parts_of_their_crystal() -> None:
    graph = reduced(TEXTBOOK)
    assert np.allclose(np.bincount(graph.crystal_of_orbit, weights=graph.share), 1.0, rtol=1e-14)
    assert graph.share[graph.crystal_of_orbit == QUARTZ].tolist() == pytest.approx([3 / 9, 6 / 9])
    assert graph.numbers[graph.crystal_of_orbit == QUARTZ].tolist() == [14, 8]
    assert (np.diff(graph.center) >= 0).all()
    assert (np.diff(graph.crystal_of_orbit) >= 0).all()


def test_matrices_are_orthogonal_and_averages_are_projectors() -> None:
    graph = reduced(TEXTBOOK)
    start = 0
    for degree in DEGREES:
        size = 2 * degree + 1
        turns = graph.turns[:, start : start + size**2].reshape(-1, size, size)
        assert np.abs(turns @ np.swapaxes(turns, 1, 2) - np.eye(size)).max() < 1e-12
        averages = graph.averages[:, start : start + size**2].reshape(-1, size, size)
        assert np.abs(averages @ averages - averages).max() < 1e-12
        start += size**2
    assert start + 1 == graph.turns.shape[1]
    copper = graph.averages[-1]
    assert np.abs(copper[: 9 + 25 + 49]).max() < 1e-12  # a cubic group with inversion keeps nothing of l = 1 to 3 ...
    assert copper[9 + 25 + 49 : start].reshape(9, 9).trace() == pytest.approx(1.0)  # ... and one of l = 4


@pytest.mark.parametrize(
    "cell",
    [
        np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]),
        np.diag([1, 1, 2]),
        np.diag([2, 1, 1]),
        np.array([[1, 1, 0], [-1, 0, 1], [2, 1, 0]]),
    ],
    ids=["left-handed", "doubled along c", "doubled along a", "skewed"],
)
def test_another_cell_gives_the_same_tensors(cell: np.ndarray) -> None:  # type: ignore[type-arg]
    """Doubled along a, quartz loses its three-fold axis as listed: its orbits must not be those of the crystal."""
    network = fresh_network(GMTNET)
    batch = in_cell(TEXTBOOK, cell)
    graph = reduced(batch)
    assert largest_error(run(network, graph), run(network, TEXTBOOK)) < 1e-10
    assert len(graph.numbers) < len(batch.numbers)


def test_a_crystal_without_symmetry_keeps_its_atoms() -> None:
    batch = TEXTBOOK.select([TRICLINIC])
    graph, whole = reduced(batch), build_graph(batch, GMTNET.graph)
    assert graph.orbit_of_atom.tolist() == [0, 1, 2]
    assert np.array_equal(graph.center, whole.center)
    assert np.array_equal(graph.neighbor, whole.neighbor)


def test_where_no_symmetry_is_found_every_atom_stands_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(fresh_network(GMTNET), TEXTBOOK)
    monkeypatch.setattr(orbits_module, "cell_operations", lambda *_: None)
    graph = reduced(TEXTBOOK)
    assert len(graph.numbers) == len(TEXTBOOK.numbers)
    assert np.allclose(graph.turns, identities(len(graph.turns), signs=True), atol=1e-14)
    assert largest_error(run(fresh_network(GMTNET), graph), expected) < 1e-12


def test_a_crystal_that_is_symmetric_only_within_the_tolerance_is_taken_for_symmetric() -> None:
    rng = np.random.default_rng(5)
    moved = TEXTBOOK.frac_coords + 2e-4 * rng.uniform(-1, 1, size=TEXTBOOK.frac_coords.shape)
    batch = replace(TEXTBOOK, frac_coords=moved)
    loose, tight = reduced(batch), reduced(batch, symprec=1e-5)
    assert len(loose.numbers) == len(reduced(TEXTBOOK).numbers)
    assert len(tight.numbers) > len(loose.numbers)
    expected = run(fresh_network(GMTNET), batch)
    assert largest_error(run(fresh_network(GMTNET), tight), expected) < 1e-6  # equal within 1e-5 angstrom only
    assert 1e-5 < largest_error(run(fresh_network(GMTNET), loose), expected) < 1e-1


def equal(a: OrbitGraph, b: OrbitGraph) -> bool:
    return all(np.array_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(OrbitGraph))


def test_graphs_are_joined_as_if_built_one_by_one() -> None:
    singles = [reduced(TEXTBOOK.select([k])) for k in range(TEXTBOOK.n_crystals)]
    joined = join_orbit_graphs(singles)
    assert equal(join_orbit_graphs([join_orbit_graphs(singles[:4]), *singles[4:]]), joined)
    assert not equal(join_orbit_graphs(singles[::-1]), joined)
    together = reduced(TEXTBOOK)
    for name in ("n_crystals", "numbers", "crystal_of_orbit", "share", "orbit_of_atom", "center"):
        assert np.array_equal(getattr(joined, name), getattr(together, name)), name
    assert largest_error(run(fresh_network(GMTNET), joined), run(fresh_network(GMTNET), together)) < 1e-12


def test_a_selection_is_the_graph_of_the_selected() -> None:
    singles = [reduced(TEXTBOOK.select([k])) for k in range(TEXTBOOK.n_crystals)]
    chosen = np.array([7, 0, 3, 9])
    selected = join_orbit_graphs(singles).select(chosen)
    assert equal(selected, join_orbit_graphs([singles[k] for k in chosen]))
    assert equal(selected.select(np.array([1, 3])), join_orbit_graphs([singles[0], singles[9]]))


def test_a_crystal_may_be_selected_twice() -> None:
    """A batch of training may hold a crystal with a rare label more than once."""
    singles = [reduced(TEXTBOOK.select([k])) for k in range(3)]
    twice = join_orbit_graphs(singles).select(np.array([1, 2, 1]))
    assert equal(twice, join_orbit_graphs([singles[1], singles[2], singles[1]]))


def test_matrices_are_stored_in_single_precision_unless_asked_otherwise() -> None:
    graph = reduce_to_orbits(TEXTBOOK, build_graph(TEXTBOOK, GMTNET.graph))
    assert graph.turns.dtype == np.float32
    network = fresh_network(GMTNET, torch.float32)
    exact = run(network, TEXTBOOK, torch.float32)
    assert largest_error(run(network, graph, torch.float32), exact) < 1e-4
