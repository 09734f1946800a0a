"""The default backbone: messages along the two cheap paths, products of an atom's own tensors, gates."""

from functools import partial

from torch import Tensor as TorchTensor
from torch import nn

from models.gmtnet.config import GMTNetConfig
from models.gmtnet.equivariant import (
    AtomCoupling,
    Channels,
    GatedUpdate,
    NeighborConvolution,
    ProductMaker,
    make_table,
)
from models.gmtnet.spherical import read_irreps
from models.gmtnet.torch_graph import Features, TorchGraph


class CoupledConvolutions(nn.Module):
    """Convolutions with residuals, products of an atom's own tensors and gates between them.

    Attributes:
        channels: of the features that come out.
    """

    def __init__(self, config: GMTNetConfig) -> None:
        super().__init__()
        self.l_max = config.l_max
        self.channels: Channels = read_irreps(config.hidden_irreps)
        self.gather = nn.ModuleList()
        self.update = nn.ModuleList()
        make_product = self.product_maker(config)
        channels_in: Channels = {"0e": config.channels}
        for text in config.message_irreps:
            message = read_irreps(text)
            self.gather.append(NeighborConvolution(channels_in, message, config.channels, config.edge_channels))
            self.update.append(GatedUpdate(channels_in, message, self.channels, make_product))
            channels_in = self.channels

    @staticmethod
    def product_maker(config: GMTNetConfig) -> ProductMaker:
        """What makes the products of an atom's tensors; other backbones multiply in other ways."""
        return partial(AtomCoupling, channels=config.coupling_channels)

    def forward(self, invariant: TorchTensor, edges: TorchTensor, graph: TorchGraph, share: TorchTensor) -> Features:
        """Features [2l + 1, n_atoms, channels]; arguments as in `Backbone`."""
        table = make_table(graph, share, self.l_max)
        features: Features = {"0e": invariant[None]}
        for gather, update in zip(self.gather, self.update, strict=True):
            features = update(features, gather(features, edges, table))
        return features


BACKBONE = CoupledConvolutions
