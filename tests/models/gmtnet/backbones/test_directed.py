"""Tensors of neighbours times directions of edges: the formula, and what the default messages do not see."""

import torch
from e3nn import o3

from models.crystals.graph import build_graph
from models.gmtnet.backbones.directed import DirectedMessages
from models.gmtnet.config import GMTNET
from models.gmtnet.equivariant import EdgeTable, NeighborConvolution, make_table
from models.gmtnet.torch_graph import Features, TorchGraph
from models.testing.contract import textbook_crystals

KINDS = {"0e": 3, "1o": 2, "1e": 2, "2o": 2}
TEXTBOOK = textbook_crystals().crystals


def a_table() -> EdgeTable:
    graph = TorchGraph.from_graph(build_graph(TEXTBOOK, GMTNET.graph), "cpu", torch.float64)
    share = torch.rand(graph.ends.shape[1], dtype=torch.float64)
    return make_table(graph, share, GMTNET.l_max)


def features(n_atoms: int) -> Features:
    return {ir: torch.randn(2 * int(ir[:-1]) + 1, n_atoms, c, dtype=torch.float64) for ir, c in KINDS.items()}


def test_messages_are_products_summed_edge_by_edge() -> None:
    """The scalars against e3nn's tensor product on every edge: h_1 . Y_1 alone gives them."""
    torch.manual_seed(2)
    layer, table = DirectedMessages(KINDS, {"0e": 4}, 2, 5).double(), a_table()
    graph, atoms = table.graph, features(len(table.graph.numbers))
    edges = torch.randn(graph.ends.shape[1], 5, dtype=torch.float64)
    found = layer(atoms, edges, table)["0e"][0]
    harmonics = o3.spherical_harmonics("1o", graph.vector, normalize=True, normalization="component")
    vector = layer.before.maps["1o"](atoms["1o"])[:, graph.ends[1]]
    weight = layer.weights(edges).split(2, dim=1)[layer.kinds.index("1o")]
    dots = torch.einsum("en,nec,ec,e->ec", harmonics, vector, weight, table.share) / 3**0.5
    summed = torch.zeros(len(graph.numbers), 2, dtype=torch.float64).index_add(0, graph.ends[0], dots)
    assert torch.allclose(found, layer.after.maps["0e"](summed), atol=1e-12)


def test_an_atom_sees_whether_a_neighbour_moves_along_the_bond_or_across() -> None:
    """Scalars of the default messages do not change with the directions of the neighbours' vectors; these do."""
    torch.manual_seed(2)
    table = a_table()
    atoms = features(len(table.graph.numbers))
    others = atoms | {"1o": atoms["1o"].flip(0)}
    edges = torch.randn(table.graph.ends.shape[1], 5, dtype=torch.float64)
    directed = DirectedMessages(KINDS, KINDS, 2, 5).double()
    default = NeighborConvolution(KINDS, {"0e": 3, "1o": 2}, 5, 5).double()
    assert torch.equal(default(atoms, edges, table)["0e"], default(others, edges, table)["0e"])
    assert (directed(atoms, edges, table)["0e"] - directed(others, edges, table)["0e"]).abs().max() > 1e-2
