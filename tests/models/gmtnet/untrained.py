"""Networks with random weights, each made once: making one takes longer than running it."""

from functools import cache

import pytest
import torch

from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.graph import CrystalGraph, build_graph
from models.gmtnet.config import CONFIGS, GMTNetConfig
from models.gmtnet.network import GMTNet, build_network
from models.gmtnet.predictor import GMTNetPredictor
from models.gmtnet.torch_graph import TorchGraph
from models.quantities import Scalar, Tensor
from models.symmetry.orbits import OrbitGraph

EVERY_BACKBONE = pytest.mark.parametrize(
    "config", {config.product: config for config in reversed(CONFIGS.values())}.values(), ids=lambda c: c.product.value
)
"""The first configuration of each kind of backbone."""


@cache
def untrained(config: GMTNetConfig, dtype: torch.dtype = torch.float32) -> GMTNetPredictor:
    """A network that knows every element; do not change its weights."""
    return GMTNetPredictor.untrained(config, dtype=dtype)


@cache
def fresh_network(config: GMTNetConfig, dtype: torch.dtype = torch.float64) -> GMTNet:
    """A network in evaluation mode; copy it before you change it."""
    torch.manual_seed(0)
    return build_network(config, dtype).eval()


def run(
    network: GMTNet, crystals: CrystalBatch | CrystalGraph | OrbitGraph, dtype: torch.dtype = torch.float64
) -> dict[Tensor | Scalar, Floats]:
    """What a network says of crystals or of a graph of them: components of tensors and scalars, float64."""
    is_batch = isinstance(crystals, CrystalBatch)
    graph = build_graph(crystals, network.config.graph) if is_batch else crystals
    with torch.inference_mode():
        return {q: c.double().numpy() for q, c in network(TorchGraph.from_graph(graph, "cpu", dtype)).items()}
