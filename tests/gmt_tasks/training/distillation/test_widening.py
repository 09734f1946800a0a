"""A network of twice the channels says what the narrow one says, and its copies learn different things."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gmt_tasks.training.distillation.widening import doubled, doubled_config
from models.crystals.graph import build_graph
from models.gmtnet.config import GMTNET, GMTNET_WIDE, GMTNetConfig
from models.gmtnet.network import GMTNet, Outputs, build_network
from models.gmtnet.torch_graph import TorchGraph
from models.symmetry.orbits import reduce_to_orbits
from models.testing.contract import textbook_crystals

SMALL = GMTNetConfig(
    channels=8,
    edge_channels=8,
    n_relative=4,
    message_irreps=("8x0e+8x1o+8x2e+8x3o+8x4e",) * 2,
    hidden_irreps="8x0e+8x1o+8x2e+8x2o+8x3o+8x4e",
    spreads=("k_vrh_gpa", "g_vrh_gpa"),
)
CRYSTALS = textbook_crystals().crystals.select(np.arange(6))
GRAPH = TorchGraph.from_graph(
    reduce_to_orbits(CRYSTALS, build_graph(CRYSTALS, SMALL.graph), dtype=np.float64), "cpu", torch.float64
)


def outputs(network: GMTNet) -> Outputs:
    with torch.no_grad():
        return network(GRAPH)


@pytest.fixture(scope="module")
def narrow() -> GMTNet:
    torch.manual_seed(0)
    network = build_network(SMALL, torch.float64).double().train()
    outputs(network)  # running means of its norms move away from those of a fresh network
    return network.eval()


def wide_of(narrow: GMTNet, seed: int = 1) -> GMTNet:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return doubled(narrow, seed)
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("training", [False, True])
def test_the_wide_network_says_what_the_narrow_one_says(narrow: GMTNet, training: bool) -> None:
    wide, given = wide_of(narrow).train(training), outputs(narrow.train(training))
    for name, values in outputs(wide).items():
        np.testing.assert_allclose(values.numpy(), given[name].numpy(), rtol=1e-9, atol=1e-9)
    narrow.eval()
    with torch.no_grad():  # control: another weight, another answer
        wide.embedding.learned.weight.add_(0.01)
    assert not np.allclose(outputs(wide)["elastic_voigt"], given["elastic_voigt"], rtol=1e-6)


def test_copies_of_a_channel_get_different_gradients(narrow: GMTNet) -> None:
    wide = wide_of(narrow).train()
    loss = torch.stack([values.square().mean() for values in wide(GRAPH).values()]).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    first, second = wide.embedding.from_descriptors.weight.grad.chunk(2)
    assert float((first - second).abs().max()) > 1e-3 * float(first.abs().max())


def test_the_wide_configuration_is_the_doubled_default() -> None:
    assert doubled_config(GMTNET) == GMTNET_WIDE
    assert doubled_config(replace(GMTNET, channels=32, edge_channels=32)) == GMTNET
