"""Cells scaled by their bonds: measured volumes are met, and what does not fit is seen."""

import numpy as np
import pytest

from gmt_tasks.sources.generated.bond_lengths import MIN_CONTACT, Stretch, find_bonds, stretch
from gmt_tasks.sources.generated.decoration import MAX_MISFIT
from gmt_tasks.sources.generated.ions import Ion, oxidation_states
from gmt_tasks.sources.generated.parents import Parent
from gmt_tasks.sources.generated.reference_crystals import reference_crystals
from models.crystals.crystal import SYMBOLS


def parent_of(name: str) -> Parent:
    crystal = reference_crystals()[name]
    return Parent(crystal.source_id, crystal.lattice, crystal.frac_coords, crystal.numbers)


def ions_of(parent: Parent) -> dict[str, Ion]:
    states = oxidation_states(parent.numbers)
    return {SYMBOLS[number]: Ion(SYMBOLS[number], states and states[SYMBOLS[number]]) for number in parent.numbers}


def stretched(parent: Parent, **placed: Ion) -> Stretch:
    ions = ions_of(parent)
    charges = {name: ion.charge for name, ion in ions.items() if ion.charge is not None}
    result = stretch(find_bonds(parent, charges or None), ions, ions | placed)
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("name", "of", "placed"),
    [
        ("mgo", "cao", {"Mg": Ion("Ca", 2)}),
        ("srtio3", "ktao3", {"Sr": Ion("K", 1), "Ti": Ion("Ta", 5)}),
        ("linbo3", "litao3", {"Nb": Ion("Ta", 5)}),
        ("corundum", "eskolaite", {"Al": Ion("Cr", 3)}),
        ("rutile", "cassiterite", {"Ti": Ion("Sn", 4)}),
        ("gaas", "insb", {"Ga": Ion("In", 3), "As": Ion("Sb", -3)}),
        ("znse", "cdte", {"Zn": Ion("Cd", 2), "Se": Ion("Te", -2)}),
        ("caf2", "baf2", {"Ca": Ion("Ba", 2)}),
        ("si", "ge", {"Si": Ion("Ge", None)}),
    ],
)
def test_measured_volumes_of_the_same_structure_type_are_met(name: str, of: str, placed: dict[str, Ion]) -> None:
    parent, other = parent_of(name), parent_of(of)
    ratio = abs(np.linalg.det(other.lattice) / np.linalg.det(parent.lattice))
    assert stretched(parent, **placed).scale ** 3 == pytest.approx(ratio, rel=0.12)


@pytest.mark.parametrize("name", ["batio3-tetragonal", "quartz", "gaas", "si", "aggas2"])
def test_what_is_replaced_by_itself_keeps_its_cell(name: str) -> None:
    result = stretched(parent_of(name))
    assert (result.scale, result.misfit) == (pytest.approx(1), pytest.approx(0))
    assert result.contact > MIN_CONTACT


def test_scales_multiply_along_a_chain_of_substitutions() -> None:
    """Ratios of sums of radii: from MgO to CaO and on to SrO is from MgO to SrO."""
    parent = parent_of("mgo")
    direct = stretched(parent, Mg=Ion("Sr", 2)).scale
    ions = ions_of(parent)
    bonds = find_bonds(parent, {"Mg": 2, "O": -2})
    second = stretch(bonds, ions | {"Mg": Ion("Ca", 2)}, ions | {"Mg": Ion("Sr", 2)})
    assert second is not None
    assert stretched(parent, Mg=Ion("Ca", 2)).scale * second.scale == pytest.approx(direct)


def test_a_small_ion_on_a_large_site_is_a_misfit() -> None:
    """The negative control: magnesium with twelve oxygen neighbors."""
    assert stretched(parent_of("batio3-cubic"), Ba=Ion("Mg", 2)).misfit > MAX_MISFIT
    assert stretched(parent_of("batio3-cubic"), Ba=Ion("Sr", 2)).misfit < MAX_MISFIT


def test_the_scale_depends_on_no_representation() -> None:
    parent = parent_of("batio3-tetragonal")
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    cell = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 1]])
    frac_coords = parent.frac_coords @ np.linalg.inv(cell) + 0.3
    other = Parent("rotated", cell @ parent.lattice @ rotation, frac_coords[::-1], parent.numbers[::-1])
    one, two = (stretched(each, Ba=Ion("Sr", 2), O=Ion("S", -2)) for each in (parent, other))
    assert (one.scale, one.misfit, one.contact) == pytest.approx((two.scale, two.misfit, two.contact), rel=1e-9)


def test_an_ion_without_a_radius_gives_nothing() -> None:
    parent = parent_of("mgo")
    ions = ions_of(parent)
    assert stretch(find_bonds(parent, {"Mg": 2, "O": -2}), ions, ions | {"Mg": Ion("Xe", 2)}) is None
