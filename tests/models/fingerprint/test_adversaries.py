"""Pairs of crystals that are easily mistaken for each other, and the tolerance from both sides."""

from collections.abc import Callable

import numpy as np
import pytest

from models.crystals.crystal import CrystalBatch
from models.fingerprint.content_id import identify
from models.fingerprint.environments import FAR
from models.fingerprint.structure_match import (
    TOLERANCE_ANGSTROM,
    StructureMatch,
    environment_fingerprints,
    match_structures,
)
from models.reference.crystals import crystals_of_all_classes, in_cell, textbook_crystals, transformed
from tests.models.fingerprint import stackings, trials

MIRROR = np.diag([1.0, 1.0, -1.0])
DOUBLED = np.diag([2, 2, 2])
TEXTBOOK = textbook_crystals()
SEVERAL = crystals_of_all_classes(seed=11).crystals.select([4, 9, 14, 19, 24, 29])
ENANTIOMORPHIC = {
    76: 78,
    91: 95,
    92: 96,
    144: 145,
    151: 153,
    152: 154,
    169: 170,
    171: 172,
    178: 179,
    180: 181,
    212: 213,
}
"""The eleven pairs of space groups that are mirror images of each other."""

SOHNCKE = [3, 4, 5, 17, 18, 19, 22, 24, 75, 77, 80, 89, 94, 98, 143, 146, 149, 155, 168, 173, 177, 182]
SOHNCKE += [195, 197, 198, 199, 207, 208, 211, 214]
"""Groups without improper operations that are their own mirror images: the crystals are chiral nevertheless."""

OTHERS = [6, 7, 9, 13, 15, 26, 33, 43, 61, 81, 82, 106, 122, 148, 161, 165, 174, 188, 200, 205, 218, 220]

IDS = {
    "quartz": "gx-cb57461e565ea386c5cf",
    "wurtzite AlN": "gx-37f57157dbd27187cdb0",
    "zinc blende GaAs": "gx-ad97c9628e53784ed25b",
    "BaTiO3": "gx-c1990df36c236547d1bd",
    "rocksalt MgO": "gx-5cc8285b5734181b1961",
    "diamond": "gx-c3bb91a59fe612fcbac1",
    "rutile": "gx-81e369681497c8c9f3f9",
    "monoclinic SiO2": "gx-a448f9648bc92ecd864c",
    "triclinic GaNO": "gx-c5a603de746e727d9b02",
    "copper": "gx-857c46d420e9563bb8a4",
}


def textbook(name: str) -> CrystalBatch:
    return TEXTBOOK.crystals.select([TEXTBOOK.names.index(name)])


def relation(first: CrystalBatch, second: CrystalBatch) -> StructureMatch:
    one, other = environment_fingerprints(CrystalBatch.join([first, second]))
    assert match_structures(one, other) is match_structures(other, one)
    return match_structures(one, other)


def are_different(first: CrystalBatch, second: CrystalBatch) -> bool:
    return identify(first).ids != identify(second).ids and relation(first, second) is StructureMatch.OTHER


def scaled(batch: CrystalBatch, factor: float) -> CrystalBatch:
    return trials.strained(batch, (factor - 1.0) * np.eye(3))


def test_the_names_of_the_textbook_crystals_are_what_they_were() -> None:
    """A changed id would make every database list its crystals a second time."""
    assert dict(zip(TEXTBOOK.names, identify(TEXTBOOK.crystals).ids, strict=True)) == IDS


@pytest.mark.parametrize(
    ("one", "other", "period"),
    [([0, 3, 4, 5], [0, 4, 5, 7], 8), ([0, 1, 3, 4, 5, 7, 9, 10, 12], [0, 1, 3, 4, 6, 8, 9, 12, 14], 15)],
    ids=["A. L. Patterson, Phys. Rev. 65, 195 (1944)", "nine atoms in fifteen places"],
)
def test_homometric_crystals_are_distinguished(one: list[int], other: list[int], period: int) -> None:
    """All distances occur equally often in both crystals of a pair, so that they have one diffraction pattern."""
    differences = [np.sort([(a - b) % period for a in places for b in places]) for places in (one, other)]
    assert np.array_equal(*differences)
    assert are_different(stackings.chain(one, period), stackings.chain(other, period))
    shifted = [(5 - place) % period for place in one]
    assert identify(stackings.chain(shifted, period)).ids == identify(stackings.chain(one, period)).ids


@pytest.mark.parametrize(
    ("make", "longest", "n_stackings"), [(stackings.close_packing, 8, 62), (trials.silicon_carbide, 7, 38)]
)
def test_all_stackings_of_short_period_are_different_crystals(
    make: Callable[[str], CrystalBatch], longest: int, n_stackings: int
) -> None:
    layers = list(stackings.stackings(longest).values())
    assert len(layers) == n_stackings
    crystals = CrystalBatch.join([make(each) for each in layers])
    assert len(set(identify(crystals).ids)) == len(layers)
    seen = environment_fingerprints(crystals)
    assert not [
        (k, j)
        for k in range(len(seen))
        for j in range(k)
        if match_structures(seen[k], seen[j]) is not StructureMatch.OTHER
    ]


@pytest.mark.parametrize(("one", "other"), [("AB", "ABC"), ("AB", "ABCB"), ("ABC", "ABCACB"), ("ABC", "ABAC")])
def test_kagome_layers_in_other_orders_are_other_crystals(one: str, other: str) -> None:
    assert are_different(stackings.kagome(one), stackings.kagome(other))
    assert relation(stackings.kagome(one), stackings.kagome(one + one)) is StructureMatch.SAME


def test_species_on_exchanged_sites_make_another_crystal_where_the_sites_differ() -> None:
    halves = [stackings.heusler(z) for z in ([22, 50, 28, 0], [22, 28, 50, 0], [28, 50, 22, 0])]
    assert len({identify(each).ids[0] for each in halves}) == 3
    assert relation(halves[0], halves[1]) is relation(halves[1], halves[2]) is StructureMatch.OTHER
    full, inverse = stackings.heusler([25, 13, 29, 29]), stackings.heusler([25, 29, 29, 13])
    assert are_different(full, inverse)
    assert are_different(stackings.heusler([11, 81, 81, 11]), stackings.heusler([11, 11, 81, 81]))  # B32 and B2


@pytest.mark.parametrize("sites", [[30, 16, 0, 0], [30, 0, 16, 0]], ids=["rock salt", "zinc blende"])
def test_exchanged_species_leave_the_crystal_what_it_was_where_the_sites_are_alike(sites: list[int]) -> None:
    exchanged = [{30: 16, 16: 30, 0: 0}[z] for z in sites]
    assert identify(stackings.heusler(exchanged)).ids == identify(stackings.heusler(sites)).ids
    inverted = transformed(stackings.heusler(sites), -np.eye(3))
    assert identify(inverted).ids == identify(stackings.heusler(sites)).ids


@pytest.mark.parametrize("number", ENANTIOMORPHIC)
def test_the_mirror_image_in_the_other_group_of_a_pair_is_the_enantiomorph(number: int) -> None:
    one = stackings.in_space_group(number, seed=1)
    mirrored = transformed(one, MIRROR)
    assert (stackings.space_group(one), stackings.space_group(mirrored)) == (number, ENANTIOMORPHIC[number])
    assert identify(mirrored).ids == identify(one).enantiomorph_ids != [None]
    assert relation(one, mirrored) is StructureMatch.ENANTIOMORPH


def test_crystals_are_chiral_in_every_sohncke_group_and_in_no_other() -> None:
    assert [stackings.is_sohncke(n) for n in (*SOHNCKE, *OTHERS)] == [True] * len(SOHNCKE) + [False] * len(OTHERS)
    made = CrystalBatch.join([stackings.in_space_group(n, seed=2) for n in (*SOHNCKE, *OTHERS)])
    original, mirrored = identify(made), identify(transformed(made, MIRROR))
    assert mirrored.ids[: len(SOHNCKE)] == original.enantiomorph_ids[: len(SOHNCKE)]
    assert original.enantiomorph_ids[len(SOHNCKE) :] == [None] * len(OTHERS)
    assert mirrored.ids[len(SOHNCKE) :] == original.ids[len(SOHNCKE) :]


def test_merohedral_twin_domains_are_one_crystal_unless_the_twin_law_is_improper() -> None:
    quartz = identify(textbook("quartz"))
    dauphine, brazil = np.diag([-1.0, -1.0, 1.0]), -np.eye(3)
    assert identify(transformed(textbook("quartz"), dauphine)).ids == quartz.ids
    assert identify(transformed(textbook("quartz"), brazil)).ids == quartz.enantiomorph_ids
    assert identify(transformed(textbook("quartz"), brazil @ dauphine)).ids == quartz.enantiomorph_ids
    pyrite = stackings.in_space_group(205, seed=3)
    four_fold = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert identify(transformed(pyrite, four_fold)).ids == identify(pyrite).ids


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        (0.004, StructureMatch.SAME),
        (0.009, StructureMatch.SAME),
        (0.02, StructureMatch.OTHER),
        (0.1, StructureMatch.OTHER),
    ],
)
def test_an_atom_moved_by_less_or_more_than_the_tolerance(moved: float, expected: StructureMatch) -> None:
    changed = trials.first_atom_moved(SEVERAL, moved, seed=2)
    if moved < TOLERANCE_ANGSTROM / 2:  # two neighbours may move apart by twice as much as each moves
        assert {relation(SEVERAL.select([k]), changed.select([k])) for k in range(6)} == {expected}
    perovskite = textbook("BaTiO3")
    off = np.zeros((5, 3))
    off[perovskite.numbers == 22, 2] = moved
    assert relation(perovskite, trials.displaced(perovskite, off)) is expected


@pytest.mark.parametrize("name", TEXTBOOK.names)
def test_a_scaled_crystal_is_the_same_as_long_as_no_distance_changes_by_more_than_the_tolerance(name: str) -> None:
    one = textbook(name)
    reach = FAR.reach * np.cbrt(abs(np.linalg.det(one.lattice[0])) / len(one.numbers))
    assert relation(one, scaled(one, 1 + 0.9 * TOLERANCE_ANGSTROM / reach)) is not StructureMatch.OTHER
    assert relation(one, scaled(one, 1 + 1.4 * TOLERANCE_ANGSTROM / reach)) is StructureMatch.OTHER
    assert relation(one, scaled(one, 1.0001)) is not StructureMatch.OTHER
    assert are_different(one, scaled(one, 1.01))


def test_a_supercell_with_one_displaced_atom_is_neither_the_crystal_nor_its_supercell() -> None:
    for name in ("zinc blende GaAs", "rutile", "diamond"):
        one = textbook(name)
        large = in_cell(one, DOUBLED)
        defect = trials.first_atom_moved(large, 0.05, seed=1)
        assert identify(large).ids == identify(one).ids
        assert relation(large, one) is StructureMatch.SAME
        assert are_different(defect, one) and are_different(defect, large)
        vacancy = large.select([0])
        kept = np.arange(1, len(vacancy.numbers))
        missing = CrystalBatch(
            vacancy.lattice, vacancy.frac_coords[kept], vacancy.numbers[kept], np.zeros(len(kept), int)
        )
        assert identify(missing).ids != identify(one).ids


def test_one_exchanged_pair_of_atoms_in_a_supercell_is_seen() -> None:
    large = in_cell(textbook("zinc blende GaAs"), DOUBLED)
    numbers = large.numbers.copy()
    first, second = np.flatnonzero(numbers == 31)[0], np.flatnonzero(numbers == 33)[0]
    numbers[[first, second]] = numbers[[second, first]]
    antisite = CrystalBatch(large.lattice, large.frac_coords, numbers, large.crystal_of_atom)
    assert are_different(antisite, large)
