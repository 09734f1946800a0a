"""GMTNet written straightforwardly with torch_geometric and e3nn, with the weights of the shipped `gmtnet-paper`.

What a user of both libraries would write from the paper: `MessagePassing` on concatenated features, e3nn's
`FullyConnectedTensorProduct`, `Batch`, pooling. Nothing of it comes from `models.gmtnet`, so its tensors test those.

Source: Yan et al., arXiv:2406.12888; ComFormer, ICLR 2024.
"""

import csv
import json
from itertools import pairwise
from pathlib import Path

import torch
from e3nn import o3
from safetensors.torch import load_file
from torch import Tensor as TorchTensor
from torch import nn
from torch.nn import functional
from torch_geometric.data import Batch
from torch_geometric.nn import MessagePassing, global_mean_pool
from torch_geometric.utils import scatter

from models.gmtnet.card import WEIGHTS_FOLDER
from models.quantities import TENSORS, Tensor
from models.tensors.irreps import change_of_basis

N_SCALARS = 16
DESCRIPTORS = WEIGHTS_FOLDER.parent / "gmtnet" / "element_descriptors.csv"


class ComformerConv(MessagePassing):
    """One ComFormer layer: gated messages of (center, neighbour, edge), added up."""

    def __init__(self, channels: int) -> None:
        super().__init__(aggr="add")
        self.query = nn.Linear(channels, channels)
        self.key_update = nn.Sequential(nn.Linear(3 * channels, channels), nn.SiLU(), nn.Linear(channels, channels))
        self.value_update = nn.Sequential(nn.Linear(3 * channels, channels), nn.SiLU(), nn.Linear(channels, channels))
        self.attention_norm = nn.BatchNorm1d(channels)
        self.message_norm = nn.LayerNorm(channels)
        self.merge = nn.Linear(channels, channels)
        self.update_norm = nn.BatchNorm1d(channels)

    def forward(self, x: TorchTensor, edge_index: TorchTensor, edge_attr: TorchTensor) -> TorchTensor:
        """New features [n_atoms, channels]; `edge_index` is neighbour, center."""
        gathered = self.propagate(edge_index, x=x, query=self.query(x), edge_attr=edge_attr)
        return functional.softplus(x + self.update_norm(self.merge(gathered)))

    def message(self, x_i: TorchTensor, x_j: TorchTensor, query_i: TorchTensor, edge_attr: TorchTensor) -> TorchTensor:
        """Messages [n_edges, channels] to the centers i from the neighbours j."""
        together = torch.cat([x_i, x_j, edge_attr], dim=-1)
        attention = query_i * self.key_update(together) / query_i.shape[-1] ** 0.5
        return self.message_norm(self.value_update(together)) * torch.sigmoid(self.attention_norm(attention))


class EquivariantConv(nn.Module):
    """Mean over neighbours of h_j ⊗ Y(r_ij), weights per edge from a perceptron."""

    def __init__(self, irreps_in: o3.Irreps, irreps_out: o3.Irreps, l_max: int, channels: int, hidden: int) -> None:
        super().__init__()
        self.harmonics = o3.Irreps.spherical_harmonics(l_max)
        self.product = o3.FullyConnectedTensorProduct(irreps_in, self.harmonics, irreps_out, shared_weights=False)
        self.weights = nn.Sequential(
            nn.Linear(channels, hidden), nn.Softplus(), nn.Linear(hidden, self.product.weight_numel)
        )

    def forward(
        self, x: TorchTensor, edge_index: TorchTensor, edge_attr: TorchTensor, vector: TorchTensor
    ) -> TorchTensor:
        """Features [n_atoms, dim of irreps_out]."""
        y = o3.spherical_harmonics(self.harmonics, vector, normalize=True, normalization="component")
        message = self.product(x[edge_index[0]], y, self.weights(edge_attr))
        return scatter(message, edge_index[1], dim=0, dim_size=len(x), reduce="mean")


class PlainGMTNet(nn.Module):
    """The published network: a `Batch` of crystals in, orthonormal components of each tensor out."""

    def __init__(self, config: dict) -> None:
        super().__init__()
        channels, hidden = config["channels"], config["edge_channels"]
        with DESCRIPTORS.open(encoding="utf-8") as lines:
            table = [[float(cell) for cell in row[1:]] for row in list(csv.reader(lines))[1:]]
        self.register_buffer("descriptors", torch.tensor(table), persistent=False)
        self.from_descriptors = nn.Linear(len(table[0]), channels)
        self.learned = nn.Embedding(len(table), channels)
        centers = torch.linspace(*config["radial_range"], config["n_radial"])
        self.register_buffer("centers", centers, persistent=False)
        self.gamma = (config["n_radial"] - 1) / (config["radial_range"][1] - config["radial_range"][0])
        self.radial = nn.Linear(config["n_radial"], channels)
        self.comformer = nn.ModuleList(ComformerConv(channels) for _ in range(config["n_comformer"]))
        self.tensors = [Tensor(name) for name in config["tensors"]]
        last = o3.Irreps("+".join(TENSORS[t].irreps for t in self.tensors)).sort().irreps.simplify()
        chain = [o3.Irreps(text) for text in (f"{N_SCALARS}x0e", *config["message_irreps"])] + [last]
        self.narrow = nn.Linear(channels, N_SCALARS)
        self.convolutions = nn.ModuleList(
            EquivariantConv(a, b, config["l_max"], channels, hidden) for a, b in pairwise(chain)
        )
        self.heads = nn.ModuleDict({tensor.value: Head(tensor, last) for tensor in self.tensors})

    def forward(self, batch: Batch) -> dict[Tensor, TorchTensor]:
        """Components [n_crystals, n_components] of each tensor in its unit."""
        argument = -0.75 / batch.vector.norm(dim=1)
        gaussians = torch.exp(-self.gamma * (argument[:, None] - self.centers) ** 2)
        edge_attr = functional.softplus(self.radial(gaussians))
        x = self.from_descriptors(self.descriptors[batch.z]) + self.learned(batch.z)
        for layer in self.comformer:
            x = layer(x, batch.edge_index, edge_attr)
        x = self.narrow(x)
        for layer in self.convolutions:
            x = layer(x, batch.edge_index, edge_attr, batch.vector)
        crystal = global_mean_pool(x, batch.batch)
        return {tensor: self.heads[tensor.value](crystal) for tensor in self.tensors}


class Head(nn.Module):
    """Linear maps of each kind of irrep, mean and scale of the labels, and the change of basis to components."""

    def __init__(self, tensor: Tensor, irreps_in: o3.Irreps) -> None:
        super().__init__()
        blocks = dict(zip((str(ir) for _, ir in irreps_in), irreps_in.slices(), strict=True))
        counts = {str(ir): count for count, ir in irreps_in}
        copies = o3.Irreps(TENSORS[tensor].irreps)
        self.parts = [(str(ir), blocks[str(ir)], counts[str(ir)], ir.dim) for _, ir in copies]
        self.maps = nn.ModuleDict({str(ir): nn.Linear(counts[str(ir)], n, bias=ir.l == 0) for n, ir in copies})
        self.register_buffer("mean", torch.zeros(copies.dim))
        self.register_buffer("scale", torch.ones(copies.dim))
        basis = torch.tensor(change_of_basis(tensor).copy(), dtype=torch.float32)
        self.register_buffer("basis", basis, persistent=False)

    def forward(self, features: TorchTensor) -> TorchTensor:
        """Components [n_crystals, n_components]."""
        read = []
        for kind, block, count, size in self.parts:
            rows = features[:, block].reshape(-1, count, size)
            read.append(self.maps[kind](rows.transpose(1, 2)).transpose(1, 2).flatten(1))
        return (self.mean + self.scale * torch.cat(read, dim=1)) @ self.basis


def load_plain(name: str = "gmtnet-paper", folder: Path = WEIGHTS_FOLDER) -> PlainGMTNet:
    """The plain network with the first network's weights of a shipped model of published layers."""
    config = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["config"]
    network = PlainGMTNet(config)
    weights = load_file(folder / f"{name}.safetensors")
    network.load_state_dict(network.state_dict() | renamed(weights, config), strict=True)
    return network.eval().requires_grad_(requires_grad=False)


def renamed(weights: dict[str, TorchTensor], config: dict) -> dict[str, TorchTensor]:
    """The weights under the plain network's names; maps that are stored apart by what they act on are one map again."""
    own = {name.removeprefix("0."): value for name, value in weights.items()}
    found = {}
    for name, value in own.items():
        if name.startswith("comformer.") or "_w3j_" in name:
            continue
        shorter = name.replace("embedding.", "").replace("radial.linear", "radial").replace(".read.maps.", ".maps.")
        shorter = shorter.replace("convolutions.narrow", "narrow").replace("convolutions.layers", "convolutions")
        found[shorter] = value
    c = config["channels"]
    for k in range(config["n_comformer"]):
        prefix = f"comformer.{k}"
        center, edge = own[f"{prefix}.at_center.weight"], own[f"{prefix}.at_edge.weight"]
        neighbor, center_bias = own[f"{prefix}.at_neighbor.weight"], own[f"{prefix}.at_center.bias"]
        found |= {f"{prefix}.query.weight": center[:c], f"{prefix}.query.bias": center_bias[:c]}
        for place, part in enumerate(("key", "value")):
            rows, after = slice(place * c, (place + 1) * c), slice((place + 1) * c, (place + 2) * c)
            joined = torch.cat([center[after], neighbor[rows], edge[rows]], dim=1)
            found[f"{prefix}.{part}_update.0.weight"] = joined
            found[f"{prefix}.{part}_update.0.bias"] = center_bias[after] + own[f"{prefix}.at_edge.bias"][rows]
            for kind in ("weight", "bias"):
                found[f"{prefix}.{part}_update.2.{kind}"] = own[f"{prefix}.{part}.{kind}"]
        others = ("attention_norm", "message_norm", "merge", "update_norm")
        found |= {n: v for n, v in own.items() if n.startswith(tuple(f"{prefix}.{other}." for other in others))}
    return found
