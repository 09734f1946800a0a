"""The default backbone with a third path of messages: an atom's tensors times the direction from which they come.

The default messages say which tensors the neighbours have and, apart from that, in which directions they lie. Here
each tensor of a neighbour is multiplied with the harmonics of its own edge, which is what passes a force on along a
strut: the part of a neighbour's motion along the bond counts otherwise than the part across.

Source: the products are those of tensor field networks, Thomas et al., arXiv:1802.08219, channel by channel; sums over
neighbours come before the coupling, which then has as many rows as there are atoms, not edges.
"""

import torch
from torch import Tensor as TorchTensor
from torch import nn

from models.gmtnet.backbones.sparse import CoupledConvolutions
from models.gmtnet.config import GMTNetConfig
from models.gmtnet.equivariant import Channels, EdgeTable, TensorLinear, coupling_matrix, make_table
from models.gmtnet.spherical import irreps_in_product
from models.gmtnet.torch_graph import Features, TorchGraph

_HARMONICS = ("1o", "2e")
"""Directions of edges that tensors are multiplied with: a dyad of a bond's direction has no higher ones."""


class DirectedMessages(nn.Module):
    """Sums over edges of w(r_ij) h_l ⊗ Y_1 and w(r_ij) h_l ⊗ Y_2, h_l the tensors of the neighbours.

    Args:
        channels_in: of the features of the atoms.
        channels_out: of what comes out.
        channels: of each kind in the products.
        edge_channels: of the edge features.
    """

    def __init__(self, channels_in: Channels, channels_out: Channels, channels: int, edge_channels: int) -> None:
        super().__init__()
        self.kinds = [ir for ir in channels_in if ir != "0e"]
        self.channels = channels
        self.before = TensorLinear(channels_in, dict.fromkeys(self.kinds, channels))
        width = len(self.kinds) * channels
        self.weights = nn.Sequential(
            nn.Linear(edge_channels, edge_channels), nn.SiLU(), nn.Linear(edge_channels, width)
        )
        self.results: dict[tuple[str, str], list[str]] = {}
        n_paths: dict[str, int] = {}
        for kind in self.kinds:
            for harmonic in _HARMONICS:
                found = [ir for ir in irreps_in_product(kind, harmonic) if ir in channels_out]
                if not found:
                    continue
                matrix = coupling_matrix(harmonic, kind, found)
                self.register_buffer(f"coupling_{harmonic}_{kind}", matrix, persistent=False)
                self.results[harmonic, kind] = found
                for ir in found:
                    n_paths[ir] = n_paths.get(ir, 0) + channels
        self.after = TensorLinear(n_paths, channels_out)

    def forward(self, features: Features, edges: TorchTensor, table: EdgeTable) -> Features:
        """Gathered products [2l + 1, n_atoms, channels_out]; arguments as of `NeighborConvolution`."""
        graph, n_atoms = table.graph, len(table.graph.numbers)
        mixed = self.before({ir: features[ir] for ir in self.kinds})
        weights = self.weights(edges).split(self.channels, dim=1)
        parts: dict[str, list[TorchTensor]] = {}
        for kind, weight in zip(self.kinds, weights, strict=True):
            message = graph.at_neighbors(kind, mixed[kind]) * weight[:, None]
            filled = table.fill(message.flatten(1))
            for harmonic in _HARMONICS:
                found = self.results.get((harmonic, kind))
                if found is None:
                    continue
                degree = int(harmonic[:-1])
                # [n_atoms, 2 l' + 1, (2l + 1) channels] -> rows of both components, as the coupling matrix counts
                summed = torch.bmm(table.harmonics[:, degree**2 : (degree + 1) ** 2], filled)
                rows = summed.view(n_atoms, -1, self.channels).transpose(0, 1).flatten(1)
                product = self.get_buffer(f"coupling_{harmonic}_{kind}") @ rows
                for ir, part in zip(found, product.split([2 * int(ir[:-1]) + 1 for ir in found]), strict=True):
                    parts.setdefault(ir, []).append(part.view(-1, n_atoms, self.channels))
        coupled: Features = self.after({ir: torch.cat(channels, dim=2) for ir, channels in parts.items()})
        return coupled


class DirectedConvolutions(CoupledConvolutions):
    """Convolutions that also gather products of the neighbours' tensors with the directions of the edges."""

    def __init__(self, config: GMTNetConfig) -> None:
        super().__init__(config)
        total = {**self.channels, "0e": sum(self.channels.values())}
        # the first convolution sees invariants only, whose products with directions the default messages are
        self.directed = nn.ModuleList(
            DirectedMessages(self.channels, total, config.coupling_channels, config.channels)
            for _ in config.message_irreps[1:]
        )

    def forward(self, invariant: TorchTensor, edges: TorchTensor, graph: TorchGraph, share: TorchTensor) -> Features:
        """Features [2l + 1, n_atoms, channels]; arguments as in `Backbone`."""
        table = make_table(graph, share, self.l_max)
        features: Features = {"0e": invariant[None]}
        for step, (gather, update) in enumerate(zip(self.gather, self.update, strict=True)):
            message = gather(features, edges, table)
            further = [self.directed[step - 1](features, edges, table)] if step else []
            features = update(features, message, *further)
        return features


BACKBONE = DirectedConvolutions
