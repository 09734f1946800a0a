"""What a design is asked for: the sources of its rounds, and what makes two designs the same."""

from dataclasses import replace

import pytest

from gmt_tasks.design.request import DesignRequest
from gmt_tasks.sources.generated.generated import GeneratedSource
from models.errors import GmtError

REQUEST = DesignRequest(sort="-k_vrh_gpa", per_round=30, generate="elements=Mg+O,max_atoms=8", seed=4)


@pytest.mark.parametrize(("sort", "goal", "wants_large"), [("-k_vrh_gpa", "k_vrh_gpa", True), ("gap", "gap", False)])
def test_a_minus_sign_asks_for_large_numbers(sort: str, goal: str, wants_large: bool) -> None:
    request = replace(REQUEST, sort=sort)
    assert (request.goal, request.wants_large) == (goal, wants_large)


def test_the_source_of_a_round_is_what_was_asked_for_with_number_seed_and_generator() -> None:
    read = GeneratedSource.from_text(REQUEST.source(2, "round-1/wyckoff.json"))
    assert (read.n, read.model, read.choices.max_atoms) == (30, "round-1/wyckoff.json", 8)
    assert read.choices.elements == ("Mg", "O")
    assert GeneratedSource.from_text(REQUEST.source(1, "")).model == ""
    assert GeneratedSource.from_text(replace(REQUEST, generate="").source(1, "")).choices.elements == ()


def test_no_round_of_any_seed_repeats_the_random_numbers_of_another() -> None:
    rounds = range(1, 101)
    seeds = [
        GeneratedSource.from_text(replace(REQUEST, seed=seed).source(k, "")).seed for seed in (0, 1, 2) for k in rounds
    ]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("own", ["n=5", "seed=1", "model=a.json", "elements=Mg+O,n=5"])
def test_what_a_design_sets_itself_may_not_be_given(own: str) -> None:
    with pytest.raises(GmtError, match=r"Leave it out of --generate"):
        replace(REQUEST, generate=own).source(1, "")


def test_rounds_and_proposals_go_on_with_a_design_and_everything_else_makes_another() -> None:
    same = [replace(REQUEST, rounds=9), replace(REQUEST, propose=3)]
    assert all(one.settings() == REQUEST.settings() for one in same)
    others = [
        replace(REQUEST, per_round=31),
        replace(REQUEST, generate="elements=Mg+O"),
        replace(REQUEST, bound=1.0),
        replace(REQUEST, seed=5),
    ]
    assert all(one.settings() != REQUEST.settings() for one in others)
