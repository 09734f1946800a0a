"""What a backbone is, and which one a configuration names.

A backbone is one file here, named as the member of `ProductKind` (config.py) that chooses it, with a class that is made
of a `GMTNetConfig` and named at its end: `BACKBONE = MyConvolutions`. Elements, edge features, ComFormer layers and
heads are the same for all, and so is the contract that all pass (models/testing/contract.py).
"""

from importlib import import_module
from typing import Protocol, cast

from torch import Tensor as TorchTensor
from torch import nn

from models.gmtnet.config import GMTNetConfig
from models.gmtnet.equivariant import Channels
from models.gmtnet.torch_graph import Features, TorchGraph


class Backbone(Protocol):
    """From invariants of atoms and edges to tensors of atoms.

    Attributes:
        channels: of the features that come out; "0e" is among them.
    """

    channels: Channels

    def __call__(self, invariant: TorchTensor, edges: TorchTensor, graph: TorchGraph, share: TorchTensor) -> Features:
        """Features [2l + 1, n_atoms, channels] of each kind of irrep.

        Args:
            invariant: of atoms, [n_atoms, channels].
            edges: invariant edge features, [n_edges, channels].
            graph: ends and directions of the edges.
            share: weights that sum to one over an atom's edges, [n_edges].
        """


def make_backbone(config: GMTNetConfig) -> Backbone:
    """A fresh backbone of the kind that a configuration names.

    Only its file is imported: e3nn, which the published one needs, takes as long to import as torch.
    """
    kind: type[nn.Module] = import_module(f"models.gmtnet.backbones.{config.product.value}").BACKBONE
    return cast("Backbone", kind(config))
