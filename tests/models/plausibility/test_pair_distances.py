"""Distances: molecules and crystals of known bond lengths, equivalent representations, and a plain sum over images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.crystals.crystal import SYMBOLS, CrystalBatch, Floats, Ints
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM
from models.plausibility.pair_distances import LEAST_RATIO, LEAST_RATIO_OF_ACTINIDES, pair_distances


def cell(a: float, frac_coords: list[list[float]], symbols: str) -> CrystalBatch:
    """A cubic cell of edge a in angstrom."""
    numbers = np.array([SYMBOLS.index(symbol) for symbol in symbols.split()])
    return CrystalBatch.from_arrays([a * np.eye(3)], [np.array(frac_coords, float)], [numbers])


def pair(distance: float, symbols: str) -> CrystalBatch:
    """Two atoms so many angstrom apart in a large box."""
    return cell(12.0, [[0, 0, 0], [distance / 12, 0, 0]], symbols)


@pytest.mark.parametrize(
    ("batch", "ratio"),
    [
        (pair(0.741, "H H"), None),  # longer than the sum of the radii: out of reach
        (pair(0.5, "H H"), 0.5 / 0.62),
        (pair(1.098, "N N"), 1.098 / 1.42),
        (pair(1.76, "U O"), 1.76 / 2.62),
        (cell(3.0, [[0, 0, 0]], "Cs"), 3.0 / 4.88),  # an atom and its own image
        (cell(5.64, [[0, 0, 0], [0.5, 0.5, 0.5]], "Na Cl"), None),
    ],
)
def test_the_ratio_is_the_distance_over_the_sum_of_radii(batch: CrystalBatch, ratio: float | None) -> None:
    (found,) = pair_distances(batch).ratio
    assert found == (np.inf if ratio is None else pytest.approx(ratio))


def test_short_bonds_of_nature_pass_and_overlaps_do_not() -> None:
    # H2, N2, CO, uranyl; then Na-Cl at 1.7, Ba-Ba at 2.9 and H-H at 0.4 angstrom
    bonds = [pair(0.741, "H H"), pair(1.098, "N N"), pair(1.128, "C O"), pair(1.76, "U O")]
    overlaps = [pair(1.7, "Na Cl"), pair(2.9, "Ba Ba"), pair(0.42, "H H")]
    assert pair_distances(CrystalBatch.join(bonds + overlaps)).passed.tolist() == [True] * 4 + [False] * 3


def test_a_pair_with_an_actinide_has_its_own_least_ratio_and_hides_no_other_pair() -> None:
    sites = [[0, 0, 0], [1.72 / 12, 0, 0], [0, 0.5, 0.5], [1.7 / 12, 0.5, 0.5]]
    found = pair_distances(cell(12.0, sites, "U O Na Cl"))
    assert found.atoms.tolist() == [[2, 3]] and found.least.tolist() == [LEAST_RATIO]
    assert not found.passed[0] and "Na-Cl (atoms 2 and 3, 0-based) 1.700 angstrom" in found.sentence(0)
    alone = pair_distances(pair(1.72, "U O"))
    assert alone.passed[0] and alone.least[0] == LEAST_RATIO_OF_ACTINIDES


def by_images(batch: CrystalBatch) -> Floats:
    """Lowest ratio over its limit of every crystal, from all images within three cells."""
    shifts = np.array([(i, j, k) for i in range(-3, 4) for j in range(-3, 4) for k in range(-3, 4)])
    lowest = []
    for k in range(batch.n_crystals):
        atoms = slice(batch.first_atom[k], batch.first_atom[k + 1])
        frac, numbers = batch.frac_coords[atoms] % 1.0, batch.numbers[atoms]
        vectors = (frac[None, :, None] + shifts - frac[:, None, None]) @ batch.lattice[k]
        distance = np.linalg.norm(vectors, axis=-1)
        distance[np.arange(len(frac)), np.arange(len(frac)), len(shifts) // 2] = np.inf
        radius = COVALENT_RADIUS_ANGSTROM[numbers]
        lowest.append((distance.min(axis=2) / (radius[:, None] + radius)).min())
    return np.array(lowest)


def random_crystals(seed: int, n_crystals: int = 4) -> CrystalBatch:
    """Triclinic cells with one to five atoms."""
    rng = np.random.default_rng(seed)
    lattices = [np.eye(3) * 4.0 + rng.normal(0, 0.8, (3, 3)) for _ in range(n_crystals)]
    counts = rng.integers(1, 6, n_crystals)
    numbers: list[Ints] = [rng.integers(1, 84, n) for n in counts]
    return CrystalBatch.from_arrays(lattices, [rng.random((n, 3)) for n in counts], numbers)


@given(st.integers(0, 2**32 - 1))
def test_the_ratio_is_the_lowest_of_all_pairs_and_images(seed: int) -> None:
    batch = random_crystals(seed)
    expected = by_images(batch)
    found = pair_distances(batch).ratio
    np.testing.assert_allclose(found, np.where(expected <= 1, expected, np.inf), rtol=1e-9)


@given(st.integers(0, 2**32 - 1))
def test_no_rotation_origin_order_or_cell_changes_the_ratio_but_a_strain_does(seed: int) -> None:
    batch = random_crystals(seed)
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    shear = np.array([[1, 0, 0], [1, 1, 0], [-1, 2, 1]])
    order = np.concatenate(
        [rng.permutation(np.arange(*ends)) for ends in np.c_[batch.first_atom[:-1], batch.first_atom[1:]]]
    )
    other = CrystalBatch(
        shear @ batch.lattice @ rotation,
        (batch.frac_coords[order] + rng.random(3)) @ np.linalg.inv(shear),
        batch.numbers[order],
        batch.crystal_of_atom,
    )
    ratio = pair_distances(batch).ratio
    np.testing.assert_allclose(pair_distances(other).ratio, ratio, rtol=1e-6)
    smaller = CrystalBatch(0.9 * batch.lattice, batch.frac_coords, batch.numbers, batch.crystal_of_atom)
    is_near = np.isfinite(ratio)
    np.testing.assert_allclose(pair_distances(smaller).ratio[is_near], 0.9 * ratio[is_near], rtol=1e-9)


def test_no_crystals_have_no_distances() -> None:
    assert pair_distances(CrystalBatch.from_arrays([], [], [])).ratio.shape == (0,)
