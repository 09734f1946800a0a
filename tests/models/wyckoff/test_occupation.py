"""Crystals by their occupied positions: there and back, and however the crystal is represented."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gmt_tasks.sources.generated.reference_crystals import reference_crystals
from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.fingerprint.structure_match import StructureMatch, environment_fingerprints, match_structures
from models.reference.crystals import cell_from_parameters, in_cell, random_orthogonal, transformed
from models.symmetry.search import find_symmetry
from models.wyckoff.occupation import WyckoffCrystals, lattice_of_cell, n_sites, occupied_positions
from models.wyckoff.positions import space_group
from tests.models.wyckoff.drafts import known_batch, known_crystals


def volume_per_atom(batch: CrystalBatch) -> Floats:
    return np.abs(np.linalg.det(batch.lattice)) / batch.atoms_per_crystal


def occupations(crystals: WyckoffCrystals) -> list[tuple[int, list[tuple[int, int]]]]:
    """Group, and element and multiplicity of each orbit."""
    listed = []
    for number, orbits in zip(crystals.space_group.tolist(), crystals.orbits(), strict=True):
        positions = space_group(number).positions
        occupied = zip(orbits.numbers.tolist(), orbits.position.tolist(), strict=True)
        listed.append((number, sorted((z, positions[place].multiplicity) for z, place in occupied)))
    return listed


def matches(first: CrystalBatch, second: CrystalBatch) -> Counter[StructureMatch]:
    pairs = zip(environment_fingerprints(first), environment_fingerprints(second), strict=True)
    return Counter(match_structures(one, other) for one, other in pairs)


def test_all_known_crystals_have_this_form() -> None:
    batch = known_batch()
    crystals, rows = occupied_positions(batch)
    assert rows.tolist() == list(range(batch.n_crystals))
    assert len(set(crystals.space_group.tolist())) > 40


def test_there_and_back_is_the_same_crystal_with_its_space_group_and_volume() -> None:
    batch, crystals = known_batch(), known_crystals()
    back = crystals.to_crystals()
    assert back.formulas() == batch.formulas()
    assert np.array_equal(find_symmetry(back, 1e-3).number, crystals.space_group)
    assert np.allclose(volume_per_atom(back), volume_per_atom(batch), rtol=1e-4)
    assert matches(batch, back) == {StructureMatch.SAME: batch.n_crystals}


def test_another_parameter_or_another_cell_is_another_crystal() -> None:
    """Negative control of the round trip."""
    batch, crystals = known_batch(), known_crystals()
    wider = replace(crystals, cell=crystals.cell * [1.02, 1.02, 1.02, 1, 1, 1])
    assert matches(batch, wider.to_crystals())[StructureMatch.SAME] == 0
    moved = replace(crystals, parameters=crystals.parameters + np.array([0.021, 0.034, 0.013]))
    has_free = [
        any(not space_group(number).positions[place].is_fixed for place in orbits.position.tolist())
        for number, orbits in zip(crystals.space_group.tolist(), crystals.orbits(), strict=True)
    ]
    assert matches(batch, moved.to_crystals())[StructureMatch.SAME] <= batch.n_crystals - 0.7 * sum(has_free)


def test_the_form_is_read_again_as_it_was_written() -> None:
    crystals = known_crystals()
    again, rows = occupied_positions(crystals.to_crystals(), 1e-4)
    assert len(rows) == crystals.n_crystals
    assert occupations(again) == occupations(crystals)
    assert np.allclose(np.sort(again.cell[:, :3]), np.sort(crystals.cell[:, :3]), atol=1e-3)


@pytest.mark.parametrize(
    "cell", [np.eye(3, dtype=int), np.diag([1, 2, 1]), [[1, 0, 0], [1, 1, 0], [0, -1, 1]]], ids=str
)
def test_rotation_order_and_cell_of_the_input_change_neither_formula_nor_group_nor_multiplicities(cell: Ints) -> None:
    small = known_batch().select(np.flatnonzero(known_batch().atoms_per_crystal <= 20))
    rng = np.random.default_rng(2)
    given_anew = transformed(in_cell(small, np.asarray(cell)), random_orthogonal(rng))
    order = np.lexsort([rng.random(len(given_anew.numbers)), given_anew.crystal_of_atom])
    shuffled = replace(given_anew, frac_coords=given_anew.frac_coords[order], numbers=given_anew.numbers[order])
    expected, found = occupied_positions(small)[0], occupied_positions(shuffled)[0]
    assert occupations(found) == occupations(expected)
    assert found.to_crystals().formulas() == expected.to_crystals().formulas()
    assert np.allclose(volume_per_atom(found.to_crystals()), volume_per_atom(small), rtol=1e-4)


def test_a_moved_atom_changes_group_or_multiplicities() -> None:
    """Negative control of the invariances."""
    small = known_batch().select(np.flatnonzero(known_batch().atoms_per_crystal <= 8))
    moved = small.frac_coords.copy()
    moved[small.first_atom[:-1]] += [0.03, 0.011, 0.017]
    of_two = small.atoms_per_crystal > 1
    found = occupied_positions(replace(small, frac_coords=moved))[0]
    same = np.array(
        [a == b for a, b in zip(occupations(found), occupations(occupied_positions(small)[0]), strict=True)]
    )
    # two general atoms of a polar or triclinic crystal stay what they are
    assert same[of_two].mean() < 0.2


def test_a_mirror_image_has_the_other_group_of_an_enantiomorphic_pair() -> None:
    quartz = reference_crystals()["quartz"]
    batch = CrystalBatch.from_arrays([quartz.lattice], [quartz.frac_coords], [quartz.numbers])
    groups = {int(occupied_positions(one)[0].space_group[0]) for one in (batch, transformed(batch, -np.eye(3)))}
    assert groups == {152, 154}


def test_sites_of_an_orbit_sum_to_the_atoms_of_the_primitive_cell() -> None:
    crystals = known_crystals()
    atoms = crystals.to_crystals().atoms_per_crystal
    for number, orbits, n in zip(crystals.space_group.tolist(), crystals.orbits(), atoms.tolist(), strict=True):
        assert sum(n_sites(space_group(number), place) for place in orbits.position.tolist()) == n


def test_select_and_join_undo_each_other() -> None:
    crystals = known_crystals()
    order = np.random.default_rng(1).permutation(crystals.n_crystals)
    mixed = WyckoffCrystals.join([crystals.select(order[:7]), crystals.select(order[7:])])
    again = mixed.select(np.argsort(order))
    for name in ("space_group", "cell", "position", "numbers", "parameters", "crystal_of_orbit"):
        assert np.array_equal(getattr(again, name), getattr(crystals, name))
    assert not np.array_equal(mixed.space_group, crystals.space_group)


def test_no_crystals_have_an_empty_form() -> None:
    none, rows = occupied_positions(known_batch().select([]))
    assert (none.n_crystals, len(rows), none.to_crystals().n_crystals) == (0, 0, 0)


LENGTH, ANGLE = st.floats(2.0, 20.0), st.floats(70.0, 110.0)


@given(st.tuples(LENGTH, LENGTH, LENGTH, ANGLE, ANGLE, ANGLE))
def test_a_lattice_has_the_lengths_and_angles_of_its_cell(cell: tuple[float, ...]) -> None:
    assert np.allclose(lattice_of_cell(np.array(cell)), cell_from_parameters(*cell), atol=1e-9)


def test_angles_that_allow_no_lattice_give_nan() -> None:
    assert np.isnan(lattice_of_cell(np.array([3.0, 3.0, 3.0, 40.0, 40.0, 120.0]))).any()
