"""The canonical order: one crystal, one order, whatever the order of its atoms and its origin."""

import numpy as np

from models.crystals.canonical_order import canonical_order
from models.crystals.crystal import CrystalBatch, Floats
from models.reference.crystals import CRYSTAL_CLASSES, random_crystal, transformed
from models.symmetry.search import find_symmetry
from models.testing.contract import crystals_of_all_classes, textbook_crystals

CLASSIFIED = crystals_of_all_classes(seed=6).crystals


def rearranged(batch: CrystalBatch, seed: int) -> CrystalBatch:
    """Another order of atoms and another origin."""
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(batch.numbers)), batch.crystal_of_atom))
    shift = rng.random((batch.n_crystals, 3))[batch.crystal_of_atom]
    return CrystalBatch(batch.lattice, batch.frac_coords[order] + shift, batch.numbers[order], batch.crystal_of_atom)


def triclinic(seed: int) -> CrystalBatch:
    """Crystals without symmetry: no two atoms of them are equivalent."""
    rng = np.random.default_rng(seed)
    return CrystalBatch.join(random_crystal("1", rng).as_batch() for _ in range(6))


def distances(first: CrystalBatch, second: CrystalBatch) -> Floats:
    """Distance between atoms of the same place in two representations, by nearest image, as fractions."""
    difference = first.frac_coords - second.frac_coords
    return np.abs(difference - np.round(difference)).max(axis=1)


def test_crystals_without_symmetry_have_one_canonical_order() -> None:
    batch = triclinic(3)
    expected, again = canonical_order(batch), rearranged(batch, 1)
    found = canonical_order(again)
    assert np.array_equal(found.numbers, expected.numbers)
    assert distances(found, expected).max() < 1e-9
    assert distances(again, batch).max() > 0.1  # negative control: it is another representation


def test_the_order_is_that_of_the_transformed_crystal_and_of_its_mirror_image() -> None:
    batch = triclinic(4)
    expected = canonical_order(batch)
    for operation in (-np.eye(3), np.diag([1.0, -1.0, 1.0])):
        found = canonical_order(transformed(batch, operation))
        assert np.array_equal(found.numbers, expected.numbers)
        assert distances(found, expected).max() < 1e-9


def test_equivalent_atoms_are_neighbours_in_the_order_and_the_first_is_the_origin() -> None:
    ordered = canonical_order(CLASSIFIED)
    assert np.array_equal(ordered.crystal_of_atom, CLASSIFIED.crystal_of_atom)
    assert np.array_equal(ordered.frac_coords[ordered.first_atom[:-1]], np.zeros((len(CRYSTAL_CLASSES), 3)))
    for k in range(ordered.n_crystals):
        numbers = ordered.numbers[ordered.first_atom[k] : ordered.first_atom[k + 1]]
        assert (np.diff(numbers) >= 0).all()
    again = canonical_order(rearranged(CLASSIFIED, 2))
    assert np.array_equal(again.numbers, ordered.numbers)


def test_it_is_the_same_crystal_with_the_same_symmetry() -> None:
    batch = textbook_crystals().crystals
    ordered = canonical_order(batch)
    assert np.array_equal(ordered.lattice, batch.lattice)
    assert ordered.formulas() == batch.formulas()
    assert np.array_equal(find_symmetry(ordered).number, find_symmetry(batch).number)


def test_coordinates_at_the_edge_of_the_cell_do_not_jump() -> None:
    batch = textbook_crystals().crystals
    noise = np.random.default_rng(0).normal(size=batch.frac_coords.shape) * 1e-13
    ordered = canonical_order(
        CrystalBatch(batch.lattice, batch.frac_coords + noise, batch.numbers, batch.crystal_of_atom)
    )
    assert ordered.frac_coords.min() > -1e-8
    assert ordered.frac_coords.max() < 1 - 1e-10


def test_no_crystals_give_no_crystals() -> None:
    assert canonical_order(CrystalBatch.from_arrays([], [], [])).n_crystals == 0
