"""Sampling: repeatable, as it was asked for, and with atoms apart by a search of its own."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from models.crystals.neighbors import find_neighbors
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM
from models.plausibility.pair_distances import LEAST_RATIO
from models.wyckoff.draft import crystals_of
from models.wyckoff.occupation import n_sites
from models.wyckoff.placement import separate_places
from models.wyckoff.positions import space_group
from models.wyckoff.sampler import Wanted, Written, write
from models.wyckoff.slots import N_BINS
from tests.models.wyckoff.drafts import filled_draft, short_network

NETWORK = short_network()
ANYTHING = Wanted(keep_apart=False)
RADII = np.array(COVALENT_RADIUS_ANGSTROM)


def sample(wanted: Wanted, n: int = 24, seed: int = 0, openings: Sequence[Sequence[int]] | None = None) -> Written:
    return write(NETWORK, wanted, openings or [[] for _ in range(n)], np.random.default_rng(seed))


def texts(written: Written) -> list[str]:
    return [f"{vars(draft)}" for draft in written.drafts]


def scaled_distances(written: Written) -> np.ndarray:
    """Smallest distance of each crystal over the sum of covalent radii of the two atoms; infinite beyond 6 angstrom."""
    batch = crystals_of(written.drafts).to_crystals()
    pairs = find_neighbors(batch.lattice, batch.frac_coords, batch.crystal_of_atom, np.full(batch.n_crystals, 6.0))
    radii = RADII[batch.numbers]
    ratio = pairs.distance / (radii[pairs.center] + radii[pairs.neighbor])
    least = np.full(batch.n_crystals, np.inf)
    np.minimum.at(least, batch.crystal_of_atom[pairs.center], ratio)
    return least


def test_the_same_seed_writes_the_same_crystals_and_another_one_others() -> None:
    first, again, other = sample(ANYTHING), sample(ANYTHING), sample(ANYTHING, seed=1)
    assert texts(first) == texts(again)
    assert np.array_equal(first.log_probability, again.log_probability)
    assert not set(texts(first)) & set(texts(other))


def test_rows_are_those_that_were_not_given_up_in_the_order_in_which_they_were_begun() -> None:
    written = sample(replace(ANYTHING, most_sites=2), n=60)
    assert 0 < len(written.drafts) < 60
    assert np.array_equal(written.rows, np.unique(written.rows))
    assert len(written.rows) == len(written.drafts) == len(written.log_probability)
    assert all(draft.is_complete for draft in written.drafts)


def test_space_groups_elements_and_size_are_those_wanted() -> None:
    wanted = replace(ANYTHING, space_groups=(62, 99), elements=(8, 22, 38, 56, 82, 20), most_sites=10)
    written = sample(wanted, n=60)
    assert {draft.number for draft in written.drafts} == {62, 99}
    assert {z for draft in written.drafts for z in draft.elements} <= {8, 22, 38, 56, 82, 20}
    assert crystals_of(written.drafts).to_crystals().atoms_per_crystal.max() <= 10
    # negative control: asked for anything, it writes something else
    free = sample(ANYTHING, n=60).drafts
    assert {draft.number for draft in free} - {62, 99}
    assert {z for draft in free for z in draft.elements} - {8, 22, 38, 56, 82, 20}
    assert crystals_of(free).to_crystals().atoms_per_crystal.max() > 10


@pytest.mark.parametrize("elements", [(), (3, 8, 17, 22, 56, 82, 83)])
def test_required_elements_are_used(elements: tuple[int, ...]) -> None:
    wanted = replace(ANYTHING, elements=elements, required=(8, 56), most_sites=1000)
    drafts = sample(wanted).drafts
    assert len(drafts) > 4
    assert all({8, 56} <= set(draft.species) for draft in drafts)
    without = sample(replace(wanted, required=())).drafts
    assert not all({8, 56} <= set(draft.species) for draft in without)


def test_what_an_opening_says_is_held_by_the_first_slots() -> None:
    openings = [[99, 8, 22, 0], [225, 11, 17, 0], []]
    written = sample(replace(ANYTHING, most_sites=1000), openings=openings)
    found = {int(row): (draft.number, draft.elements) for row, draft in zip(written.rows, written.drafts, strict=True)}
    assert {row: value for row, value in found.items() if row < 2} == {0: (99, [8, 22]), 1: (225, [11, 17])}


def test_a_low_temperature_draws_likelier_crystals() -> None:
    """In the end always the likeliest group."""
    cold, warm = (sample(replace(ANYTHING, temperature=value), n=40).drafts for value in (0.01, 1.0))
    assert len({draft.number for draft in cold}) < 0.3 * len({draft.number for draft in warm})


def test_atoms_are_apart_in_all_crystals_and_were_not_without_asking() -> None:
    """A place is up to a node from the one that was looked at: two sites approach by as much at most."""
    wanted = Wanted(most_sites=16)
    apart = sample(wanted, n=64, seed=2)
    assert len(apart.drafts) > 10
    cells = np.array([draft.cell()[:3].max() for draft in apart.drafts])
    assert (scaled_distances(apart) > LEAST_RATIO - 2 * cells / N_BINS).all()
    assert (scaled_distances(apart) > LEAST_RATIO).mean() > 0.8
    close = scaled_distances(sample(replace(wanted, keep_apart=False), n=64, seed=2))
    assert (close < 0.5).mean() > 0.3


def test_separate_places_are_those_of_a_search_in_the_whole_crystal() -> None:
    """Orbit by orbit in random drafts: the closest pair that has an atom of the orbit, of all that are placed."""
    rng = np.random.default_rng(6)
    n_separate = n_looked_at = 0
    for number in rng.permutation(np.arange(3, 231))[:80].tolist():
        draft = filled_draft(rng, number, 12)
        if draft is None:
            continue
        batch = crystals_of([draft]).to_crystals()
        sizes = [n_sites(space_group(number), position) for position in draft.positions]
        orbit_of_site = np.repeat(np.arange(len(sizes)), sizes)
        pairs = find_neighbors(batch.lattice, batch.frac_coords, batch.crystal_of_atom, np.array([6.0]))
        radii = RADII[batch.numbers]
        ratio = pairs.distance / (radii[pairs.center] + radii[pairs.neighbor])
        for orbit in range(len(draft.positions)):
            least = ratio[orbit_of_site[pairs.center] == orbit].min(initial=np.inf)
            found = separate_places(draft, orbit, draft.parameters[orbit][None])[0]
            assert found == (least >= LEAST_RATIO) or least == pytest.approx(LEAST_RATIO)
            n_separate, n_looked_at = n_separate + bool(found), n_looked_at + 1
    assert 0.05 < n_separate / n_looked_at < 0.95
