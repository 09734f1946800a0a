"""Volumes: known crystals are near their expectation, and scaled ones as far from it as they were scaled."""

import numpy as np
import pytest

from gmt_tasks.sources.generated.reference_crystals import reference_crystals
from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.plausibility.volumes import LEAST_RATIO, MOST_RATIO, element_volumes, volumes_of


def references() -> CrystalBatch:
    known = reference_crystals().values()
    return CrystalBatch.from_arrays(
        *([getattr(c, name) for c in known] for name in ("lattice", "frac_coords", "numbers"))
    )


def test_well_known_crystals_lie_near_the_expectation() -> None:
    ratio = volumes_of(references()).ratio
    assert np.median(np.abs(ratio - 1)) < 0.2
    assert (np.abs(np.log(ratio)) < np.log(2)).all()


@pytest.mark.parametrize("factor", [0.2, 0.9, 1.3, 8.0])
def test_the_ratio_is_that_of_the_cell_and_does_not_know_its_size(factor: float) -> None:
    batch = references()
    scaled = CrystalBatch(batch.lattice * factor ** (1 / 3), batch.frac_coords, batch.numbers, batch.crystal_of_atom)
    np.testing.assert_allclose(volumes_of(scaled).ratio, factor * volumes_of(batch).ratio)
    doubled = CrystalBatch(
        batch.lattice * np.array([2, 1, 1])[:, None],
        np.repeat(batch.frac_coords, 2, axis=0),
        np.repeat(batch.numbers, 2),
        np.repeat(batch.crystal_of_atom, 2),
    )
    np.testing.assert_allclose(volumes_of(doubled).ratio, volumes_of(batch).ratio)
    within = volumes_of(scaled).within()
    assert within.all() if factor in {0.9, 1.3} else not within.any()


def test_every_element_has_a_volume_and_the_bounds_are_wide() -> None:
    volumes = element_volumes()
    assert volumes.shape == (len(SYMBOLS),) and (volumes[1:] > 1).all() and (volumes < 150).all()
    assert LEAST_RATIO < 0.7 and MOST_RATIO > 2.5
