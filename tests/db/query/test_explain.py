"""Why a filter finds nothing: the counts of its terms agree with those of filters made of them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from db.query.explain import MAX_EXPLAINED, terms_of
from db.query.filter_language import parse_filter
from db.query.filter_tree import And, Filter, to_text
from db.store import ResultStore
from models.errors import FilterError
from tests.db.blocks import block, results, spec
from tests.db.query.filters import leaves
from tests.db.query.test_pages import N_CRYSTALS, random_store  # noqa: F401  a fixture


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(terms=st.lists(leaves(), min_size=1, max_size=4, unique=True))
def test_counts_of_an_explanation_are_those_of_filters(random_store: ResultStore, terms: list[Filter]) -> None:  # noqa: F811
    def n(*chosen: Filter) -> int:
        return random_store.count(" AND ".join(f"({to_text(term)})" for term in chosen))

    explained = random_store.explain(" AND ".join(f"({to_text(term)})" for term in terms))
    assert (explained.n, explained.total) == (n(*terms), N_CRYSTALS)
    assert [term.text for term in explained.terms] == [to_text(term) for term in terms]
    assert [term.n for term in explained.terms] == [n(term) for term in terms]
    assert [term.without for term in explained.terms] == [n(*terms[:k], *terms[k + 1 :]) for k in range(len(terms))]
    for one, other in explained.empty_pairs:
        assert random_store.count(f"({one}) AND ({other})") == 0
        assert random_store.count(one)
        assert random_store.count(other)
    assert bool(explained.sentences()) == (explained.n == 0)


def test_the_sentence_names_the_term_the_pair_or_what_would_help(random_store: ResultStore) -> None:  # noqa: F811
    explain = random_store.explain
    assert explain("k_vrh_gpa > 1e301 AND spacegroup IS KNOWN").sentences() == [
        f"No crystal of {N_CRYSTALS} passes k_vrh_gpa > 1e+301."
    ]
    (pair,) = explain("spacegroup = 2 AND spacegroup = 3 AND nelements > 0").sentences()
    assert "spacegroup = 2" in pair
    assert "spacegroup = 3" in pair
    assert pair.endswith("but none passes both.")
    # three terms any two of which leave some
    three = explain("NOT (piezo_allowed AND ood) AND piezo_allowed AND ood")
    assert three.n == 0


def test_a_property_that_no_crystal_has_is_named(store: ResultStore) -> None:
    run = store.open_run(spec())
    store.add_block(run.id, block(0, [1, 2]), 10**6)
    lease = store.lease_shard(run.id, "w")
    assert lease is not None
    made = results(lease)
    del made.columns["hardness_chen_gpa"]
    store.commit_shard(lease, made)
    first, second = store.explain("preset:superhard AND n_atoms > 0").sentences()[:2]
    assert first == "No crystal of 2 passes hardness_chen_gpa > 20."
    assert "unknown of all crystals: screen them again" in " ".join(store.explain("hardness_chen_gpa > 20").sentences())
    assert second


def test_nested_terms_and_those_of_presets_are_looked_at_one_by_one() -> None:
    tree = parse_filter("nelements > 1 AND (ood AND (metal AND nelements > 1)) AND preset:piezo")
    assert [to_text(term) for term in terms_of(tree)][:3] == ["nelements > 1", "ood", "metal"]
    assert not any(isinstance(term, And) for term in terms_of(tree))


def test_too_many_terms_and_no_filter_are_refused(random_store: ResultStore) -> None:  # noqa: F811
    with pytest.raises(FilterError, match="at most 24 are explained"):
        random_store.explain(" AND ".join(f"nelements > {k}" for k in range(MAX_EXPLAINED + 1)))
    with pytest.raises(FilterError, match="no filter to explain"):
        random_store.explain("")


def test_an_empty_database_has_no_term_to_blame(store: ResultStore) -> None:
    assert store.explain("ood").sentences() == ["There are no results yet."]
