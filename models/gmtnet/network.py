"""GMTNet: one backbone, one head per tensor, a constant change of basis from irreps to Cartesian components.

crystal graph -> element features -> ComFormer layers (invariant) -> equivariant convolutions -> mean over atoms ->
irreps of each tensor -> Cartesian components. The published network writes the last step as the derivative of a field
response; since that derivative is linear, it is a constant matrix (models/tensors/irreps.py), which needs no autograd.
Source: Yan et al., arXiv:2406.12888.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from e3nn import o3
from torch import Tensor as TorchTensor
from torch import nn
from torch_geometric.utils import scatter

from models.gmtnet.config import GMTNetConfig, ProductKind
from models.gmtnet.layers import (
    ComFormerLayer,
    CoupledResidual,
    ElementEmbedding,
    EquivariantConvolution,
    RadialFeatures,
    fade,
)
from models.graph import CrystalGraph
from models.quantities import TENSORS, Tensor
from models.tensors.irreps import change_of_basis


@dataclass(frozen=True)
class TorchGraph:
    """A CrystalGraph on a device, in the network's precision."""

    n_crystals: int
    numbers: TorchTensor
    crystal_of_atom: TorchTensor
    ends: TorchTensor
    vector: TorchTensor
    closeness: TorchTensor

    @staticmethod
    def from_graph(graph: CrystalGraph, device: torch.device | str, dtype: torch.dtype) -> "TorchGraph":
        """Copies a graph's arrays to a device."""

        def move(array: Any, kind: torch.dtype) -> TorchTensor:
            return torch.as_tensor(array).to(device=device, dtype=kind)

        ends = torch.stack([move(graph.center, torch.int64), move(graph.neighbor, torch.int64)])
        return TorchGraph(
            graph.n_crystals,
            move(graph.numbers, torch.int64),
            move(graph.crystal_of_atom, torch.int64),
            ends,
            move(graph.vector, dtype),
            move(graph.closeness, dtype),
        )


class GMTNet(nn.Module):
    """The network; `forward` gives independent Cartesian components of every tensor, not yet symmetrized."""

    def __init__(self, config: GMTNetConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        self.embedding = ElementEmbedding(channels)
        self.radial = RadialFeatures(config.radial, config.radial_range, config.n_radial, channels)
        self.comformer = nn.ModuleList(ComFormerLayer(channels) for _ in range(config.n_comformer))
        self.irreps_sh = o3.Irreps.spherical_harmonics(config.l_max)
        self.convolutions = nn.ModuleList()
        self.updates = nn.ModuleList()
        published = config.product is ProductKind.FULL
        irreps = self._build_published(config) if published else self._build_coupled(config)
        self.heads = nn.ModuleDict({t.value: TensorHead(t, irreps, channels, config) for t in config.tensors})

    def _convolution(self, irreps_in: o3.Irreps, irreps_out: o3.Irreps) -> EquivariantConvolution:
        c = self.config
        return EquivariantConvolution(irreps_in, self.irreps_sh, irreps_out, c.channels, c.edge_channels, c.product)

    def _build_published(self, config: GMTNetConfig) -> o3.Irreps:
        """Convolutions that feed one another directly and end in the irreps of the tensors."""
        tensors = o3.Irreps("+".join(TENSORS[t].irreps for t in config.tensors)).sort().irreps.simplify()
        chain = [o3.Irreps(text) for text in ("16x0e", *config.message_irreps)] + [tensors]
        self.narrow: nn.Module = nn.Linear(config.channels, 16)
        for irreps_in, irreps_out in pairwise(chain):
            self.convolutions.append(self._convolution(irreps_in, irreps_out))
            self.updates.append(Replace())
        return tensors

    def _build_coupled(self, config: GMTNetConfig) -> o3.Irreps:
        """Convolutions with residuals, products of an atom's own tensors and gates between them."""
        irreps, hidden = o3.Irreps([(config.channels, "0e")]), o3.Irreps(config.hidden_irreps)
        self.narrow = nn.Identity()
        for text in config.message_irreps:
            message = o3.Irreps(text)
            self.convolutions.append(self._convolution(irreps, message))
            self.updates.append(CoupledResidual(irreps, message, hidden, config.coupling_channels))
            irreps = hidden
        return irreps

    def forward(self, graph: TorchGraph) -> dict[Tensor, TorchTensor]:
        """Orthonormal components (tensors/voigt.py) of each tensor in its unit, shape [n_crystals, n_components]."""
        distance = torch.linalg.vector_norm(graph.vector, dim=1)
        edges = self.radial(distance)
        weight = self._edge_weight(graph)
        nodes = self.embedding(graph.numbers)
        for layer in self.comformer:
            nodes = layer(nodes, edges, weight, graph.ends)
        invariant = nodes
        harmonics = o3.spherical_harmonics(self.irreps_sh, graph.vector, normalize=True, normalization="component")
        share = self._share(weight, graph)
        nodes = self.narrow(nodes)
        for convolution, update in zip(self.convolutions, self.updates, strict=True):
            nodes = update(nodes, convolution(nodes, harmonics, edges, share, graph.ends))
        per_crystal = _mean_over_atoms(nodes, graph)
        invariant = _mean_over_atoms(invariant, graph)
        return {t: self.heads[t.value](per_crystal, invariant) for t in self.config.tensors}

    def _edge_weight(self, graph: TorchGraph) -> TorchTensor:
        return fade(graph.closeness) if self.config.envelope else torch.ones_like(graph.closeness)

    def _share(self, weight: TorchTensor, graph: TorchGraph) -> TorchTensor:
        """Weights that sum to one over an atom's edges: a mean that stays continuous while edges fade."""
        total = scatter(weight, graph.ends[0], dim=0, dim_size=len(graph.numbers), reduce="sum")
        share: TorchTensor = weight / total[graph.ends[0]]
        return share


class Replace(nn.Module):
    """The published update: the message takes the place of the old features."""

    def forward(self, _old: TorchTensor, message: TorchTensor) -> TorchTensor:
        """The message."""
        return message


class TensorHead(nn.Module):
    """Mean node features -> Cartesian components of one tensor, un-normalised with constants of the training labels.

    components = exp(log_norm + spread * a) * Qᵀ (mean + scale * z): z are irreps read linearly from the equivariant
    features, a is a scalar read from the invariants (0 without `magnitude`), Q the constant change of basis, and mean,
    scale, log_norm, spread are set once per irrep from the training labels (loss.py).
    """

    basis: TorchTensor
    mean: TorchTensor
    scale: TorchTensor
    log_norm: TorchTensor
    spread: TorchTensor

    def __init__(self, quantity: Tensor, irreps_read: o3.Irreps, channels: int, config: GMTNetConfig) -> None:
        super().__init__()
        irreps = o3.Irreps(TENSORS[quantity].irreps)
        self.read = o3.Linear(irreps_read, irreps)
        scalars = irreps_read.count(o3.Irrep("0e"))
        self.scalar_slices = [
            s for s, (_, ir) in zip(irreps_read.slices(), irreps_read, strict=True) if str(ir) == "0e"
        ]
        self.magnitude: nn.Module | None = None
        if config.magnitude:
            self.magnitude = nn.Sequential(nn.Linear(scalars + channels, channels), nn.SiLU(), nn.Linear(channels, 1))
        dtype = torch.get_default_dtype()
        self.register_buffer("basis", torch.tensor(change_of_basis(quantity).copy(), dtype=dtype), persistent=False)
        self.register_buffer("mean", torch.zeros(irreps.dim))
        self.register_buffer("scale", torch.ones(irreps.dim))
        self.register_buffer("log_norm", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def forward(self, equivariant: TorchTensor, invariant: TorchTensor) -> TorchTensor:
        """Components [n_crystals, n_components] from means [n_crystals, irreps_read] and [n_crystals, channels]."""
        components: TorchTensor = (self.mean + self.scale * self.read(equivariant)) @ self.basis
        if self.magnitude is None:
            return components
        scalars = torch.cat([*(equivariant[:, s] for s in self.scalar_slices), invariant], dim=1)
        exponent = self.log_norm + self.spread * self.magnitude(scalars).clamp(-6.0, 6.0)
        return components * torch.exp(exponent)


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


def _mean_over_atoms(nodes: TorchTensor, graph: TorchGraph) -> TorchTensor:
    mean: TorchTensor = scatter(nodes, graph.crystal_of_atom, dim=0, dim_size=graph.n_crystals, reduce="mean")
    return mean
