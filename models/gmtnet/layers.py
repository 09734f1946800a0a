"""The layers: element and radial features, the ComFormer layer, the equivariant convolution."""

import math
from importlib.resources import files

import numpy as np
import torch
from e3nn import nn as e3nn_nn
from e3nn import o3
from torch import Tensor as TorchTensor
from torch import nn
from torch_geometric.utils import scatter

from models.gmtnet.config import ProductKind, RadialKind


class ElementEmbedding(nn.Module):
    """Atomic numbers -> features: fixed descriptors through a linear map, plus a learned vector per element.

    The descriptors (group, period, block, electronegativity, radii, ionisation energy, ...; one-hot bins as in CGCNN)
    let elements with few labels borrow from their neighbours in the periodic table.
    """

    descriptors: TorchTensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        table = np.loadtxt(str(files("models.gmtnet") / "element_descriptors.csv"), delimiter=",", skiprows=1)
        self.register_buffer(
            "descriptors", torch.tensor(table[:, 1:], dtype=torch.get_default_dtype()), persistent=False
        )
        self.from_descriptors = nn.Linear(table.shape[1] - 1, channels)
        self.learned = nn.Embedding(len(table), channels)
        nn.init.normal_(self.learned.weight, std=0.1)

    def forward(self, numbers: TorchTensor) -> TorchTensor:
        """Features [n_atoms, channels] of atomic numbers [n_atoms]."""
        features: TorchTensor = self.from_descriptors(self.descriptors[numbers]) + self.learned(numbers)
        return features


class RadialFeatures(nn.Module):
    """Edge lengths in angstrom -> features, by Gaussians of the distance or of -0.75 / distance."""

    centers: TorchTensor

    def __init__(self, kind: RadialKind, span: tuple[float, float], n_radial: int, channels: int) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("centers", torch.linspace(*span, n_radial), persistent=False)
        self.gamma = ((n_radial - 1) / (span[1] - span[0])) ** 2 / (2.0 if kind is RadialKind.DISTANCE else 1.0)
        self.linear = nn.Linear(n_radial, channels)

    def forward(self, distance: TorchTensor) -> TorchTensor:
        """Features [n_edges, channels] of distances [n_edges]."""
        argument = distance if self.kind is RadialKind.DISTANCE else -0.75 / distance
        gaussians = torch.exp(-self.gamma * (argument[:, None] - self.centers) ** 2)
        return torch.nn.functional.softplus(self.linear(gaussians))


def fade(closeness: TorchTensor) -> TorchTensor:
    """Edge weight: 1 up to 0.6 of the reach, then smoothly (C2) to 0 at the reach; [n_edges] -> [n_edges]."""
    t = ((closeness - 0.6) / 0.4).clamp(0.0, 1.0)
    return 1.0 - t**3 * (10.0 - 15.0 * t + 6.0 * t**2)


class ComFormerLayer(nn.Module):
    """Node-wise transformer layer: messages gated by the sigmoid of batch-normalised attention.

    Source: Yan et al., "Complete and Efficient Graph Transformers for Crystal Material Property Prediction"
    (ComFormer, ICLR 2024), eq. 5-8; one head. The linear maps of concatenated (center, neighbour, edge) features are
    applied per atom and per edge and then added, which is the same map at a fraction of the cost.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = nn.Linear(channels, channels)
        self.key = _EdgePerceptron(channels)
        self.value = _EdgePerceptron(channels)
        self.attention_norm = nn.BatchNorm1d(channels)
        self.message_norm = nn.LayerNorm(channels)
        self.merge = nn.Linear(channels, channels)
        self.update_norm = nn.BatchNorm1d(channels)
        self.scale = 1.0 / math.sqrt(channels)

    def forward(self, nodes: TorchTensor, edges: TorchTensor, weight: TorchTensor, ends: TorchTensor) -> TorchTensor:
        """New features [n_atoms, channels].

        Args:
            nodes: [n_atoms, channels].
            edges: [n_edges, channels].
            weight: how much each edge counts, [n_edges].
            ends: center and neighbour of each edge, [2, n_edges].
        """
        center = ends[0]
        attention = self.query(nodes)[center] * self.key(nodes, edges, ends) * self.scale
        message = self.message_norm(self.value(nodes, edges, ends)) * torch.sigmoid(self.attention_norm(attention))
        gathered = scatter(message * weight[:, None], center, dim=0, dim_size=len(nodes), reduce="sum")
        return torch.nn.functional.softplus(nodes + self.update_norm(self.merge(gathered)))


class _EdgePerceptron(nn.Module):
    """Two-layer perceptron on (center, neighbour, edge) features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.center = nn.Linear(channels, channels, bias=False)
        self.neighbor = nn.Linear(channels, channels, bias=False)
        self.edge = nn.Linear(channels, channels)
        self.second = nn.Linear(channels, channels)

    def forward(self, nodes: TorchTensor, edges: TorchTensor, ends: TorchTensor) -> TorchTensor:
        first = self.center(nodes)[ends[0]] + self.neighbor(nodes)[ends[1]] + self.edge(edges)
        result: TorchTensor = self.second(torch.nn.functional.silu(first))
        return result


class EquivariantConvolution(nn.Module):
    """Messages Σ_j w(r_ij) h_j ⊗ Y(r_ij), weights per edge from a perceptron, averaged over an atom's edges.

    `full` multiplies every input with every output channel (the published layer). `sparse` keeps the two paths that
    pass through a scalar, h⁰ ⊗ Y_l and h_l ⊗ Y_0, channel by channel; tensors are coupled afterwards on the atoms
    (AtomCoupling), where there are twenty times fewer rows.
    """

    def __init__(
        self,
        irreps_in: o3.Irreps,
        irreps_sh: o3.Irreps,
        irreps_out: o3.Irreps,
        channels: int,
        hidden: int,
        product: ProductKind,
    ) -> None:
        super().__init__()
        self.before: nn.Module = nn.Identity()
        if product is ProductKind.FULL:
            self.product = o3.FullyConnectedTensorProduct(irreps_in, irreps_sh, irreps_out, shared_weights=False)
        else:
            self.product = _sparse_product(irreps_in, irreps_sh, irreps_out)
            self.before = o3.Linear(irreps_in, self.product.irreps_in1)
        self.weights = nn.Sequential(
            nn.Linear(channels, hidden), nn.SiLU(), nn.Linear(hidden, self.product.weight_numel)
        )

    def forward(
        self, nodes: TorchTensor, harmonics: TorchTensor, edges: TorchTensor, share: TorchTensor, ends: TorchTensor
    ) -> TorchTensor:
        """New features [n_atoms, irreps_out].

        Args:
            nodes: [n_atoms, irreps_in].
            harmonics: spherical harmonics of the edge directions, [n_edges, irreps_sh].
            edges: invariant edge features, [n_edges, channels].
            share: weights that sum to one over an atom's edges, [n_edges].
            ends: center and neighbour of each edge, [2, n_edges].
        """
        message = self.product(self.before(nodes)[ends[1]], harmonics * share[:, None], self.weights(edges))
        gathered: TorchTensor = scatter(message, ends[0], dim=0, dim_size=len(nodes), reduce="sum")
        return gathered


def _sparse_product(irreps_in: o3.Irreps, irreps_sh: o3.Irreps, irreps_out: o3.Irreps) -> o3.TensorProduct:
    """For each output irrep the paths 0e ⊗ Y_l and, where the input has that irrep, h_l ⊗ Y_0, channel by channel."""
    harmonic_of = {ir: k for k, (_, ir) in enumerate(irreps_sh)}
    sources: list[tuple[int, o3.Irrep]] = []
    instructions = []
    for k, (channels, ir) in enumerate(irreps_out):
        if ir in harmonic_of:
            instructions.append((len(sources), harmonic_of[ir], k, "uvu", True))
            sources.append((channels, o3.Irrep("0e")))
        if ir.l > 0 and ir in irreps_in:
            instructions.append((len(sources), 0, k, "uvu", True))
            sources.append((channels, ir))
    return o3.TensorProduct(
        o3.Irreps(sources), irreps_sh, irreps_out, instructions, shared_weights=False, internal_weights=False
    )


class AtomCoupling(nn.Module):
    """Products of an atom's own tensors: features that depend on pairs of neighbours, and the pseudotensors.

    Every result is channel by channel (h ⊗ h), then mixed linearly.
    """

    def __init__(self, irreps_in: o3.Irreps, irreps_out: o3.Irreps, channels: int) -> None:
        super().__init__()
        kinds = sorted({ir for _, ir in irreps_in})
        uniform = o3.Irreps([(channels, ir) for ir in kinds])
        wanted = {ir for _, ir in irreps_out}
        paths = [
            (i, j, ir)
            for i, a in enumerate(kinds)
            for j, b in enumerate(kinds)
            if i <= j
            for ir in a * b
            if ir in wanted
        ]
        paths = [p for p in paths if p[0] != p[1] or (2 * kinds[p[0]].l - p[2].l) % 2 == 0]  # h x h has no odd part
        results, order, _ = o3.Irreps([(channels, ir) for _, _, ir in paths]).sort()
        instructions = [(i, j, order[k], "uuu", True) for k, (i, j, _) in enumerate(paths)]
        self.before = o3.Linear(irreps_in, uniform)
        self.product = o3.TensorProduct(uniform, uniform, results, instructions)
        self.after = o3.Linear(results.simplify(), irreps_out)

    def forward(self, nodes: TorchTensor) -> TorchTensor:
        """Features [n_atoms, irreps_out] from [n_atoms, irreps_in]."""
        uniform = self.before(nodes)
        result: TorchTensor = self.after(self.product(uniform, uniform))
        return result


class CoupledResidual(nn.Module):
    """Old features + messages + products of messages, through gates.

    Scalars go through SiLU, tensors are multiplied with sigmoids of extra scalars: nonlinearities that commute with
    rotations and reflections.
    """

    def __init__(self, irreps_in: o3.Irreps, irreps_message: o3.Irreps, irreps_out: o3.Irreps, channels: int) -> None:
        super().__init__()
        scalars = o3.Irreps([(m, ir) for m, ir in irreps_out if ir.l == 0])
        tensors = o3.Irreps([(m, ir) for m, ir in irreps_out if ir.l > 0])
        gates = o3.Irreps([(tensors.num_irreps, "0e")])
        self.gate = e3nn_nn.Gate(scalars, [nn.functional.silu] * len(scalars), gates, [torch.sigmoid], tensors)
        self.skip = o3.Linear(irreps_in, self.gate.irreps_in)
        self.direct = o3.Linear(irreps_message, self.gate.irreps_in)
        self.coupling = AtomCoupling(irreps_message, self.gate.irreps_in, channels)

    def forward(self, old: TorchTensor, message: TorchTensor) -> TorchTensor:
        """Features [n_atoms, irreps_out] from old features and gathered messages."""
        result: TorchTensor = self.gate(self.skip(old) + self.direct(message) + self.coupling(message))
        return result
