"""One search instead of three, and hardly one by moyopy: what is found is what moyopy finds at every tolerance."""

import moyopy
import numpy as np
import pytest

from models.crystals.canonical_order import canonical_order
from models.crystals.crystal import CrystalBatch, Ints
from models.reference.crystals import in_cell, random_orthogonal, transformed
from models.symmetry import standard_setting
from models.symmetry.minkowski import reduce_cells
from models.symmetry.operations import moyo_dataset, spglib_dataset
from models.symmetry.search import SYMPRECS_ANGSTROM, find_symmetries, find_symmetry
from models.symmetry.space_group_tables import space_group_table
from models.testing.contract import crystals_of_all_classes, textbook_crystals
from tests.models.symmetry.space_groups import (
    FIRST_SETTINGS,
    STANDARD_SETTINGS,
    crystal_of_space_group,
    number_of,
    primitive_crystal,
)

CRYSTALS = CrystalBatch.join(
    [
        crystals_of_all_classes(seed=9).crystals,
        textbook_crystals().crystals,
        *(crystal_of_space_group(h).as_batch() for h in FIRST_SETTINGS[::2]),
    ]
)


def displaced(batch: CrystalBatch, length: float, strain: float, seed: int) -> CrystalBatch:
    """Crystals in random orientation whose atoms are moved by `length` angstrom and whose cells are strained."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(len(batch.numbers), 3))
    steps *= length / np.linalg.norm(steps, axis=1)[:, None]
    inverse = np.linalg.inv(batch.lattice)[batch.crystal_of_atom]
    frac = batch.frac_coords + np.einsum("ni,nij->nj", steps, inverse)
    stretch = np.eye(3) + strain * rng.uniform(-1, 1, size=(batch.n_crystals, 3, 3))
    turned = transformed(batch, random_orthogonal(rng) * rng.choice([-1, 1]))
    return CrystalBatch(turned.lattice @ stretch, frac, batch.numbers, batch.crystal_of_atom)


def halls_of_full_searches(batch: CrystalBatch) -> Ints:
    ordered = canonical_order(batch)
    found = []
    for crystal in range(batch.n_crystals):
        datasets = [moyo_dataset(ordered, crystal, symprec) for symprec in SYMPRECS_ANGSTROM]
        found.append([dataset.hall_number if dataset is not None else 0 for dataset in datasets])
    return np.array(found)


@pytest.mark.parametrize("length", [0.0, 3e-4, 2e-3, 8e-3, 2e-2, 7e-2])
@pytest.mark.parametrize("strain", [0.0, 2e-4, 1e-2])
def test_groups_are_those_of_a_full_search_at_every_tolerance(length: float, strain: float) -> None:
    batch = displaced(CRYSTALS, length, strain, seed=round(1e6 * (length + strain)))
    expected = halls_of_full_searches(batch)
    found = np.stack([each.hall_number for each in find_symmetries(batch, SYMPRECS_ANGSTROM)], axis=1)
    searched = expected > 0  # elsewhere spglib is asked
    assert searched.mean() > 0.95
    assert np.array_equal(found[searched], expected[searched])


def test_groups_of_supercells_are_those_of_a_full_search() -> None:
    small = CRYSTALS.select(np.flatnonzero(CRYSTALS.atoms_per_crystal <= 12))
    batch = displaced(in_cell(small, np.diag([1, 2, 1])), 4e-3, 0.0, seed=3)
    expected = halls_of_full_searches(batch)
    found = np.stack([each.hall_number for each in find_symmetries(batch, SYMPRECS_ANGSTROM)], axis=1)
    assert np.array_equal(found, expected)
    assert (expected[:, 0] != expected[:, 1]).any()


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The tolerances of moyopy's searches."""
    tolerances: list[float] = []

    def dataset(batch: CrystalBatch, crystal: int, symprec: float) -> moyopy.MoyoDataset | None:
        tolerances.append(symprec)
        return moyo_dataset(batch, crystal, symprec)

    monkeypatch.setattr(standard_setting, "moyo_dataset", dataset)
    return tolerances


@pytest.mark.parametrize("length", [0.0, 3e-3])
def test_settings_of_all_groups_are_moyopys_though_it_does_not_search(length: float, searched: list[float]) -> None:
    """Hall numbers, axes with their signs, and origins up to shifts that keep the operations; also left-handed."""
    rng = np.random.default_rng(round(1e4 * length))
    crystals = [primitive_crystal(hall, rng).as_batch() for hall in STANDARD_SETTINGS for _ in range(2)]
    skewed = [in_cell(batch, np.array([[1, 0, 0], [1, 1, 0], [0, -1, 1]])) for batch in crystals[::2]]
    batch = canonical_order(displaced(CrystalBatch.join(crystals + skewed), length, 0.0, seed=4))
    search = standard_setting.StandardSettings(batch, [1e-3, 1e-2, 1e-1])
    found = search.find(np.arange(batch.n_crystals), np.ones(batch.n_crystals, dtype=np.int64))
    assert len(searched) < 0.05 * batch.n_crystals
    expected = [moyo_dataset(batch, crystal, 1e-2) for crystal in range(batch.n_crystals)]
    for crystal, dataset in enumerate(expected):
        assert dataset is not None
        assert found.hall_number[crystal] == dataset.hall_number
        linear = np.array(dataset.std_linear)
        assert np.allclose(found.linear[crystal], linear, atol=1e-9)
        table = space_group_table(dataset.hall_number)
        apart = np.linalg.solve(linear @ table.basis, found.shift[crystal] - dataset.std_origin_shift)
        moved = (np.eye(3) - table.rotations) @ apart
        assert np.abs(moved - np.rint(moved)).max() < 1e-6
    numbers = [number_of(int(hall)) for hall in found.hall_number]
    assert set(numbers) == set(range(1, 231)) if length == 0.0 else len(set(numbers)) > 100


def test_spglib_finds_the_same_groups(searched: list[float]) -> None:
    rng = np.random.default_rng(8)
    batch = CrystalBatch.join([primitive_crystal(hall, rng).as_batch() for hall in STANDARD_SETTINGS])
    symmetry = find_symmetry(displaced(batch, 1e-5, 0.0, seed=8), 1e-3)
    seconds = [spglib_dataset(batch, crystal, 1e-3) for crystal in range(batch.n_crystals)]
    assert symmetry.number.tolist() == [second.number if second is not None else 0 for second in seconds]
    assert len(searched) < 0.05 * batch.n_crystals


def test_moyopy_searches_only_where_the_operations_are_not_sure(searched: list[float]) -> None:
    """Neither exact crystals nor those with other groups at other tolerances, but supercells at every tolerance."""
    exact = textbook_crystals().crystals
    find_symmetries(exact, SYMPRECS_ANGSTROM)
    assert searched == []
    ambiguous = find_symmetries(displaced(exact, 3e-3, 0.0, seed=1), SYMPRECS_ANGSTROM)
    assert len(searched) <= 3  # at the edge of a tolerance
    assert (ambiguous[0].number != ambiguous[1].number).sum() > 5
    searched.clear()
    find_symmetries(in_cell(exact, np.diag([1, 1, 2])), SYMPRECS_ANGSTROM)
    assert sorted(searched) == sorted(list(SYMPRECS_ANGSTROM) * exact.n_crystals)


def test_tolerances_come_back_in_the_order_asked_for() -> None:
    batch = displaced(CRYSTALS.select(range(10, 30)), 3e-3, 0.0, seed=2)
    forward, backward = find_symmetries(batch, SYMPRECS_ANGSTROM), find_symmetries(batch, SYMPRECS_ANGSTROM[::-1])
    assert [each.symprec for each in forward] == list(SYMPRECS_ANGSTROM)
    assert [each.symprec for each in backward] == list(SYMPRECS_ANGSTROM[::-1])
    assert np.array_equal(forward[0].rotations, backward[2].rotations)
    assert len(forward[0].rotations) < len(forward[1].rotations)


@pytest.mark.parametrize("sign", [1, -1], ids=["right-handed", "left-handed"])
def test_holohedral_cubic_crystals_have_the_setting_that_their_hall_number_says(sign: int) -> None:
    """Also diamond, whose first origin is no centre of inversion: operations of the table map the atoms."""
    halls = [next(h for h in range(1, 531) if standard_number(h) == n) for n in (221, 223, 224, 225, 227, 229)]
    batch = CrystalBatch.join(
        [
            *(crystal_of_space_group(h).as_batch() for h in halls[:2]),
            textbook_crystals().crystals.select([4, 5, 9]),
        ]
    )
    turned = transformed(batch, sign * random_orthogonal(np.random.default_rng(4)))
    symmetry = find_symmetry(turned)
    assert symmetry.number.tolist() == [221, 223, 225, 227, 225]
    assert (np.linalg.det(symmetry.conventional) > 0).all()
    for crystal in range(batch.n_crystals):
        table = space_group_table(int(symmetry.hall_number[crystal]))
        primitive = symmetry.conventional[crystal] @ table.basis
        atoms = turned.crystal_of_atom == crystal
        place = turned.frac_coords[atoms] @ turned.lattice[crystal] - symmetry.origin[crystal]
        frac = place @ np.linalg.inv(primitive).T
        for rotation, translation in zip(table.rotations, table.translations, strict=True):
            apart = (frac @ rotation.T + translation)[:, None] - frac[None]
            assert np.abs(apart - np.rint(apart)).max(axis=2).min(axis=1).max() < 1e-6


def standard_number(hall_number: int) -> int:
    return int(moyopy.HallSymbolEntry(hall_number).number)


def test_reduced_cells_have_moyopys_lengths() -> None:
    rng = np.random.default_rng(6)
    lattice = np.concatenate([rng.normal(size=(200, 3, 3)) * 4, CRYSTALS.lattice])
    basis, transform = np.zeros_like(lattice), np.zeros_like(lattice)
    is_reduced = np.zeros(len(lattice), dtype=np.bool_)
    reduce_cells(lattice, basis, transform, is_reduced)
    assert is_reduced.all()
    assert np.allclose(np.swapaxes(lattice, 1, 2) @ transform, basis, atol=1e-9)
    assert np.allclose(np.linalg.det(transform), 1.0)
    for k, rows in enumerate(lattice):
        expected = np.array(moyopy.minkowski_reduce(rows.tolist())[0])
        assert np.allclose(np.linalg.norm(expected, axis=1), np.linalg.norm(basis[k], axis=0), atol=1e-7)
