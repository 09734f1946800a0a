"""Nets are validated once: every problem is refused by its name."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from models.beam_lattice.net import BeamNets, InvalidNetError, NetArrays, NetProblem, sound_nets
from models.beam_lattice.reference_nets import REFERENCE_NETS, UnknownNetError, reference_net
from models.beam_lattice.topology import coordination_sequences
from tests.models.beam_lattice.nets import crooked, split

NET = crooked()
LOOSE = {"frac_coords": np.vstack([NET.frac_coords, [0.5, 0.5, 0.5]]), "net_of_node": np.zeros(4, int)}


def with_strut(end: tuple[int, int], image: tuple[int, int, int]) -> dict[str, Any]:
    """The arrays of a further strut."""
    return {
        "ends": np.vstack([NET.ends, end]),
        "image": np.vstack([NET.image, image]),
        "radius": np.append(NET.radius, 0.05),
    }


@pytest.mark.parametrize(
    ("problem", "changes"),
    [
        (NetProblem.EMPTY, {"ends": NET.ends[:0], "image": NET.image[:0], "radius": NET.radius[:0]}),
        (NetProblem.NONFINITE, {"radius": np.append(NET.radius[:-1], np.nan)}),
        (NetProblem.NONFINITE, {"lattice": np.full((1, 3, 3), np.inf)}),
        (NetProblem.NONFINITE, {"frac_coords": NET.frac_coords * 1e9}),
        (NetProblem.CELL, {"lattice": np.ones((1, 3, 3))}),
        (NetProblem.CELL, {"lattice": np.zeros((1, 3, 3))}),
        (NetProblem.CELL, {"lattice": np.eye(3)[None] * 1e200}),
        (NetProblem.RADIUS, {"radius": -NET.radius}),
        (NetProblem.ENDS, {"ends": NET.ends + 1}),
        (NetProblem.ENDS, {"radius": NET.radius[1:]}),
        (NetProblem.ZERO_LENGTH, with_strut((1, 1), (0, 0, 0))),
        (NetProblem.DUPLICATE, with_strut((1, 0), (0, 0, 0))),
        (NetProblem.DUPLICATE, with_strut((0, 0), (-1, 0, 0))),
        (NetProblem.PIECES, LOOSE),
        (NetProblem.NOT_PERIODIC, {"image": NET.image * [1, 1, 0]}),
    ],
)
def test_what_cannot_be_homogenized_is_refused_with_its_reason(problem: NetProblem, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidNetError) as refusal:
        replace(NET, **changes)
    assert refusal.value.problem is problem
    assert problem.sentence in str(refusal.value)


def test_a_ring_that_leads_nowhere_is_not_periodic() -> None:
    square = np.array([[0, 0, 0], [0.3, 0, 0], [0.3, 0.3, 0.1], [0, 0.3, 0.0]])
    ends = np.array([[0, 1], [1, 2], [2, 3], [3, 0]])
    with pytest.raises(InvalidNetError) as refusal:
        BeamNets(np.eye(3)[None], square, np.zeros(4, int), ends, np.zeros((4, 3), int), np.full(4, 0.01))
    assert refusal.value.problem is NetProblem.NOT_PERIODIC
    assert "0 directions" in str(refusal.value)


def test_of_many_nets_the_sound_ones_are_kept() -> None:
    bad = NetArrays(*NET.arrays()[:5], radius=-NET.radius)
    flat = NetArrays(*NET.arrays()[:4], NET.image * [1, 1, 0], NET.radius)
    parts = [NET, bad, split(NET, 1), flat]
    firsts = np.cumsum([0, *(len(part.frac_coords) for part in parts)])
    arrays = NetArrays(
        np.concatenate([part.lattice for part in parts]),
        np.concatenate([part.frac_coords for part in parts]),
        np.concatenate([np.full(len(part.frac_coords), k) for k, part in enumerate(parts)]),
        np.concatenate([part.ends + first for part, first in zip(parts, firsts[:-1], strict=True)]),
        np.concatenate([part.image for part in parts]),
        np.concatenate([part.radius for part in parts]),
    )
    nets, rows, problems = sound_nets(arrays)
    assert rows.tolist() == [0, 2]
    assert {net: problem for net, (problem, _) in problems.items()} == {
        1: NetProblem.RADIUS,
        3: NetProblem.NOT_PERIODIC,
    }
    assert nets.select([1]).arrays()[1] == pytest.approx(split(NET, 1).frac_coords)


def test_parts_and_joins_are_inverses() -> None:
    nets = BeamNets.join([NET, reference_net("kelvin"), crooked(3)])
    for k, one in enumerate([NET, reference_net("kelvin"), crooked(3)]):
        for array, expected in zip(nets.select([k]).arrays(), one.arrays(), strict=True):
            assert np.array_equal(array, expected)
    assert BeamNets.join([]).n_nets == 0


def test_a_net_takes_the_density_that_is_asked_for() -> None:
    nets = BeamNets.join([NET, reference_net("octet")]).at_density(np.array([0.03, 0.1]))
    assert nets.relative_density == pytest.approx([0.03, 0.1])
    assert nets.radius[: len(NET.radius)] / NET.radius == pytest.approx(nets.radius[0] / NET.radius[0])


# the first entries of the nets' published coordination sequences (RCSR)
PUBLISHED = {
    "simple-cubic": [[6, 18, 38, 66]],
    "bcc": [[8, 26, 56, 98]],
    "octet": [[12, 42, 92, 162]],
    "diamond": [[4, 12, 24, 42]],
    "kelvin": [[4, 10, 20, 34]],
    "gyroid": [[3, 6, 12, 24]],
    "rhombic-dodecahedra": [[4, 22, 24, 82], [8, 12, 48, 42]],
}


@pytest.mark.parametrize("name", REFERENCE_NETS)
def test_reference_nets_have_their_published_coordination_sequences(name: str) -> None:
    net = reference_net(name)
    assert np.unique(coordination_sequences(net, 4), axis=0).tolist() == PUBLISHED[name]
    assert set(np.bincount(net.ends.ravel()).tolist()) == set(REFERENCE_NETS[name].coordination)
    assert reference_net(REFERENCE_NETS[name].rcsr).n_nets == 1


def test_an_unknown_net_is_answered_with_those_that_are_known() -> None:
    with pytest.raises(UnknownNetError, match="choose simple-cubic, bcc"):
        reference_net("pyrochlore")
