"""Drafts: whatever fills them, they end in a crystal of their space group, and what is taken back never was."""

from copy import deepcopy
from itertools import pairwise

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from models.crystals.neighbors import closest_pairs
from models.symmetry.operations import conventional_rotations
from models.symmetry.search import find_symmetry
from models.wyckoff.draft import Draft, crystals_of
from models.wyckoff.occupation import n_sites
from models.wyckoff.positions import space_group
from models.wyckoff.slots import CLOSED, SlotKind
from tests.models.wyckoff.drafts import fill_next, filled_draft

GROUPS = st.integers(1, 230)
SEEDS = st.integers(0, 2**32 - 1)


def test_a_filled_draft_is_a_crystal_of_at_least_its_space_group() -> None:
    """Of all groups: the point group found has the one intended in it, and mostly is that."""
    rng = np.random.default_rng(8)
    drafts = [draft for number in range(1, 231) for draft in [filled_draft(rng, number)] if draft is not None]
    batch = crystals_of(drafts).to_crystals()
    overlapping = closest_pairs(batch.lattice, batch.frac_coords, batch.crystal_of_atom, 0.3)
    rows = np.setdiff1d(np.arange(batch.n_crystals), list(overlapping))
    assert len(rows) > 150
    found = find_symmetry(batch.select(rows), 1e-4)
    intended = np.array([drafts[row].number for row in rows])
    orders = np.array([len(conventional_rotations(hall)) for hall in found.hall_number.tolist()])
    least = np.array([len(conventional_rotations(space_group(n).hall_number)) for n in intended.tolist()])
    assert (orders % least == 0).all()
    assert (found.number == intended).mean() > 0.5
    # negative control: with atoms moved at random the groups are lost
    moved = batch.select(rows)
    moved.frac_coords[:] += rng.normal(scale=0.02, size=moved.frac_coords.shape)
    orders = np.array([len(conventional_rotations(hall)) for hall in find_symmetry(moved, 1e-4).hall_number.tolist()])
    assert (orders < least).mean() > 0.7


@given(GROUPS, SEEDS)
def test_a_filled_draft_keeps_the_rules(number: int, seed: int) -> None:
    draft = filled_draft(np.random.default_rng(seed), number)
    assume(draft is not None)
    assert draft is not None
    group = space_group(number)
    assert all(first <= second for first, second in pairwise(draft.positions))
    fixed = [place for place in draft.positions if group.positions[place].is_fixed]
    assert len(fixed) == len(set(fixed))
    assert all(first < second for first, second in pairwise(draft.elements))
    assert set(draft.species) == set(draft.elements)
    orbits = list(zip(draft.positions, draft.species, strict=True))
    assert orbits == sorted(orbits)
    assert sum(n_sites(group, place) for place in draft.positions) <= 24
    assert np.isfinite(draft.cell()).all()


@given(GROUPS, SEEDS)
def test_what_breaks_a_rule_is_not_among_the_choices(number: int, seed: int) -> None:
    """Walked until the first orbit stands: nothing before it, no fixed one again, no end too soon."""
    rng, draft = np.random.default_rng(seed), Draft()
    draft.choose(number)
    while not draft.species:
        if draft.elements and draft.slot().kind == SlotKind.ELEMENT:
            assert not draft.choices()[1 : draft.elements[-1] + 1].any()
        fill_next(draft, rng)
    choices = draft.choices()
    assert not choices[1 : draft.positions[0] + 1].any()
    assert choices[draft.positions[0] + 1] != space_group(number).positions[draft.positions[0]].is_fixed
    assert choices[CLOSED] == (set(draft.species) == set(draft.elements))


@settings(max_examples=60)
@given(GROUPS, SEEDS)
def test_every_draft_has_a_choice_that_leads_on_until_it_is_complete(number: int, seed: int) -> None:
    """Up to eight elements in every group, as long as there is room; elements without an orbit are never shut out."""
    rng, draft = np.random.default_rng(seed), Draft()
    draft.choose(number)
    for category in [*sorted(rng.choice(np.arange(1, 101), rng.integers(1, 9), replace=False).tolist()), CLOSED]:
        draft.choose(category)
    while not draft.is_complete:
        if draft.slot().kind <= SlotKind.SPECIES:
            assert draft.choices().any()
        assert len(draft.positions) < 200
        fill_next(draft, rng)
    assert set(draft.species) == set(draft.elements)


def test_no_position_larger_than_the_room_is_left_is_a_choice() -> None:
    draft = Draft()
    for category in (225, 8, 12, CLOSED):
        draft.choose(category)
    sites = [n_sites(space_group(225), place) for place in range(12)]
    for room in (1, 2, 6, 48):
        assert draft.choices(room)[1:13].tolist() == [n <= room for n in sites]
    assert draft.choices()[1:13].all()


def state(draft: Draft) -> dict[str, object]:
    """All that a draft is, in values that compare."""
    return {name: getattr(value, "tolist", lambda v=value: v)() for name, value in deepcopy(vars(draft)).items()}


@settings(max_examples=60)
@given(GROUPS, SEEDS)
def test_what_is_taken_back_leaves_the_draft_as_it_was(number: int, seed: int) -> None:
    """The orbit that is being placed, and the whole cell with all parameters; slots filled since are counted."""
    rng, draft = np.random.default_rng(seed), Draft()
    draft.choose(number)
    while draft.slot().kind <= SlotKind.SPECIES:
        if draft.slot().kind == SlotKind.POSITION and not draft.choices(60).any():
            return
        fill_next(draft, rng, 60)
    without_cell, n_filled = state(draft), 0
    at_orbit, n_of_orbit = without_cell, 0
    while not draft.is_complete:
        orbit, had_cell = draft.orbit, draft.has_cell
        if had_cell and not draft.free:
            at_orbit, n_of_orbit = state(draft), 0
        fill_next(draft, rng)
        n_filled, n_of_orbit = n_filled + 1, n_of_orbit + 1
        if had_cell and draft.orbit == orbit:
            assert state(draft) != at_orbit
            other = deepcopy(draft)
            assert other.take_back_orbit() == n_of_orbit
            assert state(other) == at_orbit
        other = deepcopy(draft)
        assert other.take_back_cell() == n_filled
        assert state(other) == without_cell


def test_a_draft_asks_for_its_slots_in_the_order_of_the_slots() -> None:
    draft, kinds = Draft(), []
    for filling in (99, 8, 22, 56, CLOSED, 1, 56, 2, 8, 2, 22, 3, 8, CLOSED):
        kinds.append(draft.slot().kind)
        assert draft.choices()[filling]
        draft.choose(filling)
    while not draft.is_complete:
        kinds.append(draft.slot().kind)
        draft.place(40.0)
    k = SlotKind
    orbits = [k.POSITION, k.SPECIES] * 4
    coordinates = [k.Z] * 4
    sets = [k.ELEMENT] * 4
    assert kinds == [k.SPACE_GROUP, *sets, *orbits, k.POSITION, k.VOLUME, k.C_OVER_A, *coordinates]
    assert crystals_of([draft]).to_crystals().formulas() == ["BaO3Ti"]
