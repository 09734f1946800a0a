"""One number per crystal from the layers that predict tensors."""

from dataclasses import replace

import torch
from torch import nn

from models.crystals.crystal import Floats
from models.gmtnet.config import GMTNetConfig
from models.gmtnet.heads import ScalarHead
from models.gmtnet.network import GMTNet
from models.gmtnet.torch_graph import TorchGraph


class ScalarNetwork(nn.Module):
    """A GMTNet without tensors and one head, of a mean over atoms: for numbers that do not grow with the cell.

    Args:
        config: of the layers; its tensors and scalars are left out.
    """

    def __init__(self, config: GMTNetConfig) -> None:
        super().__init__()
        self.config = replace(config, tensors=(), scalars=(), spreads=())
        self.layers = GMTNet(self.config)
        self.head = ScalarHead(self.layers.convolutions.channels, config.channels)

    def forward(self, graph: TorchGraph) -> torch.Tensor:
        """Values in the unit of the labels, [n_crystals]."""
        values: torch.Tensor = self.head(*self.layers.describe(graph))[:, 0]
        return values


def make_scalar_network(config: GMTNetConfig, labels: Floats, seed: int) -> ScalarNetwork:
    """A fresh network that starts in the middle of the labels.

    Args:
        config: of the layers.
        labels: of the training crystals, [n_crystals].
        seed: of the weights.
    """
    torch.manual_seed(seed)
    network = ScalarNetwork(config)
    network.head.mean.fill_(float(labels.mean()))
    # labels that are all the same have no spread to be measured in
    network.head.scale.fill_(float(labels.std()) or 1.0)
    return network
