"""Equivariant layers: features that rotate with the crystal, as one array per kind of irrep.

Features of n rows (atoms, edges or crystals) are a dictionary {"1o": [3, n, channels], "2e": [5, n, channels], ...}:
components first, channels last, so that every linear map is one matrix product over all rows and components.
Components are e3nn's real spherical harmonics (tensors/irreps.py). Rotations act on the first axis only; a layer is
equivariant when it mixes channels linearly, multiplies with invariants, or couples components with Wigner 3j symbols.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor as TorchTensor
from torch import nn

from models.gmtnet.spherical import degree_of, irreps_in_product, spherical_harmonics, wigner_3j
from models.gmtnet.torch_graph import Features, TorchGraph

Channels = Mapping[str, int]
"""Number of channels of each kind of irrep."""

ProductMaker = Callable[[Channels, Channels], nn.Module]
"""Makes a layer of products from the channels that it takes and gives."""


@dataclass(frozen=True)
class EdgeTable:
    """Edges sorted into a table with one line per atom, so that sums over neighbours are matrix products.

    Attributes:
        graph: where the edges come from.
        share: weights that sum to one over an atom's edges, [n_edges].
        slot: place of each edge in the table, [n_edges].
        harmonics: spherical harmonics of the edge directions times share in the table, zero in empty places,
            [n_atoms, (l_max + 1)², n_slots].
    """

    graph: TorchGraph
    share: TorchTensor
    slot: TorchTensor
    harmonics: TorchTensor

    def fill(self, values: TorchTensor) -> TorchTensor:
        """Rows of edges [n_edges, k] in the table, [n_atoms, n_slots, k], zero in empty places."""
        return _tabulate(values, self.slot, len(self.harmonics), self.harmonics.shape[2])


def make_table(graph: TorchGraph, share: TorchTensor, l_max: int) -> EdgeTable:
    """The table of a graph, made once per pass.

    Args:
        graph: edges by ascending center.
        share: weights that sum to one over an atom's edges, [n_edges].
        l_max: highest degree of the harmonics.
    """
    center, n_atoms = graph.ends[0], len(graph.numbers)
    first = torch.searchsorted(center, torch.arange(n_atoms, device=center.device))
    slot = center * graph.n_slots + torch.arange(len(center), device=center.device) - first[center]
    # edges that only fill up a batch (padded.py), whose share is 0, may be more than fit behind its last atom
    slot = slot.clamp(max=n_atoms * graph.n_slots - 1)
    harmonics = spherical_harmonics(l_max, graph.vector)
    table = _tabulate(harmonics * share[:, None], slot, n_atoms, graph.n_slots)
    return EdgeTable(graph, share, slot, table.transpose(1, 2))


def _tabulate(values: TorchTensor, slot: TorchTensor, n_atoms: int, n_slots: int) -> TorchTensor:
    """Rows of edges [n_edges, k] as a table [n_atoms, n_slots, k]."""
    table = values.new_zeros(n_atoms * n_slots, values.shape[1])
    return table.index_copy(0, slot, values).view(n_atoms, n_slots, values.shape[1])


class TensorLinear(nn.Module):
    """Mixes channels of each kind of irrep; scalars also get a constant."""

    def __init__(self, channels_in: Channels, channels_out: Channels) -> None:
        super().__init__()
        self.maps = nn.ModuleDict()
        for ir, channels in channels_out.items():
            if ir in channels_in:
                linear = nn.Linear(channels_in[ir], channels, bias=ir == "0e")
                nn.init.normal_(linear.weight, std=channels_in[ir] ** -0.5)
                self.maps[ir] = linear

    def forward(self, features: Features) -> Features:
        """Mixed features; kinds that the input lacks are missing."""
        return {ir: linear(features[ir]) for ir, linear in self.maps.items()}


class NeighborConvolution(nn.Module):
    """Messages Σ_j w(r_ij) h_j ⊗ Y(r_ij) / n along the two paths that pass through a scalar.

    These are h⁰ ⊗ Y_l (what lies in which direction) and h_l ⊗ Y_0 (what the neighbour has gathered). Weights w per
    edge and channel come from a perceptron. Tensors are coupled afterwards on the atoms (AtomCoupling), where there are
    twenty times fewer rows than edges.
    """

    def __init__(self, channels_in: Channels, channels_out: Channels, edge_channels: int, hidden: int) -> None:
        super().__init__()
        self.from_scalars = dict(channels_out)
        self.from_tensors = {ir: c for ir, c in channels_out.items() if ir in channels_in and ir != "0e"}
        self.sources = nn.Linear(channels_in["0e"], sum(self.from_scalars.values()))
        self.before = TensorLinear(channels_in, self.from_tensors)
        n_weights = sum(self.from_scalars.values()) + sum(self.from_tensors.values())
        self.weights = nn.Sequential(nn.Linear(edge_channels, hidden), nn.SiLU(), nn.Linear(hidden, n_weights))

    def forward(self, features: Features, edge_features: TorchTensor, table: EdgeTable) -> Features:
        """Gathered messages [2l + 1, n_atoms, channels].

        Args:
            features: of the atoms.
            edge_features: invariant, [n_edges, edge_channels].
            table: directions and shares.
        """
        n_scalar = self.sources.out_features
        weights = self.weights(edge_features)
        from_scalars, from_tensors = weights.split([n_scalar, weights.shape[1] - n_scalar], dim=1)
        source = self.sources(features["0e"][0]).index_select(0, table.graph.ends[1]) * from_scalars
        filled = table.fill(source)
        gathered = torch.bmm(table.harmonics, filled).transpose(0, 1)  # [(l_max + 1)², n_atoms, channels of all kinds]
        parts = gathered.split(list(self.from_scalars.values()), dim=2)
        result: Features = {}
        for ir, part in zip(self.from_scalars, parts, strict=True):
            # of all kinds' channels times all harmonics a kind keeps those of its own degree
            degree = int(ir[:-1])
            result[ir] = part[degree**2 : (degree + 1) ** 2]
        if self.from_tensors:
            self._add_tensors(result, self.before(features), from_tensors * table.share[:, None], table.graph)
        return result

    def _add_tensors(self, result: Features, tensors: Features, weights: TorchTensor, graph: TorchGraph) -> None:
        """Adds Σ_j w(r_ij) h_j of each tensorial kind."""
        parts = weights.split(list(self.from_tensors.values()), dim=1)
        for ir, weight in zip(self.from_tensors, parts, strict=True):
            message = graph.at_neighbors(ir, tensors[ir]) * weight[:, None]
            total = message.new_zeros(len(graph.numbers), *message.shape[1:]).flatten(1)
            total = total.index_add(0, graph.ends[0], message.flatten(1)).view(-1, *message.shape[1:])
            result[ir] = result[ir] + total.transpose(0, 1)


class Couplings(nn.Module):
    """Products of pairs of kinds with Wigner 3j symbols: one matrix product per pair over flattened outer products.

    Attributes:
        channels: of each kind in the products, which are taken channel by channel.
        pairs: kinds that are multiplied, and the kinds that come out.
        n_paths: channels of each kind that comes out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.pairs: list[tuple[str, str, list[str]]] = []
        self.n_paths: dict[str, int] = {}

    def add_pair(self, a: str, b: str, results: list[str]) -> None:
        """Has two kinds multiplied; nothing happens without results."""
        if not results:
            return
        self.register_buffer(f"coupling_{a}_{b}", coupling_matrix(a, b, results), persistent=False)
        self.pairs.append((a, b, results))
        for ir in results:
            self.n_paths[ir] = self.n_paths.get(ir, 0) + self.channels

    def couple(self, outer: Callable[[str, str], TorchTensor], n_rows: int) -> Features:
        """Products {kind: [2l + 1, n_rows, paths x channels]}.

        Args:
            outer: outer products of a pair of kinds, [(2l + 1)(2l' + 1), n_rows x channels].
            n_rows: atoms.
        """
        parts: dict[str, list[TorchTensor]] = {}
        for a, b, results in self.pairs:
            product = self.get_buffer(f"coupling_{a}_{b}") @ outer(a, b)
            for ir, part in zip(results, product.split([2 * degree_of(ir) + 1 for ir in results]), strict=True):
                parts.setdefault(ir, []).append(part.view(-1, n_rows, self.channels))
        return {ir: torch.cat(paths, dim=2) for ir, paths in parts.items()}


class AtomCoupling(Couplings):
    """Products of an atom's own tensors: features that depend on pairs of neighbours, and the pseudotensors.

    Every kind is first mixed down to a few channels; channel by channel all pairs are coupled, and the results mixed
    linearly.
    """

    def __init__(self, channels_in: Channels, channels_out: Channels, channels: int) -> None:
        super().__init__(channels)
        self.kinds = sorted(channels_in, key=lambda ir: (int(ir[:-1]), ir[-1]))
        self.before = TensorLinear(channels_in, dict.fromkeys(self.kinds, channels))
        for i, a in enumerate(self.kinds):
            for b in self.kinds[i:]:
                kinds = [ir for ir in irreps_in_product(a, b) if ir in channels_out]
                if a == b:  # the antisymmetric product of a feature with itself is zero
                    kinds = [ir for ir in kinds if degree_of(ir) % 2 == 0]
                self.add_pair(a, b, kinds)
        self.after = TensorLinear(self.n_paths, channels_out)

    def forward(self, features: Features) -> Features:
        """Coupled features [2l + 1, n_atoms, channels_out]."""
        mixed = self.before(features)
        flat = {ir: x.reshape(x.shape[0], -1) for ir, x in mixed.items()}
        n_atoms = mixed[self.kinds[0]].shape[1]
        coupled: Features = self.after(
            self.couple(lambda a, b: (flat[a][:, None] * flat[b][None]).flatten(0, 1), n_atoms)
        )
        return coupled


def coupling_matrix(a: str, b: str, results: list[str]) -> TorchTensor:
    """Wigner 3j symbols that give the components of all results from the flattened outer product a b.

    Scaled so that independent components of unit variance give components of unit variance.
    """
    blocks = []
    for ir in results:
        symbol = wigner_3j(degree_of(a), degree_of(b), degree_of(ir)).to(torch.get_default_dtype())
        symbol = symbol * (2 * degree_of(ir) + 1) ** 0.5
        blocks.append(symbol.flatten(0, 1).T)
    return torch.cat(blocks)


class GatedUpdate(nn.Module):
    """Old features + messages + products of messages, through gates.

    Scalars go through SiLU, tensors are multiplied with sigmoids of extra scalars: nonlinearities that commute with
    rotations and reflections.

    Args:
        channels_in, channels_message, channels_out: of the old features, the messages, and what comes out.
        make_product: makes the products of messages from the channels that they take and give.
    """

    def __init__(
        self, channels_in: Channels, channels_message: Channels, channels_out: Channels, make_product: ProductMaker
    ) -> None:
        super().__init__()
        self.channels = dict(channels_out)
        self.gated = [ir for ir in channels_out if ir != "0e"]
        total = self.channels | {"0e": sum(channels_out.values())}
        self.skip = TensorLinear(channels_in, total)
        self.direct = TensorLinear(channels_message, total)
        self.coupling = make_product(channels_message, total)

    def forward(self, old: Features, message: Features, *further: Features) -> Features:
        """Features [2l + 1, n_atoms, channels_out].

        Args:
            old: features of the atoms.
            message: what they gathered.
            further: what else is added before the gates, with as many channels as the products have.
        """
        return self.add_and_gate(old, message, self.coupling(message), *further)

    def add_and_gate(self, old: Features, message: Features, total: Features, *further: Features) -> Features:
        """The same from the products of the messages, which are added to."""
        for part in (self.skip(old), self.direct(message), *further):
            for ir, values in part.items():
                total[ir] = total[ir] + values if ir in total else values
        sizes = [self.channels["0e"], *(self.channels[ir] for ir in self.gated)]
        # extra scalars are the gates of the tensors
        scalars, *gates = total["0e"].split(sizes, dim=2)
        result = {"0e": nn.functional.silu(scalars)}
        for ir, gate in zip(self.gated, gates, strict=True):
            # a product of one factor gives no pseudotensor
            values = total[ir] if ir in total else gate.new_zeros(2 * degree_of(ir) + 1, *gate.shape[1:])
            result[ir] = values * torch.sigmoid(gate)
        return result
