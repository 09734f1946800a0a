"""Cells that are given transposed or in another unit of length, and what rows state beside them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmt_tasks.labels.checks.cell import look_at_cells, nearest_contacts
from gmt_tasks.labels.checks.stated import composition_fault, group_contradiction
from gmt_tasks.labels.kinds import read_label
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.sources.generated.reference_crystals import reference_crystals
from models.crystals.crystal import CrystalBatch
from tests.gmt_tasks.labels.planted_faults import good_rows, nearest_contact

KNOWN = [crystal for crystal in reference_crystals().values() if len(crystal.numbers) <= 12]
BOOKS = CrystalBatch.from_arrays(
    [crystal.lattice for crystal in KNOWN],
    [crystal.frac_coords for crystal in KNOWN],
    [crystal.numbers for crystal in KNOWN],
)
"""Well-known crystals with measured structures."""


def with_lattices(crystals: CrystalBatch, lattices: Any) -> CrystalBatch:
    atoms = [slice(crystals.first_atom[k], crystals.first_atom[k + 1]) for k in range(crystals.n_crystals)]
    return CrystalBatch.from_arrays(
        list(lattices), [crystals.frac_coords[k] for k in atoms], [crystals.numbers[k] for k in atoms]
    )


def test_well_known_crystals_are_right_as_they_are() -> None:
    findings = look_at_cells(BOOKS, 0.01)
    assert findings.faults == {}
    assert 0 not in findings.spacegroup


@pytest.mark.parametrize(("factor", "name"), [(1.8897261, "bohr"), (1 / 1.8897261, "twice"), (0.1, "nm")])
def test_units_of_length_are_named(factor: float, name: str) -> None:
    faults = look_at_cells(with_lattices(BOOKS, factor * BOOKS.lattice), 0.01).faults
    assert len(faults) >= 0.9 * BOOKS.n_crystals
    assert {reason for reason, _ in faults.values()} == {LabelReason.CELL_UNIT}
    assert all(name in detail for _, detail in faults.values())


def test_transposed_lattices_of_hexagonal_cells_are_named_and_orthogonal_ones_are_the_same() -> None:
    lattices = np.swapaxes(BOOKS.lattice, 1, 2)
    metric = BOOKS.lattice @ lattices
    changes = np.abs(lattices @ BOOKS.lattice - metric).max(axis=(1, 2)) > 1e-3 * np.abs(metric).max(axis=(1, 2))
    faults = look_at_cells(with_lattices(BOOKS, lattices), 0.01).faults
    assert changes.sum() > 5
    assert set(faults) <= set(np.flatnonzero(changes).tolist())
    assert len(faults) >= 0.8 * changes.sum()
    assert {reason for reason, _ in faults.values()} == {LabelReason.LATTICE_TRANSPOSED}


def test_the_nearest_contact_is_that_of_a_search_by_hand() -> None:
    crystals = [BOOKS.select(np.array([k])) for k in range(0, BOOKS.n_crystals, 7)]
    for one, contact in zip(crystals, nearest_contacts(CrystalBatch.join(crystals)), strict=True):
        assert contact == pytest.approx(nearest_contact(one.lattice[0], one.frac_coords, one.numbers))


@settings(max_examples=20)
@given(st.floats(1e-4, 1e3))
def test_no_size_of_a_cell_costs_more_than_its_neighbours(scale: float) -> None:
    one = BOOKS.select(np.array([0]))
    assert nearest_contacts(with_lattices(one, scale * one.lattice)).shape == (1,)


ROW = good_rows(1)[0]


@pytest.mark.parametrize(
    ("stated", "reason"),
    [
        ({}, None),
        ({"formula": "no formula at all"}, None),
        ({"formula": "Fe2O3"}, LabelReason.COMPOSITION_MISMATCH),
        ({"nsites": 2 * len(ROW["species"])}, None),  # of the conventional cell
        ({"nsites": 2 * len(ROW["species"]) + 1}, LabelReason.INCONSISTENT),
        ({"nsites": True}, None),
        ({"volume": 1.05}, None),
        ({"volume": 2.0}, None),
        ({"volume": 1.4}, LabelReason.INCONSISTENT),
        ({"volume": 1.8897261**3}, LabelReason.CELL_UNIT),
        ({"volume_per_atom": 1.8897261**-3}, LabelReason.CELL_UNIT),
    ],
)
def test_what_a_row_states_is_compared_with_its_cell(stated: dict[str, Any], reason: LabelReason | None) -> None:
    volume = abs(np.linalg.det(np.array(ROW["lattice"])))
    actual = {"volume": volume, "volume_per_atom": volume / len(ROW["species"])}
    given = {key: value * actual.get(key, 1) if key in actual else value for key, value in stated.items()}
    fault = composition_fault(read_label(ROW | given))
    assert (None if fault is None else fault[0]) == reason


def test_a_stated_group_contradicts_only_where_no_tolerance_and_no_mirror_image_explains_it() -> None:
    label = read_label(ROW)
    number = look_at_cells(CrystalBatch.from_arrays([label.lattice], [label.frac_coords], [label.numbers]), 0.01)
    found, symbol = number.spacegroup[0], number.point_group[0]
    for stated, says in (
        ({"spacegroup": found, "point_group": symbol}, ""),
        ({"spacegroup": 1, "point_group": "1"}, ""),  # symmetry switched off
        ({"spacegroup": 225}, "space group 225 stated"),
        ({"point_group": "m-3m"}, "point group m-3m stated"),
        ({"spacegroup": "Fm-3m"}, ""),
    ):
        assert says in group_contradiction(read_label(ROW | stated), found, symbol)
        assert bool(says) == bool(group_contradiction(read_label(ROW | stated), found, symbol))
