"""A GMTNet in float32 on a CPU as compiled loops between matrix products: the same numbers in a fraction of the time.

What does not depend on a crystal is computed once: radial functions become tables, the affine maps of batch norms part
of the linear maps before them, element features a table by atomic number, and the first maps of all layers that read
an edge's features one matrix. Features are computed for one atom of each orbit; those of the others are its own,
rotated. On atoms and crystals, of which there are few, the layers of the plain network are called as they are.
"""

from collections import Counter
from itertools import accumulate
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor as TorchTensor

from models.gmtnet.backbones.sparse import CoupledConvolutions
from models.gmtnet.compiled.batch import L_MAX, OrbitBatch, Workspace
from models.gmtnet.compiled.edges import attend, attention_inputs, radial_features, silu_of
from models.gmtnet.compiled.messages import (
    Atoms,
    Unsigned,
    couple,
    mean_of_atoms,
    rotate_rows,
    scalar_messages,
    tensor_messages,
)
from models.gmtnet.config import ProductKind, RadialKind
from models.gmtnet.equivariant import AtomCoupling, Channels, GatedUpdate, NeighborConvolution
from models.gmtnet.layers import ComFormerLayer
from models.gmtnet.network import GMTNet, Outputs
from models.gmtnet.spherical import degree_of, read_irreps
from models.gmtnet.torch_graph import Features

Floats32 = NDArray[np.float32]

LANES = 8
"""Channels that the loops over messages take at a time."""

_STEPS_PER_WIDTH = 10
"""Rows of a table of a Gaussian's width: interpolation is exact to 1e-6 of the highest value."""

_BEYOND_WIDTHS = 6.0
_NO_COUPLING = 1e-9  # coupling coefficients below it are rounding errors of zeros


def can_compile(network: GMTNet) -> bool:
    """Whether the compiled form exists for a network: the default kind, not the published one, in blocks of eight."""
    config = network.config
    sparse = config.product is ProductKind.SPARSE and config.envelope and config.magnitude
    radial = config.radial is RadialKind.DISTANCE and config.n_relative > 0
    irreps = [read_irreps(text) for text in (*config.message_irreps, config.hidden_irreps)]
    in_blocks = config.coupling_channels == LANES and not any(n % LANES for copies in irreps for n in copies.values())
    return sparse and radial and in_blocks and config.l_max == L_MAX and not config.n_edge_scalars


class CompiledNetwork:
    """A network of the default kind, folded for the loops.

    Args:
        network: in float32 on the CPU, for inference.
    """

    def __init__(self, network: GMTNet) -> None:
        self.network = network
        self.channels = network.config.channels
        with torch.inference_mode():
            self.elements = network.embedding(torch.arange(len(network.embedding.descriptors)))
            radial, relative = network.radial, cast("torch.nn.Linear", network.radial.relative)
            spacing = float(radial.relative_centers[1] - radial.relative_centers[0])
            first, step = _table(radial.centers, radial.gamma, radial.linear.weight, radial.linear.bias)
            second, other = _table(radial.relative_centers, 0.5 / spacing**2, relative.weight, torch.zeros(()))
            self.tables, self.steps = (first, second), (step, other)
            self.attentions = [_FoldedAttention(cast("ComFormerLayer", layer)) for layer in network.comformer]
            convolutions = cast("CoupledConvolutions", network.convolutions)
            self.messages = [_FoldedMessages(cast("NeighborConvolution", layer)) for layer in convolutions.gather]
            self.updates = [_CompiledUpdate(cast("GatedUpdate", layer)) for layer in convolutions.update]

    def __call__(self, batch: OrbitBatch, workspace: Workspace) -> Outputs:
        """Outputs as of the plain network, over the crystals of a batch."""
        features = workspace.take("features", len(batch.edges.neighbor), self.channels)
        radial_features(batch.edges, self.tables, self.steps, features.numpy())
        nodes = self.elements.index_select(0, torch.from_numpy(batch.numbers))
        for attention in self.attentions:
            nodes = attention(nodes, features, batch, workspace)
        tensors: Features = {"0e": nodes[None]}
        for message, update in zip(self.messages, self.updates, strict=True):
            tensors = update(tensors, message(tensors, features, batch, workspace))
        means = {kind: _mean(kind, values, batch) for kind, values in tensors.items()}
        return self.network.read(means, _mean_of_scalars(nodes, batch))


class _FoldedAttention:
    """A ComFormer layer whose batch norms are part of its linear maps."""

    def __init__(self, layer: ComFormerLayer) -> None:
        channels = self.channels = layer.channels
        slope, constant = _affine(layer.attention_norm)
        # attention = query . key / sqrt(channels), then a batch norm: its slope goes into the query
        scale = torch.cat([slope * channels**-0.5, torch.ones(2 * channels)])
        self.at_center = _for_product(layer.at_center.weight * scale[:, None])
        # the constants of all three first maps are added once, per center
        of_edges = torch.cat([torch.zeros(channels), layer.at_edge.bias])
        self.center_constant = layer.at_center.bias * scale + of_edges
        self.at_neighbor, self.at_edge = _for_product(layer.at_neighbor.weight), _for_product(layer.at_edge.weight)
        self.key, self.value = _for_product(layer.key.weight), _for_product(layer.value.weight)
        rows = [layer.key.bias, constant, layer.value.bias, layer.message_norm.weight, layer.message_norm.bias]
        self.constants = torch.stack(rows).contiguous().numpy()
        update_slope, update_constant = _affine(layer.update_norm)
        self.merge = _for_product(layer.merge.weight * update_slope[:, None])
        self.merge_constant = layer.merge.bias * update_slope + update_constant

    def __call__(
        self, nodes: TorchTensor, features: TorchTensor, batch: OrbitBatch, workspace: Workspace
    ) -> TorchTensor:
        """New features of the orbits, [n_orbits, channels]."""
        c = self.channels
        center = torch.addmm(self.center_constant, nodes, self.at_center)
        query, of_centers = center[:, :c].contiguous().numpy(), center[:, c:].contiguous().numpy()
        of_neighbors, gathered = (nodes @ self.at_neighbor).numpy(), torch.empty(len(nodes), c)
        for part in batch.parts:
            n = part.n_edges
            of_edges, inputs = workspace.take("first", n, 2 * c), workspace.take("inputs", n, 2 * c)
            keys, values = workspace.take("keys", n, c), workspace.take("values", n, c)
            torch.mm(features[part.rows], self.at_edge, out=of_edges)
            attention_inputs(of_edges.numpy(), of_centers[part.orbits], of_neighbors, part.edges, inputs.numpy())
            torch.mm(inputs[:, :c], self.key, out=keys)
            torch.mm(inputs[:, c:], self.value, out=values)
            of_part = gathered.numpy()[part.orbits]
            attend(keys.numpy(), values.numpy(), query[part.orbits], self.constants, part.edges, of_part)
        return torch.nn.functional.softplus(nodes + torch.addmm(self.merge_constant, gathered, self.merge))


class _FoldedMessages:
    """A neighbour convolution as loops."""

    def __init__(self, layer: NeighborConvolution) -> None:
        self.layer = layer
        first, second = cast("torch.nn.Linear", layer.weights[0]), cast("torch.nn.Linear", layer.weights[2])
        self.first, self.first_constant = _for_product(first.weight), first.bias.numpy()
        self.second, self.second_constant = _for_product(second.weight), second.bias.numpy()
        self.blocks, self.places = _blocks(layer.from_scalars)
        self.n_scalar = sum(layer.from_scalars.values())

    def __call__(self, tensors: Features, features: TorchTensor, batch: OrbitBatch, workspace: Workspace) -> Features:
        """Gathered messages of the orbits, [2l + 1, n_orbits, channels]."""
        n_orbits = len(batch.numbers)
        sources = self.layer.sources(tensors["0e"][0]).numpy()
        gathered = torch.empty(n_orbits, sum(self.places.values()))
        rotated = self._rotated(tensors, batch, workspace)
        added = {kind: torch.zeros(n_orbits, self.places[kind]) for kind in rotated}
        for part in batch.parts:
            weights = self._weights(features[part.rows], workspace)
            constants, of_part = self.second_constant[: self.n_scalar], gathered.numpy()[part.orbits]
            scalar_messages(weights, constants, sources, part.edges, self.blocks, of_part)
            column = self.n_scalar
            for kind, n_channels in self.layer.from_tensors.items():
                constants = self.second_constant[column : column + n_channels]
                of_part = added[kind].numpy()[part.orbits]
                tensor_messages(weights, column, constants, rotated[kind], part.edges, of_part)
                column += n_channels
        result: Features = {}
        for kind, block in zip(self.places, gathered.split(list(self.places.values()), dim=1), strict=True):
            total = block + added[kind] if kind in added else block
            result[kind] = total.reshape(n_orbits, 2 * degree_of(kind) + 1, -1).transpose(0, 1)
        return result

    def _weights(self, features: TorchTensor, workspace: Workspace) -> Floats32:
        """Weights of edges without their constants, [n_edges, n_weights]."""
        n_edges = len(features)
        first = workspace.take("first", n_edges, len(self.first_constant))
        hidden = workspace.take("hidden", n_edges, len(self.first_constant))
        weights = workspace.take("weights", n_edges, len(self.second_constant))
        torch.mm(features, self.first, out=first)
        silu_of(first.numpy(), self.first_constant, hidden.numpy())
        torch.mm(hidden, self.second, out=weights)
        result: Floats32 = weights.numpy()
        return result

    def _rotated(self, tensors: Features, batch: OrbitBatch, workspace: Workspace) -> dict[str, Floats32]:
        """Mixed tensors of all atoms, those of their orbits' first atoms rotated, [n_atoms, (2l + 1) channels]."""
        rotated: dict[str, Floats32] = {}
        for kind, mixed in self.layer.before(tensors).items():
            of_orbits = mixed.transpose(0, 1).flatten(1).contiguous().numpy()
            atoms, first = _atoms(kind, batch)
            result = workspace.take(f"rotated {kind}", len(atoms.orbit), of_orbits.shape[1]).numpy()
            rotate_rows(of_orbits, 2 * degree_of(kind) + 1, atoms, first, result)
            rotated[kind] = result
        return rotated


class _CompiledUpdate:
    """A gated update whose products of tensors are one loop over the coupling coefficients that are not zero."""

    def __init__(self, layer: GatedUpdate) -> None:
        self.layer, self.coupling = layer, cast("AtomCoupling", layer.coupling)
        self.kinds, self.before, self.after = self.coupling.kinds, self.coupling.before, self.coupling.after
        n_paths = Counter(kind for _, _, results in self.coupling.pairs for kind in results)
        self.sizes = {kind: (2 * degree_of(kind) + 1, LANES * n) for kind, n in n_paths.items()}
        self.products, self.terms = self._terms()

    def __call__(self, old: Features, message: Features) -> Features:
        """Features [2l + 1, n_orbits, channels_out], as of the layer."""
        mixed = self.before(message)
        rows = torch.cat([mixed[kind].transpose(0, 1).flatten(1) for kind in self.kinds], dim=1)
        lengths = [size * width for size, width in self.sizes.values()]
        coupled = torch.empty(len(rows), sum(lengths))
        couple(rows.numpy(), self.products, self.terms, coupled.numpy())
        products: Features = {}
        for kind, part in zip(self.sizes, coupled.split(lengths, dim=1), strict=True):
            products[kind] = part.view(len(rows), *self.sizes[kind]).transpose(0, 1)
        return self.layer.add_and_gate(old, message, self.after(products))

    def _terms(self) -> tuple[Unsigned, tuple[Unsigned, Floats32]]:
        """Pairs of components with the range of their terms, and place and coefficient of each term."""
        coupling = self.coupling
        first_of, begin_of = (
            _starts({kind: 2 * degree_of(kind) + 1 for kind in self.kinds}),
            _starts({kind: size * width for kind, (size, width) in self.sizes.items()}),
        )
        n_before = dict.fromkeys(self.sizes, 0)
        products, places, coefficients = [], list[int](), list[float]()
        for a, b, results in coupling.pairs:
            matrix, rows = coupling.get_buffer(f"coupling_{a}_{b}").numpy(), list[int]()
            for kind in results:
                size, width = self.sizes[kind]
                start = begin_of[kind] + LANES * n_before[kind]
                rows += range(start, start + size * width, width)
                n_before[kind] += 1
            for column, coefficients_of_pair in enumerate(matrix.T):
                chosen = np.flatnonzero(np.abs(coefficients_of_pair) > _NO_COUPLING)
                i, j = divmod(column, 2 * degree_of(b) + 1)
                products.append((first_of[a] + i, first_of[b] + j, len(places), len(places) + len(chosen)))
                places += [rows[row] for row in chosen]
                coefficients += coefficients_of_pair[chosen].tolist()
        terms = np.array(places, dtype=np.uint64), np.array(coefficients, dtype=np.float32)
        return np.array(products, dtype=np.uint64), terms


def _starts(lengths: dict[str, int]) -> dict[str, int]:
    """Where each kind begins in a row that holds all of them."""
    ends = list(accumulate(lengths.values(), initial=0))
    return dict(zip(lengths, ends[:-1], strict=True))


def _blocks(channels: Channels) -> tuple[Unsigned, dict[str, int]]:
    """Where eight channels of a message times a harmonic go, [n_blocks, 3], and how many places each kind has."""
    places = {kind: (2 * degree_of(kind) + 1) * n for kind, n in channels.items()}
    first_place, first_channel = _starts(places), _starts(dict(channels))
    blocks = []
    for kind, n_channels in channels.items():
        for harmonic in range(degree_of(kind) ** 2, (degree_of(kind) + 1) ** 2):
            row = first_place[kind] + (harmonic - degree_of(kind) ** 2) * n_channels
            blocks += [(harmonic, first_channel[kind] + c, row + c) for c in range(0, n_channels, LANES)]
    return np.array(blocks, dtype=np.uint64), places


def _for_product(weight: TorchTensor) -> TorchTensor:
    """Weights of a linear map as the second factor of a matrix product."""
    return weight.T.contiguous()


def _atoms(kind: str, batch: OrbitBatch) -> tuple[Atoms, int]:
    """The atoms with the signs of a kind's parity, and the first column of its matrices."""
    degree = degree_of(kind)
    is_natural = kind[-1] == "eo"[degree % 2]
    return batch.natural if is_natural else batch.other, sum((2 * k + 1) ** 2 for k in range(1, degree))


def _mean(kind: str, values: TorchTensor, batch: OrbitBatch) -> TorchTensor:
    """Mean of a kind of features over the atoms of each crystal, [2l + 1, n_crystals, channels]."""
    size = 2 * degree_of(kind) + 1
    if size == 1:
        return _mean_of_scalars(values[0], batch)[None]
    rows = values.transpose(0, 1).flatten(1).contiguous()
    result = torch.zeros(batch.n_crystals, rows.shape[1])
    atoms, first = _atoms(kind, batch)
    mean_of_atoms(rows.numpy(), size, atoms, first, result.numpy())
    return result.view(batch.n_crystals, size, -1).transpose(0, 1)


def _mean_of_scalars(values: TorchTensor, batch: OrbitBatch) -> TorchTensor:
    """Mean over the atoms of each crystal, [n_orbits, channels] -> [n_crystals, channels]."""
    weighted = values * torch.from_numpy(batch.share_of_orbit)[:, None]
    result = torch.zeros(batch.n_crystals, values.shape[1])
    return result.index_add_(0, torch.from_numpy(batch.crystal_of_orbit), weighted)


def _affine(norm: torch.nn.BatchNorm1d) -> tuple[TorchTensor, TorchTensor]:
    """Slope and constant of a batch norm in inference."""
    slope = norm.weight / torch.sqrt(cast("TorchTensor", norm.running_var) + norm.eps)
    return slope, norm.bias - slope * cast("TorchTensor", norm.running_mean)


def _table(centers: TorchTensor, gamma: float, weight: TorchTensor, constant: TorchTensor) -> tuple[Floats32, float]:
    """Values and derivatives times the step of a linear map of Gaussians, from 0 on, and the step."""
    middle, width = centers.double().numpy(), (2 * gamma) ** -0.5
    step = width / _STEPS_PER_WIDTH
    offset = np.arange(0.0, middle[-1] + _BEYOND_WIDTHS * width + step, step)[:, None] - middle
    gaussians, rows = np.exp(-gamma * offset**2), weight.double().numpy().T
    values = gaussians @ rows + constant.double().numpy()
    return np.stack([values, step * (-2 * gamma * offset * gaussians) @ rows], axis=1).astype(np.float32), step
