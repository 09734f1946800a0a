"""The content id: what it must not see, and what it must."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gmt_tasks.identity import content_ids
from models.crystal import CrystalBatch

Floats = NDArray[np.float64]

LATTICE = np.array([[4.0, 0.1, 0.0], [0.0, 5.0, 0.3], [0.2, 0.0, 6.0]])
NUMBERS = np.array([38, 22, 8, 8, 8])


def positions(seed: int = 0) -> Floats:
    """Five positions with five digits, as files have them."""
    return np.random.default_rng(seed).integers(0, 100_000, (5, 3)) / 100_000


def one(lattice: Floats, frac_coords: Floats, numbers: NDArray[np.int64]) -> str:
    return content_ids(CrystalBatch.from_arrays([lattice], [frac_coords], [numbers]))[0]


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10_000), st.permutations(range(5)), st.lists(st.integers(-5, 5), min_size=15, max_size=15))
def test_atom_order_and_added_lattice_vectors_do_not_change_it(seed: int, order: list[int], shifts: list[int]) -> None:
    frac_coords = positions(seed)
    moved = frac_coords[order] + np.array(shifts).reshape(5, 3)
    assert one(LATTICE, moved, NUMBERS[order]) == one(LATTICE, frac_coords, NUMBERS)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000))
def test_five_digit_coordinates_lie_on_no_rounding_edge(seed: int) -> None:
    noise = np.random.default_rng(seed).uniform(-1e-10, 1e-10, (5, 3))
    assert one(LATTICE, positions(seed) + noise, NUMBERS) == one(LATTICE, positions(seed), NUMBERS)


def test_zero_and_a_hair_below_zero_are_the_same_position() -> None:
    frac_coords = positions()
    frac_coords[0] = 0.0
    below = frac_coords.copy()
    below[0] = -1e-17
    assert one(LATTICE, below, NUMBERS) == one(LATTICE, frac_coords, NUMBERS)


@pytest.mark.parametrize("change", ["species", "position", "lattice", "swap", "rotation", "missing atom"])
def test_another_crystal_has_another_id(change: str) -> None:
    lattice, frac_coords, numbers = LATTICE.copy(), positions(), NUMBERS.copy()
    if change == "species":
        numbers[0] = 56
    elif change == "position":
        frac_coords[1, 2] += 0.001
    elif change == "lattice":
        lattice[0, 0] += 0.001
    elif change == "swap":
        numbers[[0, 1]] = numbers[[1, 0]]
    elif change == "rotation":
        # On purpose: the stored tensors are in the frame of the stored lattice.
        lattice = lattice @ np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    else:
        frac_coords, numbers = frac_coords[:4], numbers[:4]
    assert one(lattice, frac_coords, numbers) != one(LATTICE, positions(), NUMBERS)


def test_ids_of_a_batch_are_those_of_its_crystals_alone() -> None:
    lattices = [LATTICE * scale for scale in (1.0, 1.1, 1.2)]
    counts = (5, 3, 4)
    coords = [positions(k)[:n] for k, n in enumerate(counts)]
    species = [NUMBERS[:n] for n in counts]
    together = content_ids(CrystalBatch.from_arrays(lattices, coords, species))
    assert together == [one(a, x, z) for a, x, z in zip(lattices, coords, species, strict=True)]
    assert len(set(together)) == 3


def test_the_form_is_promised() -> None:
    content_id = one(LATTICE, positions(), NUMBERS)
    assert content_id.startswith("gx-") and len(content_id) == 23
    assert set(content_id[3:]) <= set("0123456789abcdef")


def test_an_empty_batch_has_no_ids() -> None:
    assert content_ids(CrystalBatch.from_arrays([], [], [])) == []
