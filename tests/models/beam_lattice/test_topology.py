"""Topologies are the same for every description of a net, and differ between nets."""

import numpy as np

from models.beam_lattice.net import BeamNets
from models.beam_lattice.reference_nets import REFERENCE_NETS, reference_net
from models.beam_lattice.topology import net_signatures
from tests.models.beam_lattice.nets import crooked, doubled, in_frame, relabelled, split


def test_isomorphic_nets_have_one_signature() -> None:
    net = crooked()
    moved = BeamNets(*net.arrays()[:1], net.frac_coords + 0.05 * np.eye(3), *net.arrays()[2:])
    others = [doubled(net), in_frame(net, np.diag([1.0, 2.0, 3.0])), relabelled(net, np.array([1, 2, 0])), moved]
    assert {*net_signatures(BeamNets.join(others))} == {*net_signatures(net)}


def test_other_nets_have_other_signatures() -> None:
    net = crooked()
    others = [net, split(net, 0), *(reference_net(name) for name in REFERENCE_NETS)]
    signatures = net_signatures(BeamNets.join(others))
    assert len({*signatures}) == len(others)
