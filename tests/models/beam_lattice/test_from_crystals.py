"""Nets of bonds: the known nets of known crystals, and crystals that have none."""

from dataclasses import replace

import numpy as np
import pytest

from models.beam_lattice.from_crystals import nets_of_bonds
from models.beam_lattice.homogenize import homogenize
from models.beam_lattice.net import NetProblem
from models.beam_lattice.reference_nets import reference_net
from models.beam_lattice.topology import net_signatures
from models.crystals.crystal import CrystalBatch

FCC = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])
DIAMOND = CrystalBatch.from_arrays([FCC * 3.567], [np.array([[0, 0, 0], [0.25, 0.25, 0.25]])], [np.array([6, 6])])
SODIUM = CrystalBatch.from_arrays([(np.ones((3, 3)) / 2 - np.eye(3)) * 4.29], [np.zeros((1, 3))], [np.array([11])])
ALUMINIUM = CrystalBatch.from_arrays([FCC * 4.05], [np.zeros((1, 3))], [np.array([13])])
GRAPHENE = CrystalBatch.from_arrays(
    [np.array([[2.46, 0, 0], [-1.23, 2.1304, 0], [0, 0, 9.0]])],
    [np.array([[0, 0, 0], [1 / 3, 2 / 3, 0]])],
    [np.array([6, 6])],
)
ARGON = CrystalBatch.from_arrays([FCC * 5.3], [np.zeros((1, 3))], [np.array([18])])


def test_crystals_have_the_nets_that_bear_their_names() -> None:
    made = nets_of_bonds(CrystalBatch.join([DIAMOND, SODIUM, ALUMINIUM]))
    assert not made.refused
    expected = [net_signatures(reference_net(name))[0] for name in ("diamond", "bcc", "octet")]
    assert net_signatures(made.nets) == expected
    found = homogenize(made.nets.at_density(0.01)).stiffness_voigt[0]
    assert found == pytest.approx(homogenize(reference_net("diamond", 0.01)).stiffness_voigt[0], abs=1e-14)


def test_layers_and_loose_atoms_are_refused_and_the_rest_is_made() -> None:
    made = nets_of_bonds(CrystalBatch.join([GRAPHENE, DIAMOND, ARGON]))
    assert made.crystals.tolist() == [1]
    assert {crystal: problem for crystal, (problem, _) in made.refused.items()} == {
        0: NetProblem.NOT_PERIODIC,
        2: NetProblem.EMPTY,
    }
    assert nets_of_bonds(ARGON).nets.n_nets == 0


def test_bonds_that_symmetry_maps_onto_each_other_share_a_class() -> None:
    tetragonal = replace(ALUMINIUM, lattice=ALUMINIUM.lattice * [1.0, 1.0, 1.01])
    made = nets_of_bonds(CrystalBatch.join([ALUMINIUM, tetragonal]))
    of_first = made.bond_class[made.nets.net_of_strut == 0]
    assert len(of_first) == 6 and len(set(of_first)) == 1
    of_second = made.bond_class[made.nets.net_of_strut == 1]
    assert np.bincount(of_second - of_second.min()).tolist() == [2, 4]
    assert not {*of_first} & {*of_second}


def test_a_conventional_cell_has_the_stiffness_of_its_primitive_cell() -> None:
    corners = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    conventional = CrystalBatch.from_arrays(
        [np.eye(3) * 3.567], [np.concatenate([corners, corners + 0.25])], [np.full(8, 6)]
    )
    both = [homogenize(nets_of_bonds(one).nets.at_density(0.05)).stiffness_voigt for one in (conventional, DIAMOND)]
    assert both[0] == pytest.approx(both[1], abs=1e-14)
