"""Struts on struts: found whichever way they are listed, and left out of the nets of crystals."""

import numpy as np
import pytest

from models.beam_lattice.from_crystals import nets_of_bonds
from models.beam_lattice.net import InvalidNetError
from models.beam_lattice.overlaps import coincident_nodes, overlapping_struts
from models.beam_lattice.reference_nets import REFERENCE_NETS, reference_net
from models.reference.crystals import textbook_crystals
from tests.models.beam_lattice.nets import crooked, split


@pytest.mark.parametrize("degrees", [0.0, 0.1, 2.0])
@pytest.mark.parametrize("backward", [False, True])
def test_the_longer_of_two_struts_along_one_line_is_found(degrees: float, backward: bool) -> None:
    along = np.array([0.3, -0.5, 0.8])
    across = np.cross(along, [1.0, 0.0, 0.0])
    across *= np.linalg.norm(along) / np.linalg.norm(across)
    other = 2 * (np.cos(np.radians(degrees)) * along + np.sin(np.radians(degrees)) * across)
    ends = np.array([[0, 1], [0, 2], [1, 2]])
    vector = np.stack([along, other, other - along + across])
    if backward:
        ends, vector = ends[:, ::-1], -vector
    assert overlapping_struts(ends, vector).tolist() == ([1] if degrees < 0.5 else [])


def test_nets_have_none_unless_a_strut_is_drawn_past_a_node() -> None:
    for name in REFERENCE_NETS:
        net = reference_net(name)
        assert not len(overlapping_struts(net.ends, net.vector))
    whole, net = crooked(), split(crooked(), 2)
    pairs = zip(net.arrays()[3:], whole.arrays()[3:], strict=True)
    twice = [np.concatenate([of_parts, of_whole[2:3]]) for of_parts, of_whole in pairs]
    with pytest.raises(InvalidNetError, match="end where the shorter one ends"):
        type(net)(*net.arrays()[:3], *twice)


def test_cations_are_joined_through_the_anion_between_them() -> None:
    made = nets_of_bonds(textbook_crystals().crystals)
    assert not len(overlapping_struts(made.nets.ends, made.nets.vector))


def test_nodes_at_one_place_are_found_in_whichever_cell() -> None:
    lattice = np.broadcast_to(np.eye(3), (2, 3, 3))
    nodes = np.array([[0, 0, 0], [0.5, 0, 0], [3.0, -2.0, 1e-9], [0, 0, 0], [0.5, 0.5, 0.5]])
    net = np.array([0, 0, 0, 1, 1])
    assert coincident_nodes(lattice, nodes, net, np.full(2, 1e-6)).tolist() == [0]
    assert coincident_nodes(lattice, nodes, net, np.full(2, 1e-12)).tolist() == []
