"""The network on nets: covariant and positive definite with any weights, radii as edge features, files with cards."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.beam_lattice.bounds import one_step
from models.beam_lattice.net import BeamNets, Floats
from models.beam_lattice.reference_nets import REFERENCE_NETS, reference_net
from models.errors import ModelError
from models.gmtnet.beam_lattice.graph import EDGE_SCALARS, edge_scalars, graph_of_nets
from models.gmtnet.beam_lattice.predictor import (
    NETWORK,
    LatticeCard,
    LatticePredictor,
    load_lattice_predictor,
    save_lattice_predictor,
)
from models.gmtnet.compiled.network import can_compile
from models.gmtnet.config import GMTNET, GMTNetConfig
from models.gmtnet.network import GMTNet, build_network
from models.quantities import Tensor
from models.tensors.rotate import rotate
from models.tensors.voigt import stiffness_voigt_to_mandel
from tests.models.beam_lattice.nets import crooked, doubled, in_frame, relabelled


@pytest.fixture(scope="module")
def predictor() -> LatticePredictor:
    """Fresh weights in float64, which is where equivariance is exact."""
    torch.manual_seed(3)
    network = build_network(NETWORK, torch.float64).eval().requires_grad_(requires_grad=False)
    return LatticePredictor(network, LatticeCard("made", "0", "", NETWORK))


def difference(first: Floats, second: Floats) -> float:
    """Largest difference over the largest entry."""
    return float(np.abs(first - second).max() / np.abs(first).max())


def test_predictions_rotate_with_the_net(predictor: LatticePredictor) -> None:
    net = crooked()
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    before, after = (predictor.predict(one)[0] for one in (net, in_frame(net, rotation)))
    assert difference(rotate(Tensor.ELASTIC, before, rotation), after) < 1e-9
    assert difference(before, after) > 1e-3


def test_predictions_are_those_of_the_net_and_not_of_its_description(predictor: LatticePredictor) -> None:
    net = crooked()
    expected = predictor.predict(net)[0]
    larger = in_frame(net, 5.0 * np.eye(3)).with_radius(5.0 * net.radius)
    for same in (doubled(net), larger, relabelled(net, np.array([1, 2, 0]))):
        assert difference(expected, predictor.predict(same)[0]) < 1e-9
    thicker = net.radius * np.where(np.arange(len(net.radius)) == 2, 1.5, 1.0)
    assert difference(expected, predictor.predict(net.with_radius(thicker))[0]) > 1e-3


def test_radii_reach_the_network_as_edge_features(predictor: LatticePredictor) -> None:
    net = crooked()
    graph = graph_of_nets(net, one_step(net).unbalanced, torch.float64)
    outputs = predictor.network(graph)[Tensor.ELASTIC]
    swapped = graph.edge_scalars
    assert swapped is not None
    other = predictor.network(replace(graph, edge_scalars=swapped.flip(0)))[Tensor.ELASTIC]
    assert not torch.allclose(outputs, other)
    assert tuple(swapped.shape) == (2 * len(net.radius), len(EDGE_SCALARS))


def test_the_share_of_solid_averages_to_that_of_a_node() -> None:
    net = crooked()
    degree = np.bincount(net.ends.ravel())
    share = edge_scalars(net, degree, np.zeros(len(degree)))[:, 3] * 0.5 + 1.0
    of_nodes = np.bincount(net.ends.T.ravel(), share) / degree
    assert of_nodes.mean() == pytest.approx(1.0)


def test_every_prediction_is_positive_definite(predictor: LatticePredictor) -> None:
    nets = BeamNets.join([reference_net(name, 0.01) for name in REFERENCE_NETS] + [crooked(k) for k in range(5)])
    values = np.linalg.eigvalsh(stiffness_voigt_to_mandel(predictor.predict(nets)))
    assert (values > 0).all()


def test_other_networks_know_nothing_of_edge_scalars() -> None:
    assert "n_edge_scalars" not in GMTNET.to_json()
    assert GMTNetConfig.from_json(NETWORK.to_json()) == NETWORK
    blocks = replace(GMTNET, n_edge_scalars=2)
    assert can_compile(GMTNet(GMTNET)) and not can_compile(GMTNet(blocks))
    assert not any("edge_scalars" in name for name in GMTNet(GMTNET).state_dict())


def test_weights_and_card_come_back_and_damage_is_refused(predictor: LatticePredictor, tmp_path: Path) -> None:
    network = build_network(NETWORK)
    card = save_lattice_predictor(network, LatticeCard("net", "1", "", NETWORK, {"seed": 1}), tmp_path)
    loaded = load_lattice_predictor(tmp_path / "net.json")
    assert loaded.card == card and loaded.identity == "net@1"
    nets = reference_net("kelvin")
    expected = LatticePredictor(network.eval(), card).predict(nets)
    assert difference(expected, loaded.predict(nets)) < 1e-6
    weights = tmp_path / "net.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    load_lattice_predictor.cache_clear()
    with pytest.raises(ModelError, match="not the file its card describes"):
        load_lattice_predictor(tmp_path / "net.json")
    with pytest.raises(ModelError, match="cannot be read"):
        load_lattice_predictor(tmp_path / "nothing.json")
