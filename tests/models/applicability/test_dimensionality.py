"""Dimensions of bonded networks: textbook structures, and the same answer for every representation of a crystal."""

import numpy as np
import pytest

from models.applicability.descriptor import DESCRIPTOR_GRAPH
from models.applicability.dimensionality import find_bonds, network_dimension
from models.crystals.crystal import CrystalBatch
from models.crystals.graph import build_graph
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM
from models.reference.crystals import crystals_of_all_classes, in_cell, random_orthogonal, transformed
from tests.models.applicability.known_networks import Known, known_networks

KNOWN = known_networks()
ALL = CrystalBatch.join(each.crystal for each in KNOWN)


def dimension_of(crystals: CrystalBatch) -> list[int]:
    return network_dimension(crystals, build_graph(crystals, DESCRIPTOR_GRAPH)).tolist()


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_textbook_structures_have_their_dimension(known: Known) -> None:
    assert dimension_of(known.crystal) == [known.dimension]


def test_a_crystal_has_its_dimension_in_any_company() -> None:
    assert dimension_of(ALL) == [known.dimension for known in KNOWN]


@pytest.mark.parametrize(
    "cell",
    [np.diag([2, 1, 1]), np.diag([2, 2, 2]), np.array([[1, 2, 0], [0, 1, -1], [0, 0, 1]]), np.diag([1, -1, 1])],
    ids=["doubled", "eightfold", "skewed", "left-handed"],
)
def test_the_dimension_does_not_depend_on_the_cell(cell: np.ndarray) -> None:
    small = CrystalBatch.join(known.crystal for known in KNOWN if len(known.crystal.numbers) < 20)
    assert dimension_of(in_cell(small, cell)) == dimension_of(small)


def test_the_dimension_does_not_depend_on_frame_origin_or_order() -> None:
    rng = np.random.default_rng(1)
    turned = transformed(ALL, -random_orthogonal(rng))
    moved = CrystalBatch(turned.lattice, turned.frac_coords + 3.7, turned.numbers, turned.crystal_of_atom)
    order = np.lexsort((rng.random(len(moved.numbers)), moved.crystal_of_atom))
    mixed = CrystalBatch(moved.lattice, moved.frac_coords[order], moved.numbers[order], moved.crystal_of_atom)
    assert dimension_of(mixed) == dimension_of(ALL)


def test_stretching_the_layers_apart_changes_nothing_and_pressing_them_together_does() -> None:
    graphite = next(known.crystal for known in KNOWN if known.name == "graphite")

    def scaled(factor: float) -> CrystalBatch:
        lattice = graphite.lattice * np.array([1, 1, factor])
        return CrystalBatch(lattice, graphite.frac_coords, graphite.numbers, graphite.crystal_of_atom)

    assert dimension_of(scaled(1.5)) == [2]
    assert dimension_of(scaled(0.5)) == [3]  # negative control: 1.7 angstrom is a bond


def test_bonds_point_to_the_image_that_is_bonded() -> None:
    crystals = crystals_of_all_classes(seed=2).crystals
    bonds = find_bonds(crystals, build_graph(crystals, DESCRIPTOR_GRAPH))
    frac = crystals.frac_coords[bonds.second] + bonds.shift - crystals.frac_coords[bonds.first]
    vector = np.einsum("bi,bij->bj", frac, crystals.lattice[crystals.crystal_of_atom[bonds.first]])
    radius = COVALENT_RADIUS_ANGSTROM[crystals.numbers]
    radii = radius[bonds.first] + radius[bonds.second]
    assert len(bonds.first) > 100
    assert (np.linalg.norm(vector, axis=1) < np.maximum(radii + 0.45, 1.15 * radii)).all()
