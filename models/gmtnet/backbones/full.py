"""The published equivariant layers: three fully connected tensor products, feeding one another.

Source: Yan et al., arXiv:2406.12888, section 4.2, and its public code: Y up to l = 2, per-edge weights from a
perceptron, mean over neighbours, the last layer ends in the irreps of the tensors.
"""

from itertools import pairwise

import torch
from e3nn import o3
from torch import Tensor as TorchTensor
from torch import nn
from torch_geometric.utils import scatter

from models.gmtnet.config import GMTNetConfig
from models.gmtnet.equivariant import Channels
from models.gmtnet.spherical import read_irreps
from models.gmtnet.torch_graph import Features, TorchGraph
from models.quantities import TENSORS

_N_SCALARS = 16


class PublishedConvolutions(nn.Module):
    """Convolutions from invariant features to the irreps of all tensors.

    Attributes:
        channels: of the features that come out.
    """

    def __init__(self, config: GMTNetConfig) -> None:
        super().__init__()
        tensors = o3.Irreps("+".join(TENSORS[t].irreps for t in config.tensors)).sort().irreps.simplify()
        chain = [o3.Irreps(text) for text in (f"{_N_SCALARS}x0e", *config.message_irreps)] + [tensors]
        self.l_max = config.l_max
        self.channels: Channels = read_irreps(str(tensors))
        self.narrow = nn.Linear(config.channels, _N_SCALARS)
        self.layers = nn.ModuleList(_Convolution(a, b, config) for a, b in pairwise(chain))

    def forward(self, invariant: TorchTensor, edges: TorchTensor, graph: TorchGraph, share: TorchTensor) -> Features:
        """Features [2l + 1, n_atoms, channels]; arguments as in `Backbone`."""
        irreps = o3.Irreps.spherical_harmonics(self.l_max)
        harmonics = o3.spherical_harmonics(irreps, graph.vector, normalize=True, normalization="component")
        # the share makes sums over neighbours means
        features: Features = {"0e": self.narrow(invariant)[None]}
        for layer in self.layers:
            features = layer(features, harmonics * share[:, None], edges, graph)
        return features


class _Convolution(nn.Module):
    """Messages Σ_j h_j ⊗ Y(r_ij), every input with every output channel, weights per edge from a perceptron."""

    def __init__(self, irreps_in: o3.Irreps, irreps_out: o3.Irreps, config: GMTNetConfig) -> None:
        super().__init__()
        harmonics = o3.Irreps.spherical_harmonics(config.l_max)
        self.irreps_in, self.irreps_out = irreps_in, irreps_out
        self.product = o3.FullyConnectedTensorProduct(irreps_in, harmonics, irreps_out, shared_weights=False)
        self.weights = nn.Sequential(
            nn.Linear(config.channels, config.edge_channels),
            nn.Softplus(),
            nn.Linear(config.edge_channels, self.product.weight_numel),
        )

    def forward(self, features: Features, harmonics: TorchTensor, edges: TorchTensor, graph: TorchGraph) -> Features:
        """Features [2l + 1, n_atoms, channels] from features of the atoms and weighted harmonics of the edges."""
        # e3nn wants one row per edge with channels before components
        sources = [
            graph.at_neighbors(str(ir), features[str(ir)]).transpose(1, 2).flatten(1) for _, ir in self.irreps_in
        ]
        message = self.product(torch.cat(sources, dim=1), harmonics, self.weights(edges))
        total = scatter(message, graph.ends[0], dim=0, dim_size=len(graph.numbers), reduce="sum")
        blocks = zip(self.irreps_out, self.irreps_out.slices(), strict=True)
        return {str(ir): total[:, s].view(-1, count, ir.dim).permute(2, 0, 1) for (count, ir), s in blocks}


BACKBONE = PublishedConvolutions
