"""Presets and descriptions: what the names of searches stand for, and that every property says what it means."""

import re

import pytest

from db.query.filter_bounds import MAX_TERMS
from db.query.filter_language import parse_filter
from db.query.filter_tree import And, Comparison, Filter, Not, Operator, Or, to_text
from db.query.presets import MAX_PRESET_TERMS, PRESETS, preset_in
from db.query.properties import DESCRIPTIONS, PROPERTIES, Group, Kind, resolve_property
from models.errors import FilterError
from models.quantities import DERIVED, INTERVALS

TWO = Comparison("nelements", Operator.EQUAL, 2.0)


def n_terms(tree: Filter) -> int:
    """Terms of a tree."""
    if isinstance(tree, And | Or):
        return sum(n_terms(term) for term in tree.terms)
    return n_terms(tree.term) if isinstance(tree, Not) else 1


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_stands_for_its_filter_wherever_a_term_may_stand(name: str) -> None:
    preset = PRESETS[name]
    meant = parse_filter(preset.filter)
    assert parse_filter(f"preset:{name}") == meant
    assert parse_filter(f"NOT preset:{name} OR nelements = 2") == Or((Not(meant), TWO))
    assert parse_filter(f"(preset:{name}) AND nelements=2") == And((meant, TWO))
    assert parse_filter(to_text(parse_filter(f"preset:{name}"))) == meant
    assert 1 < n_terms(meant) <= MAX_PRESET_TERMS
    for field in (preset.sort.removeprefix("-"), *preset.fields):
        assert resolve_property(field) == field
    assert preset.sort.removeprefix("-") in preset.fields


def test_an_unknown_preset_is_refused_where_it_stands_with_the_names_of_all() -> None:
    with pytest.raises(FilterError, match=re.escape("no preset 'zork' at position 16. There are: piezo, high-k")) as e:
        parse_filter("nelements=2 AND preset:zork")
    assert e.value.position == 16


def test_presets_count_for_as_many_terms_as_they_may_have() -> None:
    assert parse_filter(" OR ".join(["preset:piezo"] * (MAX_TERMS // MAX_PRESET_TERMS)))
    with pytest.raises(FilterError, match="more than 100 terms"):
        parse_filter(" OR ".join(["preset:piezo"] * (MAX_TERMS // MAX_PRESET_TERMS + 1)))


def test_a_name_inside_a_text_is_no_preset() -> None:
    assert preset_in('point_group = "preset:piezo"') is None
    assert preset_in('formula != "\\"" AND preset:high-k') is PRESETS["high-k"]


def test_every_property_is_described_with_unit_and_group_from_the_registries() -> None:
    assert list(DESCRIPTIONS) == list(PROPERTIES)
    for name, described in DESCRIPTIONS.items():
        assert described.kind is PROPERTIES[name]
        assert described.description
        assert not described.description.endswith(".")
        assert (described.unit != "") or described.kind is not Kind.NUMBER, name
    for name, quantity in DERIVED.items():
        assert DESCRIPTIONS[name].unit == quantity.unit
        assert DESCRIPTIONS[name].interval == INTERVALS.get(name)
    assert {described.group for described in DESCRIPTIONS.values()} >= set(Group) - {Group.THERMAL}
