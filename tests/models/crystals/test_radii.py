"""Radii of atoms against another table of the same paper, and against common sense."""

import numpy as np
import pytest
from pymatgen.analysis.molecule_structure_comparator import CovalentRadius

from models.crystals.crystal import SYMBOLS
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM, VDW_RADIUS_ANGSTROM

OTHER_STATES = {"C": 0.73, "Mn": 1.50, "Fe": 1.42, "Co": 1.38}
"""pymatgen takes carbon in its double bond and the three metals in high spin, we take diamond and low spin."""


def test_covalent_radii_are_those_of_cordero_as_pymatgen_lists_them() -> None:
    differing = {
        symbol: radius
        for symbol, radius in CovalentRadius.radius.items()
        if abs(radius - COVALENT_RADIUS_ANGSTROM[SYMBOLS.index(symbol)]) > 1e-9
    }
    assert differing == OTHER_STATES


@pytest.mark.parametrize(("symbol", "radius"), [("H", 1.20), ("C", 1.77), ("O", 1.50), ("S", 1.89), ("Cs", 3.48)])
def test_van_der_waals_radii_are_those_of_alvarez(symbol: str, radius: float) -> None:
    assert VDW_RADIUS_ANGSTROM[SYMBOLS.index(symbol)] == radius


def test_every_atom_is_larger_than_its_bonds() -> None:
    assert (VDW_RADIUS_ANGSTROM[1:97] > COVALENT_RADIUS_ANGSTROM[1:97]).all()
    assert np.isfinite(VDW_RADIUS_ANGSTROM).all()
