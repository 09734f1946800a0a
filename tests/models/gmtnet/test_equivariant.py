"""Layers on tensors commute with rotations and reflections; each control shows what would not."""

from functools import partial

import numpy as np
import pytest
import torch
from e3nn import o3

from models.crystals.graph import CrystalGraph, build_graph
from models.gmtnet.config import GMTNET
from models.gmtnet.equivariant import (
    AtomCoupling,
    GatedUpdate,
    NeighborConvolution,
    TensorLinear,
    make_table,
)
from models.gmtnet.torch_graph import Features, TorchGraph
from models.reference.crystals import random_orthogonal, transformed
from models.testing.contract import textbook_crystals

POLAR = {"0e": 6, "1o": 4, "2e": 3, "3o": 2, "4e": 2}
ALL_KINDS = {**POLAR, "2o": 4}
ROTATIONS = pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])
TEXTBOOK = textbook_crystals().crystals


@pytest.fixture(autouse=True)
def double_precision() -> object:  # type: ignore[misc]
    """Coupling coefficients are made in the default precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(3)
    yield
    torch.set_default_dtype(before)


def random_features(channels: dict[str, int], n: int) -> Features:
    return {ir: torch.randn(2 * int(ir[:-1]) + 1, n, c) for ir, c in channels.items()}


def rotated(features: Features, rotation: np.ndarray) -> Features:  # type: ignore[type-arg]
    """By e3nn's Wigner matrices: an implementation that the layers do not use."""
    matrices = {ir: o3.Irrep(ir).D_from_matrix(torch.as_tensor(rotation)) for ir in features}
    return {ir: torch.einsum("ij,jnc->inc", matrices[ir], x) for ir, x in features.items()}


def largest_difference(a: Features, b: Features) -> float:
    assert set(a) == set(b)
    return max(float((a[ir] - b[ir]).detach().abs().max() / b[ir].detach().abs().max()) for ir in b)


def a_rotation(sign: int) -> np.ndarray:  # type: ignore[type-arg]
    return sign * random_orthogonal(np.random.default_rng(11))


@ROTATIONS
def test_mixing_channels_commutes_with_turning(sign: int) -> None:
    layer, x = TensorLinear(ALL_KINDS, dict.fromkeys(ALL_KINDS, 5)), random_features(ALL_KINDS, 7)
    assert largest_difference(layer(rotated(x, a_rotation(sign))), rotated(layer(x), a_rotation(sign))) < 1e-12


def test_a_constant_added_to_a_vector_would_not_commute() -> None:
    """Negative control: why only scalars have a constant."""
    layer, x = TensorLinear({"1o": 4}, {"1o": 5}), random_features({"1o": 4}, 7)
    assert layer.maps["1o"].bias is None
    assert TensorLinear({"0e": 4}, {"0e": 5}).maps["0e"].bias is not None
    shifted = {"1o": layer(x)["1o"] + 0.1}
    assert (
        largest_difference({"1o": layer(rotated(x, a_rotation(1)))["1o"] + 0.1}, rotated(shifted, a_rotation(1))) > 1e-3
    )


@ROTATIONS
def test_products_of_an_atoms_tensors_commute_with_rotations(sign: int) -> None:
    layer, x = AtomCoupling(POLAR, ALL_KINDS, 3), random_features(POLAR, 7)
    assert set(layer(x)) == set(ALL_KINDS)
    assert largest_difference(layer(rotated(x, a_rotation(sign))), rotated(layer(x), a_rotation(sign))) < 1e-12


def test_pseudotensors_come_from_products_and_rotate_as_such() -> None:
    """2o and 4o, which no harmonic of an edge has; a plain tensor's parity would fail under reflection only."""
    layer, x = AtomCoupling(POLAR, {"2o": 4, "4o": 2}, 3), random_features(POLAR, 7)
    made = layer(x)
    assert set(made) == {"2o", "4o"}
    assert all(float(part.detach().abs().max()) > 1e-3 for part in made.values())
    for sign in (1, -1):
        as_tensor = rotated({"2e": made["2o"], "4e": made["4o"]}, a_rotation(sign))
        wrong = {"2o": as_tensor["2e"], "4o": as_tensor["4e"]}
        error = largest_difference(layer(rotated(x, a_rotation(sign))), wrong)
        assert error < 1e-12 if sign == 1 else error > 0.5


def test_even_tensors_alone_make_nothing_odd() -> None:
    even = {"0e": 3, "2e": 3, "4e": 2}
    layer = AtomCoupling(even, {"0e": 2, "2e": 2, "3e": 2, "1o": 2, "2o": 2}, 3)
    assert set(layer(random_features(even, 5))) == {"0e", "2e", "3e"}


def test_the_product_of_a_vector_with_itself_has_no_antisymmetric_part() -> None:
    assert set(AtomCoupling({"1o": 4}, {"0e": 2, "1e": 2, "2e": 2}, 4)(random_features({"1o": 4}, 5))) == {"0e", "2e"}
    two_kinds = AtomCoupling({"1o": 4, "2e": 2}, {"1e": 2, "2o": 2}, 4)
    assert set(two_kinds(random_features({"1o": 4, "2e": 2}, 5))) == {"2o"}


def test_products_keep_the_size_of_independent_components() -> None:
    layer = AtomCoupling(POLAR, ALL_KINDS, 4)
    x = random_features(dict.fromkeys(POLAR, 4), 4000)
    flat = {ir: values.reshape(values.shape[0], -1) for ir, values in x.items()}
    for a, b, found in layer.pairs:
        if a != b:
            outer = (flat[a][:, None] * flat[b][None]).flatten(0, 1)
            product = layer.get_buffer(f"coupling_{a}_{b}") @ outer
            for ir, part in zip(found, product.split([2 * int(ir[:-1]) + 1 for ir in found]), strict=True):
                assert float(part.square().mean()) == pytest.approx(1.0, abs=0.1), (a, b, ir)


@ROTATIONS
def test_gates_commute_with_rotations(sign: int) -> None:
    layer = GatedUpdate(ALL_KINDS, POLAR, ALL_KINDS, partial(AtomCoupling, channels=3))
    old, message = random_features(ALL_KINDS, 7), random_features(POLAR, 7)
    found = layer(rotated(old, a_rotation(sign)), rotated(message, a_rotation(sign)))
    assert largest_difference(found, rotated(layer(old, message), a_rotation(sign))) < 1e-12


def test_a_nonlinearity_on_components_would_not_commute() -> None:
    """Negative control: tensors pass through gates, never through SiLU."""
    x = random_features({"1o": 4}, 7)
    bent = {"1o": torch.nn.functional.silu(x["1o"])}
    straight = {"1o": torch.nn.functional.silu(rotated(x, a_rotation(1))["1o"])}
    assert largest_difference(straight, rotated(bent, a_rotation(1))) > 0.1


def graph_of(sign: int | None) -> tuple[CrystalGraph, TorchGraph]:
    """The textbook crystals as they are, or rotated with the very same edges in the same order."""
    graph = build_graph(TEXTBOOK, GMTNET.graph)
    vector = graph.vector if sign is None else graph.vector @ a_rotation(sign).T
    moved = CrystalGraph(
        graph.n_crystals,
        graph.numbers,
        graph.crystal_of_atom,
        graph.center,
        graph.neighbor,
        vector,
        graph.scaled_distance,
    )
    return graph, TorchGraph.from_graph(moved, "cpu", torch.float64)


def gather(layer: NeighborConvolution, x: Features, edges: torch.Tensor, graph: TorchGraph, l_max: int = 4) -> Features:
    share = torch.full((graph.ends.shape[1],), 0.05)
    found: Features = layer(x, edges, make_table(graph, share, l_max))
    return found


@ROTATIONS
def test_gathering_from_neighbours_commutes_with_turning(sign: int) -> None:
    layer = NeighborConvolution(POLAR, POLAR, 5, 8)
    (numpy_graph, graph), (_, after) = graph_of(None), graph_of(sign)
    x, edges = random_features(POLAR, len(numpy_graph.numbers)), torch.randn(len(numpy_graph.center), 5)
    expected = rotated(gather(layer, x, edges, graph), a_rotation(sign))
    assert largest_difference(gather(layer, rotated(x, a_rotation(sign)), edges, after), expected) < 1e-12
    still = gather(layer, x, edges, after)  # negative control: edges rotated, features not
    assert largest_difference(still, expected) > 1e-2


def test_a_table_holds_every_edge_once() -> None:
    """Against a plain sum over edges."""
    numpy_graph, graph = graph_of(None)
    share = torch.rand(len(numpy_graph.center))
    table = make_table(graph, share, 2)
    assert len(torch.unique(table.slot)) == len(numpy_graph.center)
    harmonics = o3.spherical_harmonics(
        o3.Irreps.spherical_harmonics(2), graph.vector, normalize=True, normalization="component"
    )
    expected = torch.zeros(len(numpy_graph.numbers), 9).index_add(0, graph.ends[0], harmonics * share[:, None])
    assert torch.allclose(table.harmonics.sum(dim=2), expected, atol=1e-12)


def test_messages_are_sums_over_edges() -> None:
    """The layer against its formula Σ w h⁰ Y / n + Σ w h_l / n, one edge after the other."""
    layer = NeighborConvolution(POLAR, POLAR, 5, 8)
    numpy_graph, graph = graph_of(None)
    x, edges = random_features(POLAR, len(numpy_graph.numbers)), torch.randn(len(numpy_graph.center), 5)
    found = gather(layer, x, edges, graph)["2e"].detach()
    weights = layer.weights(edges).detach()
    n_scalar = sum(POLAR.values())
    columns = slice(POLAR["0e"] + POLAR["1o"], POLAR["0e"] + POLAR["1o"] + POLAR["2e"])
    second = slice(n_scalar + POLAR["1o"], n_scalar + POLAR["1o"] + POLAR["2e"])
    sources, before = layer.sources(x["0e"][0]).detach()[:, columns], layer.before(x)["2e"].detach()
    expected = torch.zeros_like(found)
    for edge, (center, neighbor) in enumerate(zip(numpy_graph.center, numpy_graph.neighbor, strict=True)):
        harmonic = o3.spherical_harmonics(2, graph.vector[edge], normalize=True, normalization="component")
        expected[:, center] += 0.05 * harmonic[:, None] * (weights[edge, columns] * sources[neighbor])
        expected[:, center] += 0.05 * before[:, neighbor] * weights[edge, second]
    assert torch.allclose(found, expected, atol=1e-12)


def test_crystals_that_see_nobody_gather_nothing() -> None:
    empty = CrystalGraph(
        1, np.array([29]), np.array([0]), *(np.zeros(0, np.int64) for _ in range(2)), np.zeros((0, 3)), np.zeros(0)
    )
    graph = TorchGraph.from_graph(empty, "cpu", torch.float64)
    found = gather(NeighborConvolution(POLAR, POLAR, 5, 8), random_features(POLAR, 1), torch.zeros(0, 5), graph)
    assert all(float(part.detach().abs().max()) == 0.0 for part in found.values())


def test_turning_crystals_turns_their_edges() -> None:
    """The graphs made by hand above are those of rotated crystals."""
    rotated = build_graph(transformed(TEXTBOOK, a_rotation(1)), GMTNET.graph)
    by_hand, _ = graph_of(None)
    lengths = [np.sort(np.linalg.norm(g.vector, axis=1)) for g in (rotated, by_hand)]
    assert np.allclose(*lengths, atol=1e-9)
