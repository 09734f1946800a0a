"""Vacuum: known slabs and crystals, the same width in every representation, and a width that follows the cell."""

import numpy as np
import pytest

from models.applicability.vacuum import MIN_VACUUM_ANGSTROM, _widest_gap, vacuum_width
from models.crystals.crystal import CrystalBatch
from models.crystals.radii import VDW_RADIUS_ANGSTROM
from models.reference.crystals import in_cell, random_orthogonal, transformed
from tests.models.applicability.known_networks import Known, hexagonal, known_networks

KNOWN = known_networks()
ALL = CrystalBatch.join(each.crystal for each in KNOWN)


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_layers_in_vacuum_are_distinguished_from_layered_crystals(known: Known) -> None:
    width = vacuum_width(known.crystal)[0]
    assert (width > MIN_VACUUM_ANGSTROM) == known.in_vacuum


def test_the_vacuum_over_graphene_is_what_its_atoms_leave_of_the_cell() -> None:
    frac, numbers = np.array([[1 / 3, 2 / 3, 0.1], [2 / 3, 1 / 3, 0.1]]), np.array([6, 6])
    for height in (12.0, 15.0, 40.0):
        slab = CrystalBatch.from_arrays([hexagonal(2.464, height)], [frac], [numbers])
        assert vacuum_width(slab)[0] == pytest.approx(height - 2 * VDW_RADIUS_ANGSTROM[6])


@pytest.mark.parametrize(
    "cell",
    [np.diag([3, 1, 1]), np.array([[1, 2, 0], [0, 1, -1], [0, 0, 1]]), np.array([[1, 0, 0], [0, 1, 0], [1, 1, -1]])],
    ids=["tripled", "skewed", "leaning, left-handed"],
)
def test_the_width_does_not_depend_on_cell_frame_or_origin(cell: np.ndarray) -> None:
    turned = transformed(ALL, random_orthogonal(np.random.default_rng(4)))
    moved = CrystalBatch(turned.lattice, turned.frac_coords - 0.37, turned.numbers, turned.crystal_of_atom)
    assert vacuum_width(in_cell(moved, cell)) == pytest.approx(vacuum_width(ALL), abs=1e-6)


def test_filling_the_vacuum_ends_it() -> None:
    slab = next(known.crystal for known in KNOWN if known.name == "graphene")
    frac = np.concatenate([slab.frac_coords, [[0.0, 0.0, 0.0]]])
    filled = CrystalBatch.from_arrays(slab.lattice, [frac], [np.array([6, 6, 18])])
    assert vacuum_width(filled)[0] < MIN_VACUUM_ANGSTROM < vacuum_width(slab)[0]


def test_the_widest_gap_of_a_circle_agrees_with_counting_points() -> None:
    rng = np.random.default_rng(6)
    grid = np.arange(4000) / 4000
    for _ in range(50):
        height, radius = rng.random(4), rng.uniform(0.0, 0.3, 4)
        apart = np.abs((grid[:, None] - height + 0.5) % 1.0 - 0.5)
        free = (apart > radius).all(axis=1)
        runs = "".join("1" if point else "0" for point in np.concatenate([free, free])).split("0")
        longest = 0.0 if free.all() else max(len(run) for run in runs) / 4000
        found = _widest_gap(height, radius, np.zeros(4, np.int64), 1)[0]
        assert found == pytest.approx(longest, abs=1e-3)
