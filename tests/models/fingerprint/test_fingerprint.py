"""The content id: the same for every representation of a crystal, another for its mirror image and others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmt_tasks.evaluation.equivalent_representations import equivalent_representations
from models.crystals.crystal import CrystalBatch
from models.fingerprint.content_id import identify
from models.fingerprint.structure_match import StructureMatch, environment_fingerprints, match_structures
from models.reference.crystals import CRYSTAL_CLASSES, crystals_of_all_classes, in_cell, textbook_crystals, transformed
from tests.models.fingerprint import trials

CLASSIFIED = crystals_of_all_classes(seed=11).crystals
CHIRAL = {"1", "2", "222", "4", "422", "3", "32", "6", "622", "23", "432"}
MIRROR = np.diag([1.0, 1.0, -1.0])
REPRESENTATIONS = {
    representation.name: representation
    for representation in equivalent_representations(CLASSIFIED, seed=3, max_atoms=100)
}


def relation(first: CrystalBatch, second: CrystalBatch) -> StructureMatch:
    return match_structures(environment_fingerprints(first)[0], environment_fingerprints(second)[0])


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_an_equivalent_representation_has_the_same_id_and_a_mirror_image_that_of_the_enantiomorph(name: str) -> None:
    representation, original = REPRESENTATIONS[name], identify(CLASSIFIED)
    mirrored = np.linalg.det(representation.rotation) < 0
    expected = [
        (original.enantiomorph_ids[row] or original.ids[row]) if mirror else original.ids[row]
        for row, mirror in zip(representation.rows.tolist(), mirrored.tolist(), strict=True)
    ]
    assert identify(representation.crystals).ids == expected


def test_exactly_the_eleven_classes_without_improper_operations_have_enantiomorphs() -> None:
    found = identify(CLASSIFIED)
    chiral = {
        name
        for name, enantiomorph in zip(CRYSTAL_CLASSES, found.enantiomorph_ids, strict=True)
        if enantiomorph is not None
    }
    assert chiral - CHIRAL == set()
    assert CHIRAL - {"1"} <= chiral  # the weak hand of two atoms in a triclinic cell may be lost


def test_the_enantiomorph_of_the_enantiomorph_is_the_crystal() -> None:
    original, mirrored = identify(CLASSIFIED), identify(transformed(CLASSIFIED, MIRROR))
    pairs = [zip(batch.ids, batch.enantiomorph_ids, strict=True) for batch in (original, mirrored)]
    for (own, enantiomorph), (other, other_enantiomorph) in zip(*pairs, strict=True):
        assert (other, other_enantiomorph) == ((own, None) if enantiomorph is None else (enantiomorph, own))


@settings(deadline=None, max_examples=15)
@given(
    st.integers(0, 31),
    st.lists(st.integers(-2, 2), min_size=9, max_size=9).filter(
        lambda entries: 1 <= abs(round(np.linalg.det(np.array(entries).reshape(3, 3)))) <= 3
    ),
)
def test_any_cell_and_any_supercell_give_the_same_id(crystal: int, entries: list[int]) -> None:
    batch = CLASSIFIED.select([crystal])
    assert identify(in_cell(batch, np.array(entries).reshape(3, 3))).ids == identify(batch).ids


def test_all_crystals_of_a_batch_are_different() -> None:
    batch = CrystalBatch.join([CLASSIFIED, textbook_crystals().crystals])
    assert len(set(identify(batch).ids)) == batch.n_crystals
    assert identify(CrystalBatch.from_arrays([], [], [])).ids == []


def test_ids_are_hashes_of_a_promised_form_that_no_company_changes() -> None:
    ids = identify(CLASSIFIED).ids
    assert all(len(each) == 23 and each.startswith("gx-") and set(each[3:]) <= set("0123456789abcdef") for each in ids)
    assert [identify(CLASSIFIED.select([k])).ids[0] for k in range(5)] == ids[:5]


@pytest.mark.parametrize("sigma", [1e-6, 1e-4, 1e-3])
def test_noise_below_the_tolerance_leaves_crystals_the_same_and_in_their_buckets(sigma: float) -> None:
    original, again = CLASSIFIED, trials.noisy(CLASSIFIED, sigma, seed=1)
    buckets = zip(identify(original).buckets, identify(again).buckets, strict=True)
    assert all(own[0] in other and other[0] in own for own, other in buckets)
    pairs = zip(environment_fingerprints(original), environment_fingerprints(again), strict=True)
    assert {match_structures(first, second) for first, second in pairs} == {StructureMatch.SAME}


@pytest.mark.parametrize("change", ["atom moved", "isotropic strain", "uniaxial strain", "shear", "noise"])
def test_what_differs_by_more_than_the_tolerance_is_another_crystal(change: str) -> None:
    several = CLASSIFIED.select(np.flatnonzero(CLASSIFIED.atoms_per_crystal > 1))
    changed = {
        "atom moved": trials.first_atom_moved(several, 0.05, seed=2),
        "isotropic strain": trials.strained(several, 0.01 * np.eye(3)),
        "uniaxial strain": trials.strained(several, np.diag([0.01, 0.0, 0.0])),
        "shear": trials.strained(several, 0.01 * np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])),
        "noise": trials.noisy(several, 0.03, seed=4),
    }[change]
    assert not set(identify(several).ids) & set(identify(changed).ids)
    pairs = zip(environment_fingerprints(several), environment_fingerprints(changed), strict=True)
    assert {match_structures(first, second) for first, second in pairs} == {StructureMatch.OTHER}


def test_exchanged_species_make_another_crystal() -> None:
    batch = CLASSIFIED.select([k for k, symbol in enumerate(CRYSTAL_CLASSES) if symbol in {"-1", "mm2", "32", "4mm"}])
    for k in range(batch.n_crystals):
        one = batch.select([k])
        exchanged = one.numbers.copy()
        exchanged[[0, -1]] = exchanged[[-1, 0]]
        other = CrystalBatch(one.lattice, one.frac_coords, exchanged, one.crystal_of_atom)
        assert identify(other).ids != identify(one).ids
        assert relation(one, other) is StructureMatch.OTHER


def test_polytypes_of_silicon_carbide_are_different_crystals() -> None:
    stackings = ["AB", "ABC", "ABCB", "ABCACB", "ABCACBCABACABCB", "ABABABCB", "ABCABACB"]
    crystals = [trials.silicon_carbide(stacking) for stacking in stackings]
    assert len({identify(crystal).ids[0] for crystal in crystals}) == len(stackings)
    seen = environment_fingerprints(CrystalBatch.join(crystals))
    for k, first in enumerate(seen):
        assert all(match_structures(first, second) is StructureMatch.OTHER for second in seen[:k])


def test_a_stacking_read_from_another_layer_or_from_the_other_end_is_the_same_crystal() -> None:
    original = identify(trials.silicon_carbide("ABCACB")).ids
    assert identify(trials.silicon_carbide("BCACBA")).ids == original
    assert identify(transformed(trials.silicon_carbide("ABCACB"), -np.eye(3))).ids == original


@pytest.mark.parametrize("crystal", [trials.tellurium(), trials.iron_silicide(), trials.cristobalite("alpha")])
def test_known_enantiomorphs_are_two_crystals_linked_to_each_other(crystal: CrystalBatch) -> None:
    left, right = identify(crystal), identify(transformed(crystal, MIRROR))
    assert left.ids != right.ids
    assert (left.enantiomorph_ids, right.enantiomorph_ids) == (right.ids, left.ids)
    assert relation(crystal, transformed(crystal, MIRROR)) is StructureMatch.ENANTIOMORPH
    noisy_mirror = trials.noisy(transformed(crystal, MIRROR), 1e-3, seed=7)
    assert relation(crystal, noisy_mirror) is StructureMatch.ENANTIOMORPH


def test_quartz_has_an_enantiomorph_and_inverted_aluminium_nitride_is_aluminium_nitride() -> None:
    textbook = textbook_crystals()
    quartz, nitride = (textbook.crystals.select([textbook.names.index(n)]) for n in ("quartz", "wurtzite AlN"))
    assert identify(transformed(quartz, -np.eye(3))).ids == identify(quartz).enantiomorph_ids != [None]
    assert identify(transformed(nitride, -np.eye(3))).ids == identify(nitride).ids
    assert identify(nitride).enantiomorph_ids == [None]


def test_the_two_cristobalites_are_different_and_the_idealised_one_is_achiral() -> None:
    alpha, beta = identify(trials.cristobalite("alpha")), identify(trials.cristobalite("beta"))
    assert alpha.ids != beta.ids
    assert beta.enantiomorph_ids == [None]
    assert relation(trials.cristobalite("alpha"), trials.cristobalite("beta")) is StructureMatch.OTHER


def test_delafossites_that_differ_in_distant_layers_only_are_different_crystals() -> None:
    """In 2H and 3R every atom has the same neighbours up to 4.5 angstrom: only what lies behind them differs."""
    two, three = trials.delafossite("2H"), trials.delafossite("3R")
    assert identify(two).ids != identify(three).ids
    assert relation(two, three) is StructureMatch.OTHER
    assert relation(three, in_cell(three, np.diag([2, 1, 1]))) is StructureMatch.SAME
