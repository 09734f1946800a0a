"""The network itself: raw components, before any symmetrization."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from e3nn import o3

from models.crystal import CrystalBatch, Floats
from models.gmtnet.config import GMTNET, GMTNET_PAPER, GMTNetConfig, ProductKind, RadialKind
from models.gmtnet.layers import AtomCoupling, RadialFeatures, fade
from models.gmtnet.network import GMTNet, TorchGraph, build_network
from models.gmtnet.predictor import GMTNetPredictor
from models.graph import build_graph
from models.quantities import TENSORS, Tensor
from models.tensors.irreps import tensor_to_irreps
from models.tensors.rotate import component_rotation
from models.testing import textbook_crystals
from models.testing_crystals import random_orthogonal, transformed
from tests.models.gmtnet.untrained import untrained

CONFIGS = pytest.mark.parametrize("config", [GMTNET, GMTNET_PAPER], ids=["default", "paper"])
TEXTBOOK = textbook_crystals().crystals


def make(config: GMTNetConfig, dtype: torch.dtype = torch.float64) -> GMTNet:
    return untrained(config, dtype).network


def run(network: GMTNet, batch: CrystalBatch, dtype: torch.dtype = torch.float64) -> dict[Tensor, Floats]:
    graph = TorchGraph.from_graph(build_graph(batch, network.config.graph), "cpu", dtype)
    with torch.inference_mode():
        return {q: c.double().numpy() for q, c in network(graph).items()}


@CONFIGS
@pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])
def test_raw_components_turn_with_the_crystal_to_ten_digits(config: GMTNetConfig, sign: int) -> None:
    network = make(config)
    turn = sign * random_orthogonal(np.random.default_rng(2))
    before, after = run(network, TEXTBOOK), run(network, transformed(TEXTBOOK, turn))
    for quantity, components in before.items():
        expected = components @ component_rotation(quantity, turn).T
        assert np.abs(after[quantity] - expected).max() < 1e-10 * np.abs(expected).max()
        assert np.abs(after[quantity] - components).max() > 1e-3 * np.abs(expected).max()


def test_a_network_widened_after_it_was_made_is_equivariant_to_rounding_of_float32_only() -> None:
    """Negative control: why networks are built in their precision (see build_network)."""
    network = deepcopy(make(GMTNET, torch.float32)).double()
    turn = random_orthogonal(np.random.default_rng(2))
    before, after = run(network, TEXTBOOK), run(network, transformed(TEXTBOOK, turn))
    components = before[Tensor.DIELECTRIC_ELECTRONIC]
    error = np.abs(
        after[Tensor.DIELECTRIC_ELECTRONIC] - components @ component_rotation(Tensor.DIELECTRIC_ELECTRONIC, turn).T
    )
    assert 1e-10 < error.max() / np.abs(components).max() < 1e-5


def test_building_a_network_leaves_the_default_precision_alone() -> None:
    before = torch.get_default_dtype()
    network = make(GMTNET)
    assert torch.get_default_dtype() is before
    assert {p.dtype for p in network.parameters()} == {torch.float64}
    with pytest.raises(RuntimeError):
        build_network(replace(GMTNET, channels=-1), torch.float64)
    assert torch.get_default_dtype() is before


@CONFIGS
def test_single_and_double_precision_agree(config: GMTNetConfig) -> None:
    single = make(config, torch.float32)
    double = deepcopy(make(config))
    double.load_state_dict(single.state_dict())
    rough, exact = run(single, TEXTBOOK, torch.float32), run(double, TEXTBOOK)
    for quantity, components in exact.items():
        assert np.abs(rough[quantity] - components).max() < 1e-4 * np.abs(components).max()


def test_the_published_configuration_has_the_published_sizes() -> None:
    network: Any = make(GMTNET_PAPER)
    assert len(network.comformer) == 2
    assert len(network.convolutions) == 3
    assert network.comformer[0].query.in_features == 128
    assert network.radial.linear.in_features == 512
    assert network.radial.centers[[0, -1]].tolist() == [-4.0, 0.0]
    assert network.embedding.descriptors.shape == (119, 92)
    assert network.irreps_sh == o3.Irreps("0e+1o+2e")
    assert (GMTNET_PAPER.graph.n_neighbors, GMTNET_PAPER.graph.undirected) == (16, True)
    chain = [str(c.product.irreps_in1) for c in network.convolutions]
    assert chain == ["16x0e", "16x0e+2x1o+2x2e", "16x0e+2x1o+2x1e+2x2e+2x2o"]


def test_a_published_network_for_one_tensor_has_about_the_published_number_of_weights() -> None:
    """0.67 million, of which our learned element vectors (119 x 128) are not part."""
    network = make(replace(GMTNET_PAPER, tensors=(Tensor.DIELECTRIC_TOTAL,)))
    count = sum(p.numel() for p in network.parameters()) - network.embedding.learned.weight.numel()
    assert 0.55e6 < count < 0.8e6


@CONFIGS
def test_every_head_reads_the_minimal_irreps_of_its_tensor(config: GMTNetConfig) -> None:
    network: Any = make(config)
    assert set(network.heads) == {t.value for t in TENSORS}
    for quantity, facts in TENSORS.items():
        irreps = network.heads[quantity.value].read.irreps_out
        assert irreps == o3.Irreps(facts.irreps)
        assert irreps.dim == facts.n_components


def degree_four_of_rocksalt(config: GMTNetConfig) -> tuple[float, float]:
    """Norm of the l = 4 part of the stiffness of MgO, and of the whole, raw."""
    irreps = tensor_to_irreps(
        Tensor.ELASTIC, untrained(config, torch.float64).predict(TEXTBOOK.select([4]))[Tensor.ELASTIC]
    )[0]
    return float(np.linalg.norm(irreps[-9:])), float(np.linalg.norm(irreps))


def test_the_default_network_can_say_how_a_cubic_stiffness_is_anisotropic() -> None:
    part, whole = degree_four_of_rocksalt(GMTNET)
    assert part > 1e-4 * whole


def test_the_published_network_cannot_make_a_cubic_stiffness_anisotropic() -> None:
    """Harmonics end at l = 2, and cubic surroundings have neither l = 1 nor l = 2: C44 = (C11 - C12) / 2 always."""
    part, whole = degree_four_of_rocksalt(GMTNET_PAPER)
    assert part < 1e-12 * whole
    assert degree_four_of_rocksalt(replace(GMTNET_PAPER, l_max=4))[0] > 1e-9  # negative control: the cut is the cause


@CONFIGS
def test_every_weight_gets_a_gradient(config: GMTNetConfig) -> None:
    network = deepcopy(make(config, torch.float32)).train()
    graph = TorchGraph.from_graph(build_graph(TEXTBOOK, config.graph), "cpu", torch.float32)
    slopes = [torch.linspace(0.3, 1.7, c.numel()).reshape(c.shape) for c in network(graph).values()]  # no cancelling
    total = sum((c * s).sum() + c.square().sum() for c, s in zip(network(graph).values(), slopes, strict=True))
    torch.autograd.backward(torch.as_tensor(total))
    weights = [(name, p.grad) for name, p in network.named_parameters() if p.numel()]
    without = [name for name, gradient in weights if gradient is None or not gradient.abs().sum() > 0]
    harmless = ("attention_norm.bias", "key.second.bias", "second.bias")  # shifted away by the norm that follows
    assert [name for name in without if not name.endswith(harmless)] == []
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@CONFIGS
def test_inference_mode_gives_what_training_code_gives_without_updates(config: GMTNetConfig) -> None:
    network = make(config)
    graph = TorchGraph.from_graph(build_graph(TEXTBOOK, config.graph), "cpu", torch.float64)
    outside = network(graph)
    inside = run(network, TEXTBOOK)
    for quantity, components in outside.items():
        assert components.requires_grad
        assert np.array_equal(components.detach().numpy(), inside[quantity])


def test_the_size_of_a_pass_does_not_matter() -> None:
    small = GMTNetPredictor(make(GMTNET), frozenset({1}), dtype=torch.float64, batch_atoms=7)
    large = GMTNetPredictor(small.network, frozenset({1}), dtype=torch.float64, batch_atoms=10_000)
    for quantity, tensors in large.predict(TEXTBOOK).items():
        assert np.allclose(small.predict(TEXTBOOK)[quantity], tensors, rtol=1e-10, atol=1e-12)


def test_a_magnitude_scales_a_tensor_without_turning_it() -> None:
    with_magnitude = deepcopy(make(GMTNET))
    head = with_magnitude.heads[Tensor.ELASTIC.value]
    before = run(with_magnitude, TEXTBOOK)[Tensor.ELASTIC]
    head.log_norm += np.log(7.0)
    assert np.allclose(run(with_magnitude, TEXTBOOK)[Tensor.ELASTIC], 7.0 * before, rtol=1e-12)


def test_edges_fade_smoothly_from_one_to_zero() -> None:
    closeness = torch.linspace(0, 1.2, 2401, dtype=torch.float64)
    weight = fade(closeness)
    step = float(closeness[1] - closeness[0])
    assert (weight[closeness <= 0.6] == 1.0).all()
    assert weight[closeness >= 1.0].abs().max() < 1e-12
    assert (torch.diff(weight) <= 1e-12).all()
    slope = torch.diff(weight) / step
    assert torch.diff(slope).abs().max() / step < 80.0  # a bounded second derivative: no kink
    linear = (1 - (closeness - 0.6).clamp(0, 0.4) / 0.4).diff().diff().abs().max() / step**2
    assert linear > 500.0  # negative control: a linear ramp has kinks


def test_radial_gaussians_peak_at_their_centres() -> None:
    for kind, span in ((RadialKind.DISTANCE, (0.8, 6.5)), (RadialKind.INVERSE, (-4.0, 0.0))):
        radial = RadialFeatures(kind, span, 16, 16).double()
        radial.linear.weight.data = torch.eye(16, dtype=torch.float64)
        radial.linear.bias.data.zero_()
        centers = radial.centers[1:-1]
        distance = centers if kind is RadialKind.DISTANCE else -0.75 / centers
        assert (radial(distance).argmax(dim=1) == torch.arange(1, 15)).all()


def test_products_of_an_atoms_own_tensors_make_pseudotensors() -> None:
    """The twist (2o) part of e from polar vectors and quadrupoles: no harmonic of an edge has that parity."""
    polar, axial = o3.Irreps("4x1o+4x2e"), o3.Irreps("3x2o")
    torch.manual_seed(0)
    coupling = AtomCoupling(polar, axial, 4)
    x = torch.randn(5, polar.dim)
    mirror = -torch.eye(3)
    assert coupling(x).abs().max() > 1e-3
    assert torch.allclose(
        coupling(x @ polar.D_from_matrix(mirror).T), coupling(x) @ axial.D_from_matrix(mirror).T, atol=1e-6
    )
    only_quadrupoles = x.clone()
    only_quadrupoles[:, :12] = 0.0
    assert coupling(only_quadrupoles).abs().max() == 0.0  # negative control: 2e x 2e has no odd part


def test_the_two_products_differ_in_kind_not_in_irreps() -> None:
    full = replace(GMTNET_PAPER, message_irreps=("8x0e+2x1o+2x2e",), channels=16, n_radial=8, edge_channels=8)
    sparse = replace(full, product=ProductKind.SPARSE, hidden_irreps="8x0e+2x1o+2x2e+2x2o+2x3o+2x4e", l_max=4)
    for config in (full, sparse):
        components = run(make(config), TEXTBOOK)
        assert {q: c.shape for q, c in components.items()} == {q: (10, t.n_components) for q, t in TENSORS.items()}
