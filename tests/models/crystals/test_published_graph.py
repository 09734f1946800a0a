"""The published graph is what the published code builds, and has its flaws; ours, beside it, has not."""

from collections import defaultdict
from contextlib import suppress
from itertools import product

import numpy as np
import pytest

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.crystals.graph import PUBLISHED_GRAPH, CrystalGraph, GraphSpec, NeighborRule, build_graph
from models.reference.crystals import in_cell, random_orthogonal, transformed
from models.testing.contract import crystals_of_all_classes, textbook_crystals

OURS = GraphSpec(n_neighbors=16, reach=1.001, undirected=True)
TEXTBOOK = textbook_crystals().crystals


def n_edges(graph: CrystalGraph) -> Ints:
    """Per crystal."""
    return np.bincount(graph.crystal_of_atom[graph.center], minlength=graph.n_crystals)


class SplitShellError(Exception):
    """An atom's 16th and 17th neighbour are equally far: which one counts is a matter of rounding."""


def published_by_hand(batch: CrystalBatch, radius: float) -> list[tuple[int, int, float, float, float]]:
    """The published algorithm with loops and sets, for one crystal: center, neighbour, rounded vector."""
    lattice, frac = batch.lattice[0], batch.frac_coords
    cartesian = frac @ lattice
    reach = [int(np.ceil(radius * np.linalg.norm(column))) + 1 for column in np.linalg.inv(lattice).T]
    edges: dict[tuple[int, int], set[tuple[int, ...]]] = defaultdict(set)
    for i in range(len(frac)):
        near = []
        for image in product(*(range(-n, n + 1) for n in reach)):
            for j in range(len(frac)):
                length = float(np.sqrt((((np.array(image) @ lattice + cartesian[j]) - cartesian[i]) ** 2).sum()))
                if 1e-8 < length <= radius:
                    near.append((length, j, image))
        limit, beyond = sorted(near)[15][0], sorted(near)[16][0]
        if beyond - limit < 1e-9:
            raise SplitShellError
        for length, j, image in near:
            if length <= limit:
                edges[min(i, j), max(i, j)].add(tuple(-x for x in image) if j < i else image)
    found = []
    for (i, j), images in edges.items():
        for image in images:
            vector = (frac[j] + image - frac[i]) @ lattice
            found += [(i, j, *np.round(vector, 5) + 0.0), (j, i, *np.round(-vector, 5) + 0.0)]
    return sorted(found)


def listed(graph: CrystalGraph) -> list[tuple[int, int, float, float, float]]:
    return sorted(
        (int(i), int(j), *np.round(v, 5) + 0.0)
        for i, j, v in zip(graph.center, graph.neighbor, graph.vector, strict=True)
    )


@pytest.mark.parametrize("crystal", range(8))
def test_edges_are_those_of_the_published_algorithm_written_with_loops(crystal: int) -> None:
    """Crystals without symmetry; an atom's own images come in pairs: where one ends the list, another is drawn."""
    base = crystals_of_all_classes(seed=3).crystals.select([0]) if crystal else TEXTBOOK.select([9])
    for attempt in range(10):
        rng = np.random.default_rng([crystal, attempt])
        strain = np.eye(3) + 0.05 * rng.normal(size=(3, 3))
        frac = base.frac_coords + 0.03 * rng.normal(size=base.frac_coords.shape)
        batch = CrystalBatch(base.lattice @ strain, frac, base.numbers, base.crystal_of_atom)
        graph = build_graph(batch, PUBLISHED_GRAPH)
        with suppress(SplitShellError):
            expected = published_by_hand(batch, float(np.linalg.norm(graph.vector, axis=1).max()) + 0.5)
            break
    assert listed(graph) == expected
    own = graph.center == graph.neighbor
    if own.any():
        doubled = [row for row in listed(graph) if row[0] == row[1]]
        assert len(doubled) == 2 * len(set(doubled)), "every edge to an own image counts twice"


def test_edges_of_a_batch_are_sorted_and_are_those_of_its_crystals() -> None:
    together = build_graph(TEXTBOOK, PUBLISHED_GRAPH)
    assert (np.diff(together.center) >= 0).all()
    for k in range(TEXTBOOK.n_crystals):
        alone = build_graph(TEXTBOOK.select([k]), PUBLISHED_GRAPH)
        assert listed(together.select(np.array([k]))) == listed(alone)


def test_turning_a_crystal_changes_the_published_graph_and_not_ours() -> None:
    before = {spec.rule: n_edges(build_graph(TEXTBOOK, spec)) for spec in (PUBLISHED_GRAPH, OURS)}
    changed = {rule: np.zeros(TEXTBOOK.n_crystals, dtype=bool) for rule in before}
    for seed in range(8):
        turned = transformed(TEXTBOOK, random_orthogonal(np.random.default_rng(seed)))
        for spec in (PUBLISHED_GRAPH, OURS):
            changed[spec.rule] |= n_edges(build_graph(turned, spec)) != before[spec.rule]
    assert changed[NeighborRule.PUBLISHED].sum() >= 4
    assert not changed[NeighborRule.WHOLE_SHELLS].any()


def test_moving_the_origin_changes_the_published_graph_and_not_ours() -> None:
    def counts(spec: GraphSpec, shift: Floats) -> Ints:
        moved = CrystalBatch(TEXTBOOK.lattice, TEXTBOOK.frac_coords + shift, TEXTBOOK.numbers, TEXTBOOK.crystal_of_atom)
        return n_edges(build_graph(moved, spec))

    shifts = np.random.default_rng(0).random((6, 3))
    published = np.array([counts(PUBLISHED_GRAPH, shift) for shift in shifts])
    ours = np.array([counts(OURS, shift) for shift in shifts])
    assert (np.ptp(published, axis=0) > 0).sum() >= 3
    assert not np.ptp(ours, axis=0).any()


def test_a_supercell_has_another_published_graph_and_the_same_of_ours() -> None:
    """Rock salt, 2x2x2: an atom's images become atoms of their own and count once."""
    large = in_cell(TEXTBOOK, np.diag([2, 2, 2]))
    published = n_edges(build_graph(large, PUBLISHED_GRAPH)) / (8 * n_edges(build_graph(TEXTBOOK, PUBLISHED_GRAPH)))
    ours = n_edges(build_graph(large, OURS)) / (8 * n_edges(build_graph(TEXTBOOK, OURS)))
    assert (ours == 1.0).all()
    assert (published < 0.9).sum() >= 4
    assert published.min() < 0.7


def test_a_spec_read_from_plain_data_knows_its_rule() -> None:
    assert GraphSpec(16, 1.001, undirected=True, rule="published") == PUBLISHED_GRAPH  # type: ignore[arg-type]
    assert GraphSpec().rule is NeighborRule.WHOLE_SHELLS
    with pytest.raises(ValueError, match="nearest"):
        GraphSpec(rule="nearest")  # type: ignore[arg-type]


def test_no_crystals_give_no_edges() -> None:
    graph = build_graph(CrystalBatch.from_arrays([], [], []), PUBLISHED_GRAPH)
    assert (graph.n_crystals, len(graph.center)) == (0, 0)
