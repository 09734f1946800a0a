"""The network itself: raw components, before any symmetrization."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from e3nn import o3

from models.crystals.crystal import Floats
from models.crystals.graph import build_graph
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM
from models.gmtnet.config import (
    GMTNET,
    GMTNET_PAPER,
    GMTNetConfig,
    ProductKind,
    RadialKind,
)
from models.gmtnet.heads import DirectionHead, LinearHead, PositiveHead
from models.gmtnet.layers import RadialFeatures, cutoff_envelope
from models.gmtnet.network import build_network
from models.gmtnet.torch_graph import TorchGraph
from models.quantities import TENSORS, Tensor
from models.reference.crystals import random_orthogonal, transformed
from models.tensors.irreps import change_of_basis
from models.tensors.rotate import component_rotation
from models.tensors.voigt import from_components
from models.testing.contract import textbook_crystals
from tests.models.gmtnet.untrained import EVERY_BACKBONE, fresh_network, run

TEXTBOOK = textbook_crystals().crystals


SMALL = replace(
    GMTNET,
    channels=16,
    n_radial=8,
    edge_channels=8,
    message_irreps=("8x0e+4x1o+4x2e+2x3o+2x4e", "8x0e+4x1o+4x2e+2x3o+2x4e"),
    hidden_irreps="8x0e+4x1o+4x2e+4x2o+2x3o+2x4e",
    coupling_channels=4,
)


def norm(components: Floats) -> float:
    return float(np.linalg.norm(components))


@EVERY_BACKBONE
@pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])
def test_raw_components_turn_with_the_crystal_to_ten_digits(config: GMTNetConfig, sign: int) -> None:
    network = fresh_network(config)
    rotation = sign * random_orthogonal(np.random.default_rng(2))
    before, after = run(network, TEXTBOOK), run(network, transformed(TEXTBOOK, rotation))
    for quantity in Tensor:
        components = before[quantity]
        expected = components @ component_rotation(quantity, rotation).T
        assert np.abs(after[quantity] - expected).max() < 1e-10 * np.abs(expected).max()
        assert np.abs(after[quantity] - components).max() > 1e-4 * np.abs(expected).max()
    for scalar in config.scalars:
        assert np.allclose(after[scalar], before[scalar], rtol=1e-10)
        assert np.ptp(before[scalar]) > 1e-3


def test_a_network_widened_after_it_was_made_is_equivariant_to_rounding_of_float32_only() -> None:
    """Negative control: why networks are built in their precision (see build_network)."""
    network = deepcopy(fresh_network(GMTNET, torch.float32)).double()
    rotation = random_orthogonal(np.random.default_rng(2))
    before, after = run(network, TEXTBOOK), run(network, transformed(TEXTBOOK, rotation))
    components = before[Tensor.DIELECTRIC_ELECTRONIC]
    error = np.abs(
        after[Tensor.DIELECTRIC_ELECTRONIC] - components @ component_rotation(Tensor.DIELECTRIC_ELECTRONIC, rotation).T
    )
    assert 1e-10 < error.max() / np.abs(components).max() < 1e-5


def test_building_a_network_leaves_the_default_precision_alone() -> None:
    before = torch.get_default_dtype()
    network = build_network(SMALL, torch.float64)
    assert torch.get_default_dtype() is before
    assert {p.dtype for p in network.parameters()} == {torch.float64}
    with pytest.raises(RuntimeError):
        build_network(replace(GMTNET, channels=-1), torch.float64)
    assert torch.get_default_dtype() is before


@EVERY_BACKBONE
def test_single_and_double_precision_agree(config: GMTNetConfig) -> None:
    single = fresh_network(config, torch.float32)
    double = deepcopy(fresh_network(config))
    double.load_state_dict(single.state_dict())
    rough, exact = run(single, TEXTBOOK, torch.float32), run(double, TEXTBOOK)
    for quantity, components in exact.items():
        assert np.abs(rough[quantity] - components).max() < 1e-4 * np.abs(components).max()


def test_the_published_configuration_has_the_published_sizes() -> None:
    network: Any = fresh_network(GMTNET_PAPER)
    assert len(network.comformer) == 2
    assert network.comformer[0].key.in_features == 128
    assert network.radial.linear.in_features == 512
    assert network.radial.centers[[0, -1]].tolist() == [-4.0, 0.0]
    assert network.embedding.descriptors.shape == (119, 92)
    assert (GMTNET_PAPER.graph.n_neighbors, GMTNET_PAPER.graph.undirected) == (16, True)
    products = [layer.product for layer in network.convolutions.layers]
    assert [str(p.irreps_in1) for p in products] == ["16x0e", "16x0e+2x1o+2x2e", "16x0e+2x1o+2x1e+2x2e+2x2o"]
    assert {str(p.irreps_in2) for p in products} == {"1x0e+1x1o+1x2e"}
    tensors = o3.Irreps("+".join(t.irreps for t in TENSORS.values())).sort().irreps.simplify()
    assert products[-1].irreps_out == tensors


def test_a_published_network_for_one_tensor_has_about_the_published_number_of_weights() -> None:
    """0.67 million, of which our learned element vectors (119 x 128) are not part."""
    network = build_network(replace(GMTNET_PAPER, tensors=(Tensor.DIELECTRIC_TOTAL,), scalars=()))
    count = sum(p.numel() for p in network.parameters()) - network.embedding.learned.weight.numel()
    assert 0.55e6 < count < 0.8e6


@EVERY_BACKBONE
def test_every_tensor_has_the_head_of_its_kind(config: GMTNetConfig) -> None:
    network: Any = fresh_network(config)
    assert set(network.heads) == {t.value for t in TENSORS}
    assert set(network.scalars) == {s.value for s in config.scalars}
    for quantity, facts in TENSORS.items():
        head = network.heads[quantity.value]
        copies = {kind: linear.out_features for kind, linear in head.read.maps.items()}
        assert list(copies.items()) == [(str(ir), n) for n, ir in o3.Irreps(facts.irreps)]
        assert len(head.mean) == facts.n_components
        expected = (PositiveHead if facts.floor is not None else DirectionHead) if config.magnitude else LinearHead
        assert type(head) is expected


def test_a_total_dielectric_tensor_alone_exceeds_one() -> None:
    """Without the electronic tensor its floor is the vacuum."""
    network = build_network(replace(SMALL, tensors=(Tensor.DIELECTRIC_TOTAL,), scalars=()), torch.float64).eval()
    found = run(network, TEXTBOOK)
    assert set(found) == {Tensor.DIELECTRIC_TOTAL}
    values = np.linalg.eigvalsh(from_components(Tensor.DIELECTRIC_TOTAL, found[Tensor.DIELECTRIC_TOTAL]))
    assert values.min() > 1.0


def degree_four_of_rocksalt(config: GMTNetConfig) -> tuple[float, float]:
    """Norm of the l = 4 part of the stiffness of MgO, and of the whole, raw."""
    components = run(fresh_network(config), TEXTBOOK.select([4]))[Tensor.ELASTIC]
    irreps = components[0] @ change_of_basis(Tensor.ELASTIC).T
    return norm(irreps[-9:]), norm(irreps)


def test_the_default_network_can_say_how_a_cubic_stiffness_is_anisotropic() -> None:
    part, whole = degree_four_of_rocksalt(GMTNET)
    assert part > 1e-6 * whole


def test_the_published_network_cannot_make_a_cubic_stiffness_anisotropic() -> None:
    """Harmonics end at l = 2, and cubic surroundings have neither l = 1 nor l = 2: C44 = (C11 - C12) / 2 always."""
    part, whole = degree_four_of_rocksalt(GMTNET_PAPER)
    assert part < 1e-12 * whole
    narrow = replace(GMTNET_PAPER, channels=32, n_radial=32, edge_channels=16)
    assert degree_four_of_rocksalt(narrow)[0] < 1e-12 * whole
    assert degree_four_of_rocksalt(replace(narrow, l_max=4))[0] > 1e-9  # negative control: the cut is the cause


@EVERY_BACKBONE
def test_every_weight_gets_a_gradient(config: GMTNetConfig) -> None:
    network = deepcopy(fresh_network(config, torch.float32)).train()
    graph = TorchGraph.from_graph(build_graph(TEXTBOOK, config.graph), "cpu", torch.float32)
    outputs = list(network(graph).values())
    slopes = [torch.linspace(0.3, 1.7, c.numel()).reshape(c.shape) for c in outputs]  # no cancelling
    total = sum((c * s).sum() + c.square().sum() for c, s in zip(outputs, slopes, strict=True))
    torch.autograd.backward(torch.as_tensor(total))
    weights = [(name, p.grad) for name, p in network.named_parameters() if p.numel()]
    without = [name for name, gradient in weights if gradient is None or not gradient.abs().sum() > 0]
    harmless = ("attention_norm.bias", "key.bias", "merge.bias")  # shifted away by the norm that follows
    assert [name for name in without if not name.endswith(harmless)] == []
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@EVERY_BACKBONE
def test_inference_mode_gives_what_training_code_gives_without_updates(config: GMTNetConfig) -> None:
    network = fresh_network(config)
    graph = TorchGraph.from_graph(build_graph(TEXTBOOK, config.graph), "cpu", torch.float64)
    outside = network(graph)
    inside = run(network, TEXTBOOK)
    for quantity, components in outside.items():
        assert components.requires_grad
        assert np.array_equal(components.detach().numpy(), inside[quantity])


def test_the_other_crystals_of_a_pass_do_not_matter() -> None:
    network = fresh_network(GMTNET)
    together = run(network, TEXTBOOK)
    for k in (0, 4, 9):
        for quantity, alone in run(network, TEXTBOOK.select([k])).items():
            assert np.allclose(alone[0], together[quantity][k], rtol=1e-10, atol=1e-13)


def test_an_atom_that_leaves_the_cutoff_causes_no_jump() -> None:
    """Continuity at the reach: the last neighbours are moved across it by a hair."""
    network = build_network(SMALL, torch.float64).eval()
    graph = build_graph(TEXTBOOK.select([0]), SMALL.graph)
    faint = graph.scaled_distance > 0.999
    moved = replace(graph, scaled_distance=np.where(faint, 1.0, graph.scaled_distance))
    for quantity, components in run(network, graph).items():
        assert np.allclose(run(network, moved)[quantity], components, atol=1e-5 * np.abs(components).max())


def test_the_cutoff_envelope_falls_smoothly_from_one_to_zero() -> None:
    scaled_distance = torch.linspace(0, 1.2, 2401, dtype=torch.float64)
    weight = cutoff_envelope(scaled_distance)
    step = float(scaled_distance[1] - scaled_distance[0])
    assert (weight[scaled_distance <= 0.6] == 1.0).all()
    assert weight[scaled_distance >= 1.0].abs().max() < 1e-12
    assert (torch.diff(weight) <= 1e-12).all()
    slope = torch.diff(weight) / step
    assert torch.diff(slope).abs().max() / step < 80.0  # a bounded second derivative: no kink
    linear = (1 - (scaled_distance - 0.6).clamp(0, 0.4) / 0.4).diff().diff().abs().max() / step**2
    assert linear > 500.0  # negative control: a linear ramp has kinks


def test_radial_gaussians_peak_at_their_centres() -> None:
    for kind, span in ((RadialKind.DISTANCE, (0.8, 6.5)), (RadialKind.INVERSE, (-4.0, 0.0))):
        radial = RadialFeatures(kind, span, 16, 16).double()
        radial.linear.weight.data = torch.eye(16, dtype=torch.float64)
        radial.linear.bias.data.zero_()
        centers = radial.centers[1:-1]
        distance = centers if kind is RadialKind.DISTANCE else -0.75 / centers
        ends = torch.full((2, 14), 6)
        assert (radial(distance, ends).argmax(dim=1) == torch.arange(1, 15)).all()


def test_relative_gaussians_see_the_same_bond_between_small_and_large_atoms() -> None:
    radial = RadialFeatures(RadialKind.DISTANCE, (0.8, 6.5), 16, 8, n_relative=24).double()
    radial.linear.weight.data.zero_()
    pairs = torch.tensor([[6, 55, 6], [6, 55, 55]])
    covalent = torch.tensor(COVALENT_RADIUS_ANGSTROM[pairs.numpy()].sum(axis=0))
    bonds = radial(1.1 * covalent, pairs)
    assert torch.allclose(bonds[0], bonds[1]) and torch.allclose(bonds[0], bonds[2])
    assert not torch.allclose(bonds[0], radial(1.11 * covalent, pairs)[0], atol=1e-3)
    # negative control: at one distance the pairs differ
    assert not torch.allclose(*radial(torch.full((3,), 3.0, dtype=torch.float64), pairs)[:2], atol=1e-3)


def test_the_two_products_differ_in_kind_not_in_irreps() -> None:
    full = replace(GMTNET_PAPER, message_irreps=("8x0e+2x1o+2x2e",), channels=16, n_radial=8, edge_channels=8)
    sparse = replace(full, product=ProductKind.SPARSE, hidden_irreps="8x0e+2x1o+2x2e+2x2o+2x3o+2x4e", l_max=4)
    for config in (full, sparse):
        components = run(build_network(config, torch.float64).eval(), TEXTBOOK)
        assert {q: components[q].shape for q in Tensor} == {q: (10, t.n_components) for q, t in TENSORS.items()}
