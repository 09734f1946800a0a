"""Descriptors: the same numbers for every representation of a crystal, continuous, and telling where they should."""

import numpy as np
import pytest

from models.applicability.descriptor import DESCRIPTOR_GRAPH, describe, element_properties, feature_names
from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.graph import build_graph
from models.reference.crystals import (
    crystals_of_all_classes,
    in_cell,
    random_orthogonal,
    textbook_crystals,
    transformed,
)
from tests.models.applicability.known_networks import known_networks

CRYSTALS = CrystalBatch.join([crystals_of_all_classes(seed=5).crystals, textbook_crystals().crystals])
SMALL = textbook_crystals().crystals


def described(crystals: CrystalBatch) -> Floats:
    return describe(crystals, build_graph(crystals, DESCRIPTOR_GRAPH))


def feature(crystals: CrystalBatch, name: str) -> Floats:
    return described(crystals)[:, feature_names().index(name)]


REFERENCE = described(CRYSTALS)


def test_there_is_a_finite_number_for_every_name() -> None:
    assert REFERENCE.shape == (CRYSTALS.n_crystals, len(feature_names())) == (42, 54)
    assert len(set(feature_names())) == 54
    assert np.isfinite(REFERENCE).all()
    assert described(CRYSTALS.select([])).shape == (0, 54)


@pytest.mark.parametrize("sign", [1, -1], ids=["rotation", "reflection"])
def test_descriptors_do_not_depend_on_the_frame(sign: int) -> None:
    turned = transformed(CRYSTALS, sign * random_orthogonal(np.random.default_rng(7)))
    assert described(turned) == pytest.approx(REFERENCE, abs=1e-8)


@pytest.mark.parametrize(
    "cell",
    [np.diag([2, 1, 1]), np.array([[1, 1, 0], [0, 1, -1], [0, 0, 1]]), np.diag([1, 1, -1])],
    ids=["doubled", "skewed", "left-handed"],
)
def test_descriptors_do_not_depend_on_the_cell(cell: np.ndarray) -> None:
    assert described(in_cell(SMALL, cell)) == pytest.approx(described(SMALL), abs=1e-8)


def test_descriptors_do_not_depend_on_origin_order_or_company() -> None:
    rng = np.random.default_rng(8)
    order = np.lexsort((rng.random(len(CRYSTALS.numbers)), CRYSTALS.crystal_of_atom))
    mixed = CrystalBatch(
        CRYSTALS.lattice, CRYSTALS.frac_coords[order] + 0.613, CRYSTALS.numbers[order], CRYSTALS.crystal_of_atom
    )
    assert described(mixed) == pytest.approx(REFERENCE, abs=1e-8)
    assert described(CRYSTALS.select([3])) == pytest.approx(REFERENCE[[3]], abs=1e-8)


def test_rounding_of_the_cell_changes_nothing_and_a_tenth_of_an_angstrom_does() -> None:
    rng = np.random.default_rng(9)

    def shaken(size: float) -> Floats:
        noise = size * rng.normal(size=CRYSTALS.frac_coords.shape)
        steps = np.einsum("ni,nij->nj", noise, np.linalg.inv(CRYSTALS.lattice)[CRYSTALS.crystal_of_atom])
        return described(
            CrystalBatch(CRYSTALS.lattice, CRYSTALS.frac_coords + steps, CRYSTALS.numbers, CRYSTALS.crystal_of_atom)
        )

    assert np.abs(shaken(1e-7) - REFERENCE).max() < 1e-5
    moved = np.abs(shaken(0.1) - REFERENCE).max(axis=1)
    assert moved[CRYSTALS.atoms_per_crystal > 1].min() > 1e-3  # negative control


def test_descriptors_do_not_jump_when_atoms_enter_or_leave_the_graph() -> None:
    """A body-centred cell is stretched by 80 % in 800 steps: the number of edges jumps, the descriptors do not."""
    lattices = [np.diag([3.0, 3.0, 3.0 * ratio]) for ratio in np.linspace(0.8, 1.6, 801)]
    frac, numbers = np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), np.array([12, 8])
    crystals = CrystalBatch.from_arrays(lattices, [frac] * 801, [numbers] * 801)
    graph = build_graph(crystals, DESCRIPTOR_GRAPH)
    n_edges = np.bincount(crystals.crystal_of_atom[graph.center])
    assert np.abs(np.diff(n_edges)).max() >= 4
    assert np.abs(np.diff(describe(crystals, graph), axis=0)).max() < 0.008


def test_another_element_in_the_same_place_is_another_descriptor() -> None:
    swapped = CrystalBatch(SMALL.lattice, SMALL.frac_coords, SMALL.numbers + 1, SMALL.crystal_of_atom)
    assert (np.abs(described(swapped) - described(SMALL)).max(axis=1) > 1e-3).all()


def test_layers_are_more_anisotropic_than_frameworks_and_cubic_crystals_not_at_all() -> None:
    crystals = {known.name: known.crystal for known in known_networks()}
    anisotropy = {name: feature(each, "bond_anisotropy_of_crystal")[0] for name, each in crystals.items()}
    assert anisotropy["diamond"] == pytest.approx(0.0, abs=1e-9)
    assert min(anisotropy["graphite"], anisotropy["boron nitride"]) > 0.3
    assert feature(crystals["graphene"], "log_packing") > feature(crystals["graphite"], "log_packing") + 0.5


def test_compounds_of_unlike_elements_are_ionic_and_elements_are_not() -> None:
    names = list(textbook_crystals().names)
    ionicity = feature(SMALL, "bond_ionicity")
    assert ionicity[names.index("diamond")] == ionicity[names.index("copper")] == 0.0
    assert ionicity[names.index("rocksalt MgO")] > ionicity[names.index("zinc blende GaAs")] > 0.0


def test_element_properties_are_complete_and_between_zero_and_one() -> None:
    names, table = element_properties()
    assert table.shape == (119, len(names)) == (119, 9)
    assert ((table >= 0) & (table <= 1)).all()
    negativity = table[:, names.index("electronegativity")]
    assert negativity[9] == 1.0 > negativity[8] > negativity[14] > negativity[55]
