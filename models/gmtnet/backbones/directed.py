"""The default backbone with a third path of messages: an atom's tensors times the direction from which they come.

The default messages say which tensors the neighbours have and, apart from that, in which directions they lie. Here
each tensor of a neighbour is multiplied with the harmonics of its own edge, which is what passes a force on along a
strut: the part of a neighbour's motion along the bond counts otherwise than the part across.

Source: the products are those of tensor field networks, Thomas et al., arXiv:1802.08219, channel by channel; sums over
neighbours come before the coupling, which then has as many rows as there are atoms, not edges.
"""

from itertools import product

import torch
from torch import Tensor as TorchTensor
from torch import nn

from models.gmtnet.backbones.sparse import CoupledConvolutions
from models.gmtnet.config import GMTNetConfig
from models.gmtnet.equivariant import Channels, Couplings, EdgeTable, TensorLinear, make_table
from models.gmtnet.spherical import degree_of, irreps_in_product
from models.gmtnet.torch_graph import Features, TorchGraph

_HARMONICS = ("1o", "2e")
"""Directions of edges that tensors are multiplied with: a dyad of a bond's direction has no higher ones."""


class DirectedMessages(Couplings):
    """Sums over edges of w(r_ij) h_l ⊗ Y_1 and w(r_ij) h_l ⊗ Y_2, h_l the tensors of the neighbours.

    Args:
        channels_in: of the features of the atoms.
        channels_out: of what comes out.
        channels: of each kind in the products.
        edge_channels: of the edge features.
    """

    def __init__(self, channels_in: Channels, channels_out: Channels, channels: int, edge_channels: int) -> None:
        super().__init__(channels)
        self.kinds = [ir for ir in channels_in if ir != "0e"]
        self.before = TensorLinear(channels_in, dict.fromkeys(self.kinds, channels))
        width = len(self.kinds) * channels
        self.weights = nn.Sequential(
            nn.Linear(edge_channels, edge_channels), nn.SiLU(), nn.Linear(edge_channels, width)
        )
        for kind, harmonic in product(self.kinds, _HARMONICS):
            self.add_pair(harmonic, kind, [ir for ir in irreps_in_product(kind, harmonic) if ir in channels_out])
        self.after = TensorLinear(self.n_paths, channels_out)

    def forward(self, features: Features, edges: TorchTensor, table: EdgeTable) -> Features:
        """Gathered products [2l + 1, n_atoms, channels_out]; arguments as of `NeighborConvolution`."""
        graph, n_atoms = table.graph, len(table.graph.numbers)
        mixed = self.before({ir: features[ir] for ir in self.kinds})
        weights = self.weights(edges).split(self.channels, dim=1)
        filled = {}
        for kind, weight in zip(self.kinds, weights, strict=True):
            message = graph.at_neighbors(kind, mixed[kind]) * weight[:, None]
            filled[kind] = table.fill(message.flatten(1))

        def outer(harmonic: str, kind: str) -> TorchTensor:
            degree = degree_of(harmonic)
            # [n_atoms, 2l' + 1, (2l + 1) channels]: summed over the neighbours before the kinds are coupled
            summed = torch.bmm(table.harmonics[:, degree**2 : (degree + 1) ** 2], filled[kind])
            return summed.view(n_atoms, -1, self.channels).transpose(0, 1).flatten(1)

        coupled: Features = self.after(self.couple(outer, n_atoms))
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
