"""Stiffness of nets of beams by a trained network: weights as safetensors, card as JSON beside them.

The elastic head gives X of C = B^1/2 X B^1/2 in Mandel form, B the stiffness after one step of relaxation, which sums
over struts and nodes give (models/beam_lattice/bounds.py). X says how far a net relaxes beyond that: it is positive
definite for every net, and so is C.
"""

from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor as TorchTensor

from models.beam_lattice.bounds import one_step
from models.beam_lattice.net import BeamNets, Floats
from models.gmtnet.beam_lattice.graph import EDGE_SCALARS, graph_of_nets
from models.gmtnet.config import GMTNetConfig, ProductKind
from models.gmtnet.invariants import mandel_rows
from models.gmtnet.network import GMTNet, build_network
from models.gmtnet.torch_graph import TorchGraph
from models.pinned_weights import misfit, read_pinned, unreadable, write_pinned
from models.quantities import Tensor
from models.tensors.voigt import mandel_to_stiffness_voigt, stiffness_voigt_to_mandel

SHIPPED = Path(__file__).parents[2] / "weights" / "beam-lattice.json"
"""The network that comes with the program."""

_MESSAGES = "16x0e+8x1o+8x2e+8x3o+8x4e"
NETWORK = GMTNetConfig(
    channels=32,
    radial_range=(0.3, 2.0),  # lengths in units of the cube root of the volume per node
    n_radial=24,
    edge_channels=32,
    message_irreps=(_MESSAGES, _MESSAGES, _MESSAGES),
    # what nodes do under a strain: displacements are vectors, rotations pseudovectors
    hidden_irreps="16x0e+8x1o+8x1e+8x2e+8x2o+8x3o+8x3e+8x4e",
    coupling_channels=4,
    product=ProductKind.DIRECTED,
    tensors=(Tensor.ELASTIC,),
    scalars=(),
    n_edge_scalars=len(EDGE_SCALARS),
)
"""A narrow network that passes on forces along struts, with radii as edge features."""

_NETS_AT_A_TIME = 64


@dataclass(frozen=True)
class LatticeCard:
    """Identity of a network of nets, and how it came about.

    Attributes:
        name, version: together its identity.
        sha256: of the weights.
        config: of the network.
        training: data, split, seed, epochs.
        metrics: errors on kept-out nets.
    """

    name: str
    version: str
    sha256: str
    config: GMTNetConfig
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def densities(self) -> tuple[float, float]:
        """Lowest and highest relative density of the nets in training."""
        low, high = self.training["config"]["choice"]["densities"]
        return low, high


@dataclass(frozen=True)
class LatticePredictor:
    """A trained network with its card."""

    network: GMTNet
    card: LatticeCard

    @property
    def identity(self) -> str:
        """`NAME@VERSION`."""
        return f"{self.card.name}@{self.card.version}"

    @torch.inference_mode()
    def predict(self, nets: BeamNets) -> Floats:
        """C_IJ / E_s of nets with rigid joints, shape [n_nets, 6, 6]; positive definite."""
        density, dtype = nets.relative_density[:, None, None], next(self.network.parameters()).dtype
        step = one_step(nets)
        roots = matrix_root(stiffness_voigt_to_mandel(step.stiffness_voigt) / density)
        parts = []
        for start in range(0, nets.n_nets, _NETS_AT_A_TIME):
            chosen = np.arange(start, min(start + _NETS_AT_A_TIME, nets.n_nets))
            unbalanced = step.unbalanced[nets.rows(chosen)[0]]
            relaxation = relaxations(self.network, graph_of_nets(nets.select(chosen), unbalanced, dtype))
            # in float64: the product of soft and stiff directions must not lose what is soft
            parts.append(roots[chosen] @ relaxation.double().numpy() @ roots[chosen])
        stiffness = np.concatenate([*parts, np.zeros((0, 6, 6))])
        return mandel_to_stiffness_voigt((stiffness + np.swapaxes(stiffness, 1, 2)) / 2 * density)


def relaxations(network: GMTNet, graph: TorchGraph) -> TorchTensor:
    """X of each net in Mandel form, [n_nets, 6, 6]."""
    components = network(graph)[Tensor.ELASTIC]
    rows = torch.as_tensor(mandel_rows(Tensor.ELASTIC)).to(components)
    matrices: TorchTensor = (components @ rows).view(-1, 6, 6)
    return matrices


def matrix_root(matrices: Floats, exponent: float = 0.5) -> Floats:
    """Power of symmetric positive definite matrices, [n, 6, 6]."""
    values, vectors = np.linalg.eigh(matrices)
    root: Floats = (vectors * values[:, None] ** exponent) @ np.swapaxes(vectors, 1, 2)
    return root


@lru_cache(maxsize=2)
def load_lattice_predictor(path: Path = SHIPPED) -> LatticePredictor:
    """Reads a network of nets.

    Args:
        path: NAME.json with NAME.safetensors beside it.

    Raises:
        ModelError: files are missing, damaged, or do not fit each other.
    """
    text = read_pinned(path, "network")
    try:
        card = LatticeCard(**{**text, "config": GMTNetConfig.from_json(text["config"])})
    except (TypeError, KeyError) as error:
        raise unreadable(path, "network", error) from error
    try:
        network = build_network(card.config)
        network.load_state_dict(load_file(path.with_suffix(".safetensors")))
    except (RuntimeError, SafetensorError) as error:
        raise misfit(path, error) from error
    return LatticePredictor(network.eval().requires_grad_(requires_grad=False), card)


def save_lattice_predictor(network: GMTNet, card: LatticeCard, folder: Path) -> LatticeCard:
    """Writes weights and card of a network of nets; returns the card with the sha256 of the weights."""
    load_lattice_predictor.cache_clear()
    state = {name: value.detach().contiguous() for name, value in network.state_dict().items()}
    plain = {**asdict(card), "config": card.config.to_json()}
    pinned = write_pinned(folder / f"{card.name}.json", plain, lambda weights: save_file(state, weights))
    return replace(card, sha256=pinned["sha256"])
