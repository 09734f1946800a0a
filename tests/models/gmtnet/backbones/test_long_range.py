"""Attention over images: its formula, large cells, and what breaks without the images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.crystals import graph as graphs
from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.graph import GraphSpec, build_graph
from models.crystals.image_kernels import ImageKernels
from models.errors import ModelError
from models.gmtnet.backbones.long_range import LongRangeConvolutions, PeriodicAttention
from models.gmtnet.config import GMTNET, GMTNET_LONG_RANGE
from models.gmtnet.network import build_network
from models.gmtnet.torch_graph import TorchGraph
from models.reference.crystals import in_cell
from models.testing.contract import disagreement, textbook_crystals
from tests.models.gmtnet.untrained import untrained

TEXTBOOK = textbook_crystals().crystals
ROCKSALT = TEXTBOOK.select([4])


def torch_graph(batch: CrystalBatch) -> TorchGraph:
    return TorchGraph.from_graph(build_graph(batch, GMTNET_LONG_RANGE.graph), "cpu", torch.float64)


def attention(n_heads: int = 2) -> PeriodicAttention:
    torch.manual_seed(1)
    return PeriodicAttention(8, n_heads, GMTNET_LONG_RANGE.graph.kernel_widths_angstrom).double().eval()


def test_attention_is_its_formula_atom_by_atom() -> None:
    layer, graph = attention(), torch_graph(TEXTBOOK)
    nodes = torch.randn(len(graph.numbers), 8, dtype=torch.float64)
    normed = layer.norm(nodes)
    query, key, value = (part(normed).view(-1, 2, 4) for part in (layer.query, layer.key, layer.value))
    mixture = torch.nn.functional.softplus(layer.mixture)
    torch.nn.init.normal_(layer.strength)
    found = layer(nodes, graph.pairs, graph.share_of_atom).detach()
    assert graph.pairs is not None
    for atom in range(len(nodes)):
        rows = []
        mine = graph.pairs.center == atom
        others, kernels = graph.pairs.neighbor[mine], graph.pairs.kernels[mine]
        assert torch.equal(others, torch.nonzero(graph.crystal_of_atom == graph.crystal_of_atom[atom])[:, 0])
        for head in range(2):
            total, mean, potential = 0.0, torch.zeros(4, dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
            background = value[others, head].mean(dim=0)
            for other, kernel in zip(others, kernels, strict=True):
                bias = (kernel / layer.typical) @ mixture[head, :-1] + mixture[head, -1] * graph.share_of_atom[other]
                score = 8 * torch.tanh(query[atom, head] @ key[other, head] / 2 / 8)
                total, mean = total + bias * score.exp(), mean + bias * score.exp() * value[other, head]
                potential = potential + (kernel @ layer.strength[head]) * (value[other, head] - background)
            rows.append(torch.stack([mean / total, potential, value[atom, head] * potential]))
        gathered = torch.stack(rows, dim=1).flatten()
        assert torch.allclose(layer.merge(torch.cat([normed[atom], gathered])), found[atom], atol=1e-12)


def test_a_potential_of_charges_does_not_depend_on_what_is_added_to_all_of_them() -> None:
    """The charge of a cell cancels; one of its atoms alone does not."""
    layer, graph = attention(), torch_graph(TEXTBOOK)
    value = torch.randn(len(graph.numbers), 2, 4, dtype=torch.float64)
    assert graph.pairs is not None
    shifted, changed = value + 3.0, value.clone()
    changed[0] += 3.0
    expected, same, other = (
        layer.potential(each, graph.pairs, graph.share_of_atom) for each in (value, shifted, changed)
    )
    assert torch.allclose(expected, same, atol=1e-12)
    assert (expected - other).abs().max() > 1e-3


def test_a_cell_of_512_atoms_is_predicted_as_the_crystal_it_is() -> None:
    """Rock salt in 256 copies, every atom looked at."""
    model = untrained(GMTNET_LONG_RANGE)
    large = in_cell(ROCKSALT, np.diag([4, 8, 8]))
    assert len(large.numbers) == 512
    expected, found = model.predict(ROCKSALT), model.predict(large)
    for quantity, tensors in expected.items():
        if np.abs(tensors).max() > 1e-3:  # rock salt has no e
            assert disagreement(found[quantity][0], tensors[0]).max() < 1e-4


def of_nearest_images(batch: CrystalBatch, widths: tuple[float, ...]) -> ImageKernels:
    """The Gaussians of the nearest image only: what graph-wise attention without periodicity would take."""
    rows: list[Floats] = []
    for crystal in range(batch.n_crystals):
        start, stop = batch.first_atom[crystal : crystal + 2]
        between = batch.frac_coords[start:stop][None] - batch.frac_coords[start:stop][:, None]
        between -= np.round(between)
        square = ((between @ batch.lattice[crystal]) ** 2).sum(axis=-1).reshape(-1, 1)
        rows.append(np.exp(-square / (2 * np.array(widths) ** 2)))
    return ImageKernels(batch.atoms_per_crystal, np.concatenate(rows))


def test_without_the_other_images_a_supercell_would_be_another_crystal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: the sum over images is what makes attention a property of the crystal."""
    model = untrained(GMTNET_LONG_RANGE)
    supercell = in_cell(ROCKSALT, np.diag([2, 1, 1]))
    errors = []
    for broken in (False, True):
        if broken:
            monkeypatch.setattr(graphs, "find_kernels", of_nearest_images)
        tensors = [model.predict(batch) for batch in (ROCKSALT, supercell)]
        stiffness = [list(t.values())[-1][0] for t in tensors]
        errors.append(float(disagreement(stiffness[1], stiffness[0]).max()))
    assert errors[0] < 1e-5
    assert errors[1] > 5e-5 > 5 * errors[0]


def test_gates_of_a_fresh_network_leave_tensors_as_they_are() -> None:
    network = build_network(GMTNET_LONG_RANGE, torch.float64)
    convolutions = network.convolutions
    assert isinstance(convolutions, LongRangeConvolutions)
    gathered = torch.randn(5, convolutions.channels["0e"], dtype=torch.float64)
    for gates in convolutions.gates:
        assert torch.equal(2 * torch.sigmoid(gates(gathered)), torch.ones(5, gates.out_features, dtype=torch.float64))


def test_a_network_needs_the_kernels_that_its_configuration_names() -> None:
    with pytest.raises(ModelError, match="kernel_widths_angstrom"):
        build_network(replace(GMTNET_LONG_RANGE, graph=GraphSpec()))
    network = build_network(GMTNET_LONG_RANGE)
    edges_only = TorchGraph.from_graph(build_graph(ROCKSALT, GMTNET.graph), "cpu", torch.float32)
    with pytest.raises(ModelError, match="no kernels"):
        network(edges_only)
