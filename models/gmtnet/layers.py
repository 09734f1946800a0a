"""The invariant layers: element and radial features, the ComFormer layer."""

from importlib.resources import files

import numpy as np
import torch
from torch import Tensor as TorchTensor
from torch import nn

from models.crystals.radii import COVALENT_RADIUS_ANGSTROM
from models.gmtnet.config import RadialKind

_RELATIVE = 0.7, 1.9
"""First and last centre of the Gaussians of relative distances; a covalent bond has 1."""


class ElementEmbedding(nn.Module):
    """Atomic numbers -> features: fixed descriptors through a linear map, plus a learned vector per element.

    The descriptors (group, period, block, electronegativity, radii, ionisation energy, ...; one-hot bins as in CGCNN)
    let elements with few labels learn from their neighbours in the periodic table.
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
    """Edge lengths in angstrom -> features, by Gaussians of the distance or of -0.75 / distance.

    With `n_relative` also by Gaussians of the distance over the sum of the covalent radii of both ends.
    """

    centers: TorchTensor
    radius: TorchTensor
    relative_centers: TorchTensor

    def __init__(
        self, kind: RadialKind, span: tuple[float, float], n_radial: int, channels: int, n_relative: int = 0
    ) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("centers", torch.linspace(*span, n_radial), persistent=False)
        per_step = (n_radial - 1) / (span[1] - span[0])
        self.gamma = 0.5 * per_step**2 if kind is RadialKind.DISTANCE else per_step  # as published: eight steps wide
        self.linear = nn.Linear(n_radial, channels)
        self.relative: nn.Linear | None = None
        if n_relative:
            radius = torch.tensor(COVALENT_RADIUS_ANGSTROM, dtype=torch.get_default_dtype())
            self.register_buffer("radius", radius, persistent=False)
            self.register_buffer("relative_centers", torch.linspace(*_RELATIVE, n_relative), persistent=False)
            self.relative = nn.Linear(n_relative, channels, bias=False)

    def forward(self, distance: TorchTensor, numbers: TorchTensor) -> TorchTensor:
        """Features [n_edges, channels] of distances [n_edges] and the atomic numbers of both ends [2, n_edges]."""
        argument = distance if self.kind is RadialKind.DISTANCE else -0.75 / distance
        gaussians = torch.exp(-self.gamma * (argument[:, None] - self.centers) ** 2)
        features = self.linear(gaussians)
        if self.relative is not None:
            of_bond = distance / self.radius[numbers].sum(dim=0)
            step = (_RELATIVE[1] - _RELATIVE[0]) / (len(self.relative_centers) - 1)
            features = features + self.relative(
                torch.exp(-0.5 * ((of_bond[:, None] - self.relative_centers) / step) ** 2)
            )
        return torch.nn.functional.softplus(features)


def cutoff_envelope(scaled_distance: TorchTensor) -> TorchTensor:
    """Edge weight: 1 up to 0.6 of the reach, then smoothly (C2) to 0 at the reach; [n_edges] -> [n_edges]."""
    t = ((scaled_distance - 0.6) / 0.4).clamp(0.0, 1.0)
    return 1.0 - t**3 * (10.0 - 15.0 * t + 6.0 * t**2)


class ComFormerLayer(nn.Module):
    """Node-wise transformer layer: messages gated by the sigmoid of batch-normalised attention.

    Source: Yan et al., "Complete and Efficient Graph Transformers for Crystal Material Property Prediction"
    (ComFormer, ICLR 2024), eq. 5-8; one head. Key and value are two-layer perceptrons of the concatenated (center,
    neighbour, edge) features; their first maps are applied per atom and per edge and then added, which is the same map
    at a fraction of the cost.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.at_center = nn.Linear(channels, 3 * channels)  # query, and the center's part of key and value
        self.at_neighbor = nn.Linear(channels, 2 * channels, bias=False)
        self.at_edge = nn.Linear(channels, 2 * channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.attention_norm = nn.BatchNorm1d(channels)
        self.message_norm = nn.LayerNorm(channels)
        self.merge = nn.Linear(channels, channels)
        self.update_norm = nn.BatchNorm1d(channels)
        self.channels = channels

    def forward(self, nodes: TorchTensor, edges: TorchTensor, weight: TorchTensor, ends: TorchTensor) -> TorchTensor:
        """New features [n_atoms, channels].

        Args:
            nodes: [n_atoms, channels].
            edges: [n_edges, channels].
            weight: how much each edge counts, [n_edges].
            ends: center and neighbour of each edge, [2, n_edges].
        """
        c = self.channels
        query, center = self.at_center(nodes).index_select(0, ends[0]).split([c, 2 * c], dim=1)
        # the first maps of key and value are linear in the concatenated features: a sum of three maps
        first = center + self.at_neighbor(nodes).index_select(0, ends[1]) + self.at_edge(edges)
        for_key, for_value = torch.nn.functional.silu(first).split(c, dim=1)
        attention = query * self.key(for_key) * c**-0.5
        message = self.message_norm(self.value(for_value)) * torch.sigmoid(self.attention_norm(attention))
        gathered = torch.zeros_like(nodes).index_add(0, ends[0], message * weight[:, None])
        return torch.nn.functional.softplus(nodes + self.update_norm(self.merge(gathered)))
