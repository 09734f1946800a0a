"""GMTNet: one backbone, one head per tensor.

crystal graph -> element features -> ComFormer layers (invariant) -> equivariant convolutions -> mean over atoms ->
heads -> independent Cartesian components of each tensor, and scalars that help to learn them.
Source: Yan et al., arXiv:2406.12888; what differs from it is listed under Decisions in ARCHITECTURE.md.
"""

import torch
from torch import Tensor as TorchTensor
from torch import nn

from models.gmtnet.backbones.interface import make_backbone
from models.gmtnet.config import GMTNetConfig
from models.gmtnet.heads import DirectionHead, LinearHead, PositiveHead, ScalarHead, SpreadHead
from models.gmtnet.layers import ComFormerLayer, ElementEmbedding, RadialFeatures, cutoff_envelope
from models.gmtnet.torch_graph import Features, TorchGraph
from models.quantities import SCALAR_UNIT, TENSORS, Tensor

SPREADS = "spreads"
"""Name of the output that holds logarithms of spreads, [n_crystals, n_spreads]."""

Outputs = dict[str, TorchTensor]
"""By Tensor, Scalar, or SPREADS."""


class GMTNet(nn.Module):
    """The network; `forward` gives independent Cartesian components of every tensor, not yet symmetrized."""

    def __init__(self, config: GMTNetConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = ElementEmbedding(config.channels)
        self.radial = RadialFeatures(
            config.radial, config.radial_range, config.n_radial, config.channels, config.n_relative
        )
        self.edge_scalars = nn.Linear(config.n_edge_scalars, config.channels) if config.n_edge_scalars else None
        self.comformer = nn.ModuleList(ComFormerLayer(config.channels) for _ in range(config.n_comformer))
        self.convolutions = make_backbone(config)
        channels = self.convolutions.channels
        self.heads = nn.ModuleDict()
        for quantity in config.tensors:
            if not config.magnitude:
                self.heads[quantity.value] = LinearHead(quantity, channels)
                continue
            # a tensor with a floor is positive definite above it, any other has a direction and a size
            kind = DirectionHead if TENSORS[quantity].floor is None else PositiveHead
            self.heads[quantity.value] = kind(quantity, channels, config.channels)
        self.scalars = nn.ModuleDict(
            {s.value: ScalarHead(channels, config.channels, SCALAR_UNIT[s]) for s in config.scalars}
        )
        self.spread = SpreadHead(channels, config.channels, len(config.spreads)) if config.spreads else None

    def forward(self, graph: TorchGraph) -> Outputs:
        """Orthonormal components of tensors in their unit, [n_crystals, n_components]; scalars [n_crystals, 1]."""
        return self.read(*self.describe(graph))

    def read(self, features: Features, invariant: TorchTensor) -> Outputs:
        """The outputs from mean features of the crystals, as `describe` gives them."""
        results: Outputs = {}
        # in this order a tensor comes after the one that is its floor
        for quantity in self.config.tensors:
            floor = _floor(quantity, results, invariant)
            results[quantity] = self.heads[quantity.value](features, invariant, floor)
        for scalar in self.config.scalars:
            results[scalar] = self.scalars[scalar.value](features, invariant)
        if self.spread is not None:
            results[SPREADS] = self.spread(features, invariant)
        return results

    def describe(self, graph: TorchGraph) -> tuple[Features, TorchTensor]:
        """Mean features of each crystal: tensors [2l + 1, n_crystals, channels], invariants [n_crystals, channels]."""
        edges = self.radial(torch.linalg.vector_norm(graph.vector, dim=1), graph.numbers[graph.ends])
        if self.edge_scalars is not None:
            edges = edges + self.edge_scalars(graph.edge_scalars)
        weight = torch.ones_like(graph.scaled_distance)
        if self.config.envelope:
            weight = cutoff_envelope(graph.scaled_distance)
        nodes = self.embedding(graph.numbers)
        for layer in self.comformer:
            nodes = layer(nodes, edges, weight, graph.ends)
        # weights that sum to one over an atom's edges: a mean that is continuous when an edge reaches the cutoff
        total = weight.new_zeros(len(graph.numbers)).scatter_add_(0, graph.ends[0], weight)
        # edges that only fill up a batch (padded.py) weigh nothing, and so do all edges of the atom that they lead to
        share = weight / total.clamp(min=torch.finfo(total.dtype).tiny)[graph.ends[0]]
        features = self.convolutions(nodes, edges, graph, share)
        return {ir: graph.mean(ir, x) for ir, x in features.items()}, graph.mean("0e", nodes[None])[0]


def build_network(config: GMTNetConfig, dtype: torch.dtype = torch.float32) -> GMTNet:
    """A fresh network whose constants (coupling coefficients, changes of basis) are exact in the given precision.

    A network that is made in float32 and widened afterwards is equivariant to 1e-8 only.
    """
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        return GMTNet(config)
    finally:
        torch.set_default_dtype(before)


def _floor(quantity: Tensor, results: Outputs, like: TorchTensor) -> TorchTensor | None:
    """Components that a positive tensor exceeds: another predicted tensor, or a multiple of the identity."""
    floor = TENSORS[quantity].floor
    if isinstance(floor, Tensor):
        # a tensor that is not predicted has a floor itself
        return results[floor] if floor in results else _floor(floor, results, like)
    if not floor or TENSORS[quantity].rank != 2:
        return None
    return like.new_tensor([[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]]) * floor
