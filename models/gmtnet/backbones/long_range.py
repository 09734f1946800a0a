"""The default backbone with attention between all atoms of a crystal, images included, on invariant features.

Each atom looks at every atom j of its crystal once. The weight is B_ij exp(q_i k_j / sqrt(d)): q and k come from
invariant features, and the bias B_ij is a learned mixture, per head, of Gaussians summed over all images of j and of a
constant share (models/crystals/image_kernels.py). Beside this mean stands a potential: the sum of such Gaussians times
hidden values, less their mean in the crystal. All are sums over images, so that the copies of j in a supercell add up
to j: the result belongs to the crystal, not to its cell. Tensors see it through gates only. Work and memory grow with
the square of a crystal's atoms; atoms of different crystals never meet.

Source: the idea of graph-wise attention with distance-dependent biases is that of Wang, Sun, Liang, Zhai, Wang and Xu,
CrysToGraph (2024), whose edge features change when a crystal is rotated; sums over images as in an Ewald sum, of hidden
values in the place of charges as in B. Cheng, Latent Ewald summation, arXiv:2408.15165 (2024).
"""

import torch
from torch import Tensor as TorchTensor
from torch import nn

from models.errors import ModelError
from models.gmtnet.backbones.sparse import CoupledConvolutions
from models.gmtnet.config import GMTNetConfig
from models.gmtnet.equivariant import make_table
from models.gmtnet.torch_graph import Features, Pairs, TorchGraph

_TYPICAL_DENSITY = 0.05
"""Atoms per cubic angstrom, which counts of atoms seen are divided by."""

_HIGHEST_SCORE = 8.0


class PeriodicAttention(nn.Module):
    """Attention between all atoms of each crystal and their images.

    Args:
        channels: of the invariant features, a multiple of the number of heads.
        n_heads: number of heads.
        widths_angstrom: of the Gaussians whose sums the graphs bring.
    """

    typical: TorchTensor

    def __init__(self, channels: int, n_heads: int, widths_angstrom: tuple[float, ...]) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm = nn.LayerNorm(channels)
        self.query, self.key, self.value = (nn.Linear(channels, channels) for _ in range(3))
        # each head begins with one width; the last one with the constant share, if there are more heads than widths
        self.mixture = nn.Parameter(torch.full((n_heads, len(widths_angstrom) + 1), -4.0))
        with torch.no_grad():
            for head in range(n_heads):
                self.mixture[head, head % (len(widths_angstrom) + 1)] = 1.0
        widths = torch.tensor(widths_angstrom)
        self.register_buffer("typical", (2.0 * torch.pi) ** 1.5 * widths**3 * _TYPICAL_DENSITY, persistent=False)
        # signed: what a wide Gaussian sees may have to be taken from what a narrow one sees
        self.strength = nn.Parameter(torch.zeros(n_heads, len(widths_angstrom)))
        with torch.no_grad():
            for head in range(n_heads):
                self.strength[head, head % len(widths_angstrom)] = 1.0
        self.merge = nn.Sequential(nn.Linear(4 * channels, 2 * channels), nn.SiLU(), nn.Linear(2 * channels, channels))

    def forward(self, nodes: TorchTensor, pairs: Pairs, share: TorchTensor) -> TorchTensor:
        """What the atoms gather, [n_atoms, channels].

        Args:
            nodes: invariant features, [n_atoms, channels].
            pairs: of atoms of the same crystal.
            share: weight of each atom in the mean of its crystal, [n_atoms].
        """
        normed = self.norm(nodes)
        query, key, value = (
            part(normed).unflatten(1, (self.n_heads, -1)) for part in (self.query, self.key, self.value)
        )
        at_center, at_neighbor = query.index_select(0, pairs.center), key.index_select(0, pairs.neighbor)
        score = (at_center * at_neighbor).sum(dim=2) * query.shape[2] ** -0.5
        # bounded smoothly, so that exponentials need no search for the highest score of each center
        score = _HIGHEST_SCORE * torch.tanh(score / _HIGHEST_SCORE)
        seen = torch.cat([pairs.kernels / self.typical, share[pairs.neighbor, None]], dim=1)
        bias = seen @ nn.functional.softplus(self.mixture).T
        weight = bias.clamp(min=0.0) * torch.exp(score)
        total = weight.new_zeros(len(nodes), self.n_heads).index_add(0, pairs.center, weight)
        weighted = weight[:, :, None] * value.index_select(0, pairs.neighbor)
        mean = torch.zeros_like(query).index_add(0, pairs.center, weighted) / total.clamp(min=1e-12)[:, :, None]
        potential = self.potential(value, pairs, share)
        # an energy is the product of an atom's own value with the potential at its place
        gathered = torch.cat([mean, potential, value * potential], dim=1).flatten(1)
        result: TorchTensor = self.merge(torch.cat([normed, gathered], dim=1))
        return result

    def potential(self, value: TorchTensor, pairs: Pairs, share: TorchTensor) -> TorchTensor:
        """Sums over all images of what values differ from their mean in the crystal, [n_atoms, n_heads, channels].

        A wide Gaussian sees nearly the same of all atoms: without the mean, which cancels as the charge of a neutral
        cell does, the little that differs would be lost beside it.

        Args:
            value: of each atom, [n_atoms, n_heads, channels].
            pairs: of atoms of the same crystal.
            share: weight of each atom in the mean of its crystal, [n_atoms].
        """
        kernel = pairs.kernels @ self.strength.T
        at_neighbor = value.index_select(0, pairs.neighbor)
        of_crystal = torch.zeros_like(value).index_add(0, pairs.center, share[pairs.neighbor, None, None] * at_neighbor)
        deviation = at_neighbor - of_crystal.index_select(0, pairs.center)
        return torch.zeros_like(value).index_add(0, pairs.center, kernel[:, :, None] * deviation)


class LongRangeConvolutions(CoupledConvolutions):
    """Convolutions that atoms enter and leave with what they gathered from all others.

    Raises:
        ModelError: the configuration's graph has no kernels.
    """

    def __init__(self, config: GMTNetConfig) -> None:
        super().__init__(config)
        widths = config.graph.kernel_widths_angstrom
        if not widths:
            raise ModelError("A long-range network needs kernels: give graph.kernel_widths_angstrom, e.g. 1.5, 3, 6.")
        self.before = PeriodicAttention(config.channels, config.attention_heads, widths)
        self.after, self.gates = nn.ModuleList(), nn.ModuleList()
        self.kinds = [ir for ir in self.channels if ir != "0e"]
        for _ in self.update:
            scalars = self.channels["0e"]
            self.after.append(PeriodicAttention(scalars, config.attention_heads, widths))
            gates = nn.Linear(scalars, sum(self.channels[ir] for ir in self.kinds))
            nn.init.zeros_(gates.weight)
            nn.init.zeros_(gates.bias)
            self.gates.append(gates)

    def forward(self, invariant: TorchTensor, edges: TorchTensor, graph: TorchGraph, share: TorchTensor) -> Features:
        """Features [2l + 1, n_atoms, channels]; arguments as in `Backbone`."""
        if graph.pairs is None:
            raise ModelError("The graph has no kernels: build it with the GraphSpec of the network's configuration.")
        table = make_table(graph, share, self.l_max)
        start = invariant + self.before(invariant, graph.pairs, graph.share_of_atom)
        features: Features = {"0e": start[None]}
        for gather, update, attention, gates in zip(self.gather, self.update, self.after, self.gates, strict=True):
            features = update(features, gather(features, edges, table))
            gathered = attention(features["0e"][0], graph.pairs, graph.share_of_atom)
            features["0e"] = features["0e"] + gathered[None]
            # from 0 to 2, 1 in a fresh network
            parts = (2.0 * torch.sigmoid(gates(gathered))).split([self.channels[ir] for ir in self.kinds], dim=1)
            for ir, gate in zip(self.kinds, parts, strict=True):
                features[ir] = features[ir] * gate
        return features


BACKBONE = LongRangeConvolutions
