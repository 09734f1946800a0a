"""Free values of cells: there and back, and a volume that is the one asked for."""

import numpy as np
import pytest

from models.wyckoff.cell import FREE_VALUES, CellValue, cell_of_values, values_of_cell
from models.wyckoff.occupation import lattice_of_cell
from models.wyckoff.positions import space_group
from tests.models.wyckoff.drafts import known_crystals


def test_cells_of_known_crystals_come_back_from_their_free_values_alone() -> None:
    crystals = known_crystals()
    for number, cell in zip(crystals.space_group.tolist(), crystals.cell, strict=True):
        values = values_of_cell(cell, 7)
        free = list(FREE_VALUES[number])
        only = np.full(6, np.nan)
        only[free] = values[free]
        assert np.allclose(cell_of_values(number, only, 7), cell, rtol=1e-4)


@pytest.mark.parametrize("number", range(1, 231, 7))
def test_operations_keep_every_cell_of_free_values_and_the_volume_is_that_asked_for(number: int) -> None:
    """The metric of the cell is kept by all rotations; with a length that is not free changed it is not."""
    rng = np.random.default_rng(number)
    values = np.array([rng.uniform(8, 30), *rng.uniform(0.7, 1.5, 2), *rng.uniform(80, 100, 3)])
    cell = cell_of_values(number, values, 10)
    lattice = lattice_of_cell(cell)
    assert np.linalg.det(lattice) == pytest.approx(10 * values[CellValue.VOLUME])
    rotations = space_group(number).rotations
    metric = lattice @ lattice.T
    assert np.allclose(np.swapaxes(rotations, 1, 2) @ metric @ rotations, metric)
    if CellValue.B_OVER_A not in FREE_VALUES[number]:
        wrong = lattice_of_cell(cell * [1, 1.1, 1, 1, 1, 1])
        metric = wrong @ wrong.T
        assert not np.allclose(np.swapaxes(rotations, 1, 2) @ metric @ rotations, metric)


def test_angles_that_allow_no_lattice_give_lengths_that_are_no_numbers() -> None:
    cell = cell_of_values(1, np.array([10.0, 1.0, 1.0, 40.0, 40.0, 120.0]), 4)
    assert np.isnan(cell[:3]).all()
