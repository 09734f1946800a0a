"""Supercells with a point defect are recognised, in every representation; perfect and ordered crystals are none."""

from collections.abc import Callable

import numpy as np
import pytest

from models.applicability.defects import DefectKind, defect_of, find_near_translations, is_defect_supercell
from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.reference.crystals import (
    crystals_of_all_classes,
    in_cell,
    random_orthogonal,
    textbook_crystals,
    transformed,
)
from tests.models.applicability.known_frameworks import FACES, cubic, known_frameworks
from tests.models.applicability.known_networks import known_networks

Change = Callable[[Floats, Ints], tuple[Floats, Ints]]

ROCK_SALT = cubic(5.64, FACES, [(11, (0.0, 0.0, 0.0)), (17, (0.5, 0.0, 0.0))])
PRIMITIVE = CrystalBatch.from_arrays(
    [2.82 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])], [np.array([[0, 0, 0], [0.5, 0.5, 0.5]])], [np.array([11, 17])]
)


def vacancy(frac: Floats, numbers: Ints) -> tuple[Floats, Ints]:
    return frac[1:], numbers[1:]


def substitution(frac: Floats, numbers: Ints) -> tuple[Floats, Ints]:
    return frac, np.append([19], numbers[1:])


def antisite(frac: Floats, numbers: Ints) -> tuple[Floats, Ints]:
    return frac, np.append([17 if numbers[0] == 11 else 11], numbers[1:])


def interstitial(frac: Floats, numbers: Ints) -> tuple[Floats, Ints]:
    # in the cube of eight ions, off its middle
    return np.concatenate([frac, frac[:1] + 0.26 * np.diff(frac[[0, -1]], axis=0)]), np.append(numbers, [11])


def with_defect(host: CrystalBatch, repeats: int, change: Change, noise_angstrom: float = 0.05) -> CrystalBatch:
    """A supercell with a defect whose atoms have moved a little, as after a relaxation."""
    large = in_cell(host, repeats * np.eye(3, dtype=np.int64))
    frac, numbers = change(large.frac_coords, large.numbers)
    noise = np.random.default_rng(0).normal(size=frac.shape) * noise_angstrom
    return CrystalBatch.from_arrays(large.lattice, [frac + noise @ np.linalg.inv(large.lattice[0])], [numbers])


CHANGES = {
    vacancy: DefectKind.VACANCY,
    substitution: DefectKind.SUBSTITUTION,
    antisite: DefectKind.SUBSTITUTION,
    interstitial: DefectKind.INTERSTITIAL,
}


@pytest.mark.parametrize(("host", "repeats"), [(PRIMITIVE, 2), (PRIMITIVE, 3), (ROCK_SALT, 2)], ids=["16", "54", "64"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_point_defects_in_rock_salt_are_recognised_and_named(host: CrystalBatch, repeats: int, change: Change) -> None:
    cell = with_defect(host, repeats, change)
    assert is_defect_supercell(cell).tolist() == [True]
    kind, n_cells = defect_of(cell)
    assert kind is CHANGES[change]
    whole = repeats**3 * host.atoms_per_crystal[0] // 2
    assert 0.8 * whole <= n_cells <= whole


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_defect_is_recognised_in_every_representation(change: Change) -> None:
    cell = with_defect(ROCK_SALT, 2, change)
    rotated = transformed(cell, random_orthogonal(np.random.default_rng(1)))
    moved = CrystalBatch(rotated.lattice, rotated.frac_coords - 0.37, rotated.numbers, rotated.crystal_of_atom)
    order = np.random.default_rng(2).permutation(len(cell.numbers))
    mixed = CrystalBatch(moved.lattice, moved.frac_coords[order], moved.numbers[order], moved.crystal_of_atom)
    leaning = in_cell(mixed, np.array([[1, 1, 0], [0, 1, 0], [0, -1, 1]]))
    # the same crystal twice has a translation in full, and the defect in both halves
    doubled = in_cell(leaning, np.diag([1, 1, 2]))
    for other in (rotated, moved, mixed, leaning, doubled):
        assert is_defect_supercell(other).tolist() == [True]
        assert defect_of(other)[0] is CHANGES[change]


@pytest.mark.parametrize("repeats", [2, 3])
def test_supercells_without_a_defect_are_none_however_hot(repeats: int) -> None:
    """Negative control: the same cells with every atom in its place, or displaced by a tenth of an angstrom."""
    books = textbook_crystals().crystals
    large = in_cell(books, repeats * np.eye(3, dtype=np.int64))
    assert not is_defect_supercell(large).any()
    noise = np.random.default_rng(3).normal(size=large.frac_coords.shape) * 0.1
    shift = np.einsum("ni,nij->nj", noise, np.linalg.inv(large.lattice)[large.crystal_of_atom])
    hot = CrystalBatch(large.lattice, large.frac_coords + shift, large.numbers, large.crystal_of_atom)
    assert not is_defect_supercell(hot).any()


def superstructures() -> dict[str, CrystalBatch]:
    """Ordered crystals of which most atoms lie on a simpler lattice; lattice constants in angstrom."""
    quarter = 0.25, 0.25, 0.25
    return {
        "perovskite": cubic(3.905, FACES[:1], [(38, (0, 0, 0)), (22, (0.5, 0.5, 0.5)), (8, (0.5, 0.5, 0))]),
        "double perovskite": cubic(8.11, FACES, [(56, quarter), (11, (0, 0, 0)), (53, (0.5, 0, 0)), (8, (0.26, 0, 0))]),
        "vacancy-ordered perovskite": cubic(10.36, FACES, [(55, quarter), (50, (0, 0, 0)), (17, (0.235, 0, 0))]),
        "full Heusler": cubic(5.95, FACES, [(29, quarter), (25, (0, 0, 0)), (13, (0.5, 0, 0))]),
        "ordered alloy": cubic(3.75, FACES[:1], [(79, (0, 0, 0)), (29, (0.5, 0.5, 0))]),
        "fluorite": cubic(5.46, FACES, [(20, (0, 0, 0)), (9, quarter)]),
        "carbide of 23 metals": cubic(
            10.65,
            FACES,
            [(24, quarter), (24, (0, 0, 0)), (24, (0.385, 0.385, 0.385)), (24, (0, 0.165, 0.165)), (6, (0.275, 0, 0))],
        ),
    }


@pytest.mark.parametrize("name", superstructures())
def test_ordered_superstructures_are_no_defects(name: str) -> None:
    crystal = superstructures()[name]
    assert not is_defect_supercell(CrystalBatch.join([crystal, in_cell(crystal, np.diag([2, 2, 2]))])).any()


def test_crystals_of_all_classes_frameworks_and_layers_are_no_defects() -> None:
    known = [each.crystal for each in known_networks()]
    batch = CrystalBatch.join([crystals_of_all_classes().crystals, *known, *known_frameworks().values()])
    assert not is_defect_supercell(batch).any()


def test_translations_are_counted_as_they_are() -> None:
    """Of 32 cells of rock salt: 32 translations in full; with a vacancy each but the identity leaves one atom over."""
    perfect = in_cell(ROCK_SALT, 2 * np.eye(3, dtype=np.int64))
    batch = CrystalBatch.join([perfect, with_defect(ROCK_SALT, 2, vacancy), PRIMITIVE])
    translations = find_near_translations(batch)
    in_full, near = translations.counts()
    assert in_full.tolist() == [32, 1, 1]
    assert near[0] == 32
    assert near[1] in (31, 32)  # the rarest element is the one that lacks an atom
    assert near[2] == 1  # too small to be looked at
    of_vacancy = translations.unmatched[translations.crystals.crystal_of_atom == 1]
    assert set(of_vacancy[of_vacancy >= 0].tolist()) == {1}


def test_no_crystals_have_no_defects() -> None:
    assert is_defect_supercell(ROCK_SALT.select([])).tolist() == []
