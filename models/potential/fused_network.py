"""SevenNet's network with its convolutions fused and its channels side by side: the same numbers, many times faster.

Everything is read from the network that `sevenn` builds (irreps, instructions, normalisations, weights); nothing about
its architecture is repeated here but the order of its modules. Constants are folded into the neighbouring weights.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import silu

from models.crystals.neighbors import Neighbors
from models.potential.tensor_product import Edges, Path, TensorProduct

Ints = NDArray[np.int64]


class Pairs(NamedTuple):
    """Pairs of atoms within the cutoff, each once, and the edges in both directions.

    Attributes:
        neighbors: one direction of each pair.
        edges: both.
    """

    neighbors: Neighbors
    edges: Edges

    @staticmethod
    def of(neighbors: Neighbors, n_atoms: int) -> "Pairs":
        """Pairs from neighbors that name each of them in both directions."""
        sign = np.sign(neighbors.vector)
        # an atom and its own image: of two opposite vectors the one whose first component that is not 0 is positive
        forward = (sign @ [4.0, 2.0, 1.0]) > 0
        same = neighbors.center == neighbors.neighbor
        once = neighbors.take((neighbors.center < neighbors.neighbor) | (same & forward))
        n_pairs = len(once.center)
        target = np.concatenate([once.center, once.neighbor])
        source = np.concatenate([once.neighbor, once.center])
        order = np.argsort(target, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=n_atoms))])
        return Pairs(once, Edges(starts, source[order], order % max(n_pairs, 1), order >= n_pairs))


class _Layer(NamedTuple):
    """One interaction block.

    Attributes:
        radial: weights of the network from an edge's length to the weights of its paths.
        before: per l, of self-interaction and self-connection side by side, [channels, n_convolved + n_gate].
        convolved: channels of the features that are convolved, per l.
        product: the convolution.
        result: its channels per l.
        after: per l, from them to what goes into the gate.
        gate_scale: normalisation of the activations of scalars and gates.
        channels: of the layer's features, per l.
    """

    radial: list[torch.Tensor]
    before: list[torch.Tensor]
    convolved: tuple[int, ...]
    product: TensorProduct
    result: tuple[int, ...]
    after: list[torch.Tensor]
    gate_scale: tuple[float, float]
    channels: tuple[int, ...]


def _channels(irreps: Any) -> tuple[int, ...]:
    """Channels per l."""
    return tuple(sum(mul for mul, ir in irreps if ir.l == l) for l in range(irreps.lmax + 1))


def _matrices(linear: Any) -> list[torch.Tensor]:
    """An equivariant linear layer as one matrix [channels in, channels out] per l of the result."""
    sizes_in, sizes_out = _channels(linear.irreps_in), _channels(linear.irreps_out)
    pairs = zip(sizes_in, sizes_out, strict=False)  # an l that only one side has gets nothing
    matrices = [torch.zeros(n, m, dtype=linear.weight.dtype) for n, m in pairs]
    for _, instruction, weight in linear.weight_views(yield_instruction=True):
        l = linear.irreps_out[instruction.i_out].ir.l
        rows = _first_channel(linear.irreps_in, instruction.i_in)
        columns = _first_channel(linear.irreps_out, instruction.i_out)
        part = matrices[l][rows : rows + weight.shape[0], columns : columns + weight.shape[1]]
        part += weight * instruction.path_weight
    return matrices


def _first_channel(irreps: Any, entry: int) -> int:
    """Where among the channels of its l an entry of irreps begins."""
    l = irreps[entry].ir.l
    return sum(mul for mul, ir in irreps[:entry] if ir.l == l)


class _Coupling:
    """T of all paths: where each l1 x l2 -> l3 begins and the matrix that makes it from spherical harmonics."""

    def __init__(self, lmax: int, dtype: torch.dtype) -> None:
        from e3nn.o3 import wigner_3j

        self.begin: dict[tuple[int, int, int], int] = {}
        columns = []
        width = 0
        for l1, l2, l3 in np.ndindex(lmax + 1, lmax + 1, lmax + 1):
            if abs(l1 - l2) <= l3 <= l1 + l2:
                self.begin[l1, l2, l3] = width
                coefficients = wigner_3j(l1, l2, l3, dtype=torch.float64)
                block = torch.zeros((lmax + 1) ** 2, (2 * l1 + 1) * (2 * l3 + 1), dtype=torch.float64)
                block[l2**2 : (l2 + 1) ** 2] = coefficients.transpose(0, 1).reshape(2 * l2 + 1, -1)
                columns.append(block)
                width += block.shape[1]
        self.matrix = torch.cat(columns, dim=1).to(dtype)


def _layer(network: Any, t: int, coupling: _Coupling) -> _Layer:
    module = network._modules
    convolution = module[f"{t}_convolution"]
    product = convolution.convolution
    paths, scales, order = [], [], []
    begin = np.concatenate([[0], np.cumsum([product.irreps_in1[i.i_in1].mul for i in product.instructions])])
    width = 0
    for k in sorted(range(len(product.instructions)), key=lambda k: product.instructions[k].i_in1):
        instruction = product.instructions[k]
        l1, l2, l3 = (
            product.irreps_in1[instruction.i_in1].ir.l,
            product.irreps_in2[instruction.i_in2].ir.l,
            product.irreps_out[instruction.i_out].ir.l,
        )
        channel = _first_channel(product.irreps_out, instruction.i_out)
        paths.append(Path(l1, l2, l3, coupling.begin[l1, l2, l3], width, channel))
        mul = product.irreps_in1[instruction.i_in1].mul
        order += range(begin[k], begin[k + 1])
        scales += [instruction.path_weight] * mul
        width += mul
    intro, interaction = _matrices(module[f"{t}_self_connection_intro"].linear), _matrices(
        module[f"{t}_self_interaction_1"].linear
    )
    before = []
    for l, matrix in enumerate(interaction):
        before.append(torch.cat([matrix, intro[l]], dim=1) if l < len(intro) else matrix)
    gate = module[f"{t}_equivariant_gate"].gate
    acts = [gate.act_scalars.acts, gate.act_gates.acts]
    scale = [float(a[0].cst) if len(a) else 1.0 for a in acts]
    after = [m / convolution.denominator for m in _matrices(module[f"{t}_self_interaction_2"].linear)]
    channels, result = _channels(product.irreps_in1), _channels(product.irreps_out)
    radial = []
    factor = 1.0
    for layer in convolution.weight_nn:
        radial.append(factor * layer.weight / (layer.h_in * layer.var_in) ** 0.5 * layer.var_out**0.5)
        factor = float(layer.act.cst) if layer.act is not None else 1.0
    radial[-1] = radial[-1][:, order] * torch.tensor(scales, dtype=radial[-1].dtype)
    return _Layer(
        radial,
        before,
        channels,
        TensorProduct.of(paths, channels, result, coupling.matrix.shape[1]),
        result,
        after,
        (scale[0], scale[1]),
        _channels(gate.irreps_out),
    )


class FusedNetwork:
    """SevenNet's network on a CPU.

    Args:
        network: as `sevenn` builds it, with its weights.
    """

    def __init__(self, network: Any) -> None:
        modules = network._modules
        self.embedding = modules["edge_embedding"]
        weight = modules["onehot_to_feature_x"].linear
        self.dtype = weight.weight.dtype
        self.coupling = _Coupling(self.embedding.spherical.lmax, self.dtype)
        (self.species,) = _matrices(weight)
        n_layers = sum(name.endswith("_convolution") for name in modules)
        self.layers = [_layer(network, t, self.coupling) for t in range(n_layers)]
        (hidden,) = _matrices(modules["reduce_input_to_hidden"].linear)
        (energy,) = _matrices(modules["reduce_hidden_to_energy"].linear)
        self.readout = hidden @ energy
        self.rescale = modules["rescale_atomic_energy"]

    def atomic_energies(self, vectors: torch.Tensor, rows: torch.Tensor, edges: Edges) -> torch.Tensor:
        """Energy of each atom in eV, float64, shape [n_atoms].

        Args:
            vectors: of the pairs in angstrom, shape [n_pairs, 3].
            rows: of the atoms' elements in the network's tables, shape [n_atoms].
            edges: in both directions.
        """
        data = self.embedding({"edge_vec": vectors})
        t = data["edge_attr"] @ self.coupling.matrix
        x = [self.species[rows]]
        for layer in self.layers:
            x = self._interact(layer, x, data["edge_embedding"], t, edges)
        scaled = (x[0] @ self.readout).squeeze(1).double()
        return scaled * self.rescale.scale[rows].double() + self.rescale.shift[rows].double()

    def _interact(
        self, layer: _Layer, x: list[torch.Tensor], lengths: torch.Tensor, t: torch.Tensor, edges: Edges
    ) -> list[torch.Tensor]:
        """Features after a layer, per l [n_atoms * (2 l + 1), channels]."""
        w = lengths
        for matrix in layer.radial[:-1]:
            w = silu(w @ matrix)
        w = w @ layer.radial[-1]
        n_atoms = len(edges.starts) - 1
        mixed = [features @ matrix for features, matrix in zip(x, layer.before, strict=True)]
        flat = torch.cat([m[:, :n].reshape(-1) for m, n in zip(mixed, layer.convolved, strict=True)])
        convolved = layer.product(flat, t, w, edges)
        sizes = [n_atoms * (2 * l + 1) * n for l, n in enumerate(layer.result)]
        after = []
        for l, (part, n, matrix) in enumerate(zip(convolved.split(sizes), layer.result, layer.after, strict=True)):
            sum_ = part.view(-1, n) @ matrix
            after.append(sum_ + mixed[l][:, layer.convolved[l] :] if l < len(mixed) else sum_)
        scalars = silu(after[0][:, : layer.channels[0]]) * layer.gate_scale[0]
        if len(layer.channels) == 1:
            return [scalars]
        gates = (silu(after[0][:, layer.channels[0] :]) * layer.gate_scale[1]).split(layer.channels[1:], dim=1)
        gated = []
        for features, gate, n in zip(after[1:], gates, layer.channels[1:], strict=True):
            gated.append((features.view(n_atoms, -1, n) * gate[:, None]).view(-1, n))
        return [scalars, *gated]
