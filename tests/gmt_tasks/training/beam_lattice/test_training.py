"""Training of the network of nets: what is kept out, what is learned, and that a killed run goes on as it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gmt_tasks.training.beam_lattice.data import LabelledNets, NetChoice, Part, labelled_nets, part_of
from gmt_tasks.training.beam_lattice.errors import bound_errors, compare, net_errors
from gmt_tasks.training.beam_lattice.loop import LatticeLoop, LatticeTraining
from models.beam_lattice.bounds import affine_stiffness, one_step
from models.beam_lattice.homogenize import homogenize
from models.beam_lattice.net import BeamNets
from models.beam_lattice.topology import net_signatures
from models.errors import ModelError
from models.gmtnet.beam_lattice.predictor import NETWORK, matrix_root
from models.tensors.voigt import stiffness_voigt_to_mandel
from tests.models.beam_lattice.nets import crooked

CANDIDATES = Path("../shared/data/candidates.parquet")
SMALL = replace(
    NETWORK,
    channels=8,
    edge_channels=8,
    n_comformer=1,
    message_irreps=("4x0e+4x1o+4x2e+4x3o+4x4e",),
    hidden_irreps="4x0e+4x1o+4x2e+4x3o+4x4e",
)
CONFIG = LatticeTraining(network=SMALL, epochs=3, batch=8)


def labelled(nets: BeamNets) -> LabelledNets:
    """Nets with their stiffness."""
    density = nets.relative_density[:, None, None]
    step = one_step(nets)
    of = [stiffness_voigt_to_mandel(one) / density for one in (affine_stiffness(nets), step.stiffness_voigt)]
    exact = stiffness_voigt_to_mandel(homogenize(nets).stiffness_voigt) / density
    return LabelledNets(nets, exact, of[0], matrix_root(of[1]), step.unbalanced, nets.n_nets)


@pytest.fixture(scope="module")
def data() -> LabelledNets:
    """A few nets without symmetry."""
    return labelled(BeamNets.join([crooked(seed) for seed in range(24)]))


def loop(data: LabelledNets, out: Path, config: LatticeTraining = CONFIG) -> LatticeLoop:
    """A loop that reports nothing."""
    return LatticeLoop(config, data, out, lambda _: None)


def test_training_learns(data: LabelledNets, tmp_path: Path) -> None:
    run = loop(data, tmp_path, replace(CONFIG, epochs=12, average=0.8))
    for _ in range(12):
        run.run_epoch(data)
    assert run.curve[-1]["train"] < 0.7 * run.curve[0]["train"]
    errors = net_errors(data, run.predictor(run.best_network()))
    assert errors["nrmse"] == pytest.approx(min(entry["val"] for entry in run.curve))
    assert errors["indefinite"] == 0


def test_a_killed_run_goes_on_as_if_it_had_not_been(data: LabelledNets, tmp_path: Path) -> None:
    whole = loop(data, tmp_path / "whole")
    for _ in range(3):
        whole.run_epoch(data)
    loop(data, tmp_path / "cut").run_epoch(data)
    resumed = loop(data, tmp_path / "cut")
    assert resumed.epoch == 1
    for _ in range(2):
        resumed.run_epoch(data)
    assert [entry["val"] for entry in resumed.curve] == [entry["val"] for entry in whole.curve]
    weights = whole.averaged.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in resumed.averaged.state_dict().items())
    with pytest.raises(ModelError, match="another configuration"):
        loop(data, tmp_path / "cut", replace(CONFIG, seed=2))


def test_errors_are_those_of_the_definition(data: LabelledNets) -> None:
    same = compare(data.stiffness, data)
    assert same["nrmse"] == 0 and same["median_factor_softest"] == pytest.approx(1)
    tenth = compare(1.1 * data.stiffness, data)
    assert tenth["nrmse"] == pytest.approx(0.1) and tenth["median_relative_error"] == pytest.approx(0.1)
    assert compare(-data.stiffness, data)["indefinite"] == 1
    bounds = bound_errors(data)
    assert bounds["affine"]["nrmse"] > bounds["one step"]["nrmse"] > 0


def test_what_the_head_learns_gives_the_stiffness_back(data: LabelledNets) -> None:
    assert data.root @ data.relaxation @ data.root == pytest.approx(data.stiffness, abs=1e-9)
    assert (np.linalg.eigvalsh(data.relaxation) <= 1 + 1e-6).all(), "the bound is one"


def test_a_topology_is_in_one_part_whatever_the_size_of_its_cell() -> None:
    signatures = [f"{k:016x}" for k in range(2000)]
    parts = [part_of(signature, 4, 6) for signature in signatures]
    assert np.mean([part is Part.TRAIN for part in parts]) == pytest.approx(0.8, abs=0.03)
    for signature, part in zip(signatures, parts, strict=True):
        assert part_of(signature, 9, 6) is (Part.LARGER if part is Part.TEST else None)


@pytest.mark.skipif(not CANDIDATES.is_file(), reason="../shared/data/candidates.parquet is not there")
@pytest.mark.slow
def test_no_net_of_a_test_has_a_topology_of_training() -> None:
    choice = NetChoice(n_crystals=300, draws=1)
    data = labelled_nets(CANDIDATES, choice)
    topologies = {part: set(net_signatures(one.nets)) for part, one in data.items()}
    for part in (Part.VAL, Part.TEST, Part.LARGER):
        assert topologies[part] and not topologies[part] & topologies[Part.TRAIN]
    low, high = choice.densities
    for one in data.values():
        density = one.nets.relative_density
        assert (density > 0.999 * low).all() and (density < 1.001 * high).all()
    assert (data[Part.TRAIN].nets.nodes_per_net <= 6).all() and (data[Part.LARGER].nets.nodes_per_net > 6).all()
