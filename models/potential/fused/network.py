"""SevenNet's network with its convolutions fused and its channels side by side: the same numbers, many times faster.

Irreps, instructions, normalisations and weights are read from the network that `sevenn` builds; what is repeated here
is the order of its modules. Constants are multiplied into the weights beside them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import silu

from models.potential.fused.pairs import Pairs
from models.potential.fused.tensor_product import Path, TensorProduct

Matrices = list[torch.Tensor]


def _channels(irreps: Any) -> tuple[int, ...]:
    """Channels with l = 0, 1, ..."""
    channels = [0] * (irreps.lmax + 1)
    for mul, ir in irreps:
        channels[ir.l] += mul
    return tuple(channels)


def _first_channel(irreps: Any, entry: int) -> int:
    """Where an entry of irreps begins among the channels of its l."""
    return sum(mul for mul, ir in irreps[:entry] if ir.l == irreps[entry].ir.l)


def _matrices(linear: Any) -> Matrices:
    """An equivariant linear layer as one matrix [channels in, channels out] for each l that both sides have."""
    shapes = zip(_channels(linear.irreps_in), _channels(linear.irreps_out), strict=False)
    matrices = [torch.zeros(shape, dtype=linear.weight.dtype) for shape in shapes]
    for _, instruction, weight in linear.weight_views(yield_instruction=True):
        row = _first_channel(linear.irreps_in, instruction.i_in)
        column = _first_channel(linear.irreps_out, instruction.i_out)
        block = matrices[linear.irreps_in[instruction.i_in].ir.l][row:, column:]
        block[: weight.shape[0], : weight.shape[1]] = weight * instruction.path_weight
    return matrices


class _Coupling:
    """T of all paths up to an l, as a linear function of the spherical harmonics of an edge.

    Attributes:
        matrix: shape [(lmax + 1)^2, t_size].
        begin: the first column of l1 x l2 -> l3.
    """

    def __init__(self, lmax: int, dtype: torch.dtype) -> None:
        from e3nn.o3 import wigner_3j

        self.begin: dict[tuple[int, ...], int] = {}
        blocks, width = [], 0
        for l1, l2, l3 in np.ndindex(lmax + 1, lmax + 1, lmax + 1):
            if abs(l1 - l2) <= l3 <= l1 + l2:
                block = torch.zeros((lmax + 1) ** 2, (2 * l1 + 1) * (2 * l3 + 1), dtype=torch.float64)
                coefficients = wigner_3j(l1, l2, l3, dtype=torch.float64)
                block[l2**2 : (l2 + 1) ** 2] = coefficients.transpose(0, 1).reshape(2 * l2 + 1, -1)
                self.begin[l1, l2, l3] = width
                blocks.append(block)
                width += block.shape[1]
        self.matrix = torch.cat(blocks, dim=1).to(dtype)


def _paths(product: Any, coupling: _Coupling) -> tuple[list[Path], list[int], torch.Tensor]:
    """Paths of a tensor product of e3nn, sorted by l1.

    Returns:
        The paths, and for each of their weights which of e3nn's it is and the factor of its path.
    """
    muls = [product.irreps_in1[each.i_in1].mul for each in product.instructions]
    begin = np.cumsum([0, *muls])
    paths: list[Path] = []
    order: list[int] = []
    factors: list[float] = []
    for k in sorted(range(len(muls)), key=lambda k: int(product.instructions[k].i_in1)):
        instruction = product.instructions[k]
        l1, l2 = product.irreps_in1[instruction.i_in1].ir.l, product.irreps_in2[instruction.i_in2].ir.l
        l3 = product.irreps_out[instruction.i_out].ir.l
        channel = _first_channel(product.irreps_out, instruction.i_out)
        paths.append(Path(l1, l2, l3, coupling.begin[l1, l2, l3], len(order), channel))
        order += range(begin[k], begin[k + 1])
        factors += [instruction.path_weight] * muls[k]
    return paths, order, torch.tensor(factors, dtype=torch.float64)


class _Block(NamedTuple):
    """One interaction block.

    Attributes:
        radial: from the embedded distance of a pair to the weights of its paths.
        before: for each l, self-interaction and self-connection side by side.
        convolved: channels with l = 0, 1, ... that the self-interaction gives to the convolution.
        product: the convolution.
        results: its channels.
        after: for each l, from them to what enters the gate.
        gated: channels that leave it.
        scales: normalisation of the activations of scalars and of gates.
    """

    radial: Matrices
    before: Matrices
    convolved: tuple[int, ...]
    product: TensorProduct
    results: tuple[int, ...]
    after: Matrices
    gated: tuple[int, ...]
    scales: tuple[float, ...]


def _block(modules: dict[str, Any], t: int, coupling: _Coupling) -> _Block:
    """The t-th interaction block."""
    convolution, gate = modules[f"{t}_convolution"], modules[f"{t}_equivariant_gate"].gate
    product = convolution.convolution
    paths, order, factors = _paths(product, coupling)
    radial, factor = [], 1.0
    for layer in convolution.weight_nn:
        radial.append(layer.weight * (factor * (layer.var_out / (layer.h_in * layer.var_in)) ** 0.5))
        # an activation's normalisation goes into the next layer
        factor = float(layer.act.cst) if layer.act is not None else 1.0
    radial[-1] = (radial[-1][:, order] * factors).to(radial[-1].dtype)
    connection = _matrices(modules[f"{t}_self_connection_intro"].linear)
    before = _matrices(modules[f"{t}_self_interaction_1"].linear)
    for degree, matrix in enumerate(connection):
        before[degree] = torch.cat([before[degree], matrix], dim=1)
    convolved, results = _channels(product.irreps_in1), _channels(product.irreps_out)
    after = [matrix / convolution.denominator for matrix in _matrices(modules[f"{t}_self_interaction_2"].linear)]
    activations = (gate.act_scalars.acts, gate.act_gates.acts)
    scales = tuple(float(acts[0].cst) if len(acts) else 1.0 for acts in activations)
    convolve = TensorProduct.of(paths, convolved, results, coupling.matrix.shape[1])
    return _Block(radial, before, convolved, convolve, results, after, _channels(gate.irreps_out), scales)


class FusedNetwork:
    """SevenNet's network on a CPU.

    Args:
        network: as `sevenn` builds it, with its weights.
    """

    def __init__(self, network: Any) -> None:
        modules = dict(network.named_children())
        self._embedding = modules["edge_embedding"]
        (self._species,) = _matrices(modules["onehot_to_feature_x"].linear)
        self._coupling = _Coupling(self._embedding.spherical.lmax, self._species.dtype)
        n_blocks = sum(name.endswith("_convolution") for name in modules)
        self._blocks = [_block(modules, t, self._coupling) for t in range(n_blocks)]
        (hidden,), (energy,) = (
            _matrices(modules[f"reduce_{step}"].linear) for step in ("input_to_hidden", "hidden_to_energy")
        )
        self._readout = hidden @ energy
        self._rescale = modules["rescale_atomic_energy"]

    def atomic_energies(self, vectors: torch.Tensor, rows: torch.Tensor, pairs: Pairs) -> torch.Tensor:
        """Energy of each atom in eV, float64, shape [n_atoms].

        Args:
            vectors: of the pairs in angstrom, shape [n_pairs, 3].
            rows: of the atoms' elements in the network's tables, shape [n_atoms].
            pairs: of atoms.
        """
        edges = self._embedding({"edge_vec": vectors})
        t = edges["edge_attr"] @ self._coupling.matrix
        features = [self._species[rows]]
        for block in self._blocks:
            w = edges["edge_embedding"]
            for matrix in block.radial[:-1]:
                w = silu(w @ matrix)
            features = _interact(block, features, t, w @ block.radial[-1], pairs)
        # the shift is large beside the rest: single precision ends here
        scaled = (features[0] @ self._readout).squeeze(1).double()
        energies: torch.Tensor = scaled * self._rescale.scale[rows].double() + self._rescale.shift[rows].double()
        return energies


def _interact(
    block: _Block, features: Sequence[torch.Tensor], t: torch.Tensor, w: torch.Tensor, pairs: Pairs
) -> list[torch.Tensor]:
    """Features after a block, for each l of shape [n_atoms * (2 l + 1), channels]."""
    n_atoms = len(pairs.starts) - 1
    mixed = [each @ matrix for each, matrix in zip(features, block.before, strict=True)]
    x = torch.cat([each[:, :n].reshape(-1) for each, n in zip(mixed, block.convolved, strict=True)])
    sizes = [n_atoms * (2 * degree + 1) * n for degree, n in enumerate(block.results)]
    convolved = torch.split(block.product(x, t, w, pairs), sizes)
    updated = []
    for degree, (part, n, matrix) in enumerate(zip(convolved, block.results, block.after, strict=True)):
        update = part.view(-1, n) @ matrix
        if degree < len(mixed):  # the first block has nothing but scalars to connect to
            update = update + mixed[degree][:, block.convolved[degree] :]
        updated.append(update)
    scalars = silu(updated[0][:, : block.gated[0]]) * block.scales[0]
    gates = torch.split(silu(updated[0][:, block.gated[0] :]) * block.scales[1], [*block.gated[1:]], dim=1)
    gated = [scalars]
    for n, gate, each in zip(block.gated[1:], gates, updated[1:], strict=True):
        gated.append((each.view(n_atoms, -1, n) * gate[:, None]).view(-1, n))
    return gated
