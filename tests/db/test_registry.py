"""Model versions are immutable, one of a name is current, and roll back undoes promotions one by one."""

import pytest

from db.records import ModelVersion
from db.store import ResultStore
from models.errors import StoreError

VERSIONS = [ModelVersion("toy", str(k), f"{k}" * 64) for k in range(1, 5)]


@pytest.fixture
def four(store: ResultStore) -> ResultStore:
    for k, model in enumerate(VERSIONS):
        store.register_model(model, {"fnorm": 1.0 / (k + 1)})
    return store


def test_the_first_version_is_current_until_another_is_promoted(four: ResultStore) -> None:
    assert four.current_model("toy") == VERSIONS[0]
    assert [each["state"] for each in four.list_models()] == ["candidate", "candidate", "candidate", "current"]
    four.promote_model("toy", "3")
    assert four.current_model("toy") == VERSIONS[2]
    assert [each["state"] for each in four.list_models()] == ["candidate", "current", "candidate", "retired"]


def test_roll_back_goes_one_promotion_back_each_time_and_then_says_that_it_ends(four: ResultStore) -> None:
    four.promote_model("toy", "3")
    four.promote_model("toy", "4")
    assert four.roll_back_model("toy") == VERSIONS[2] == four.current_model("toy")
    assert four.roll_back_model("toy") == VERSIONS[0] == four.current_model("toy")
    with pytest.raises(StoreError, match="none to go back to"):
        four.roll_back_model("toy")
    assert four.current_model("toy") == VERSIONS[0]


def test_no_roll_back_leads_to_a_version_that_was_rolled_back(four: ResultStore) -> None:
    four.promote_model("toy", "3")
    four.roll_back_model("toy")
    four.promote_model("toy", "4")
    assert four.roll_back_model("toy") == VERSIONS[0] == four.current_model("toy")
    assert sum(each["state"] == "current" for each in four.list_models()) == 1


def test_registering_again_changes_nothing_and_other_weights_are_refused(four: ResultStore) -> None:
    before = four.list_models()
    assert four.register_model(VERSIONS[1], {}) == four.register_model(VERSIONS[1], {"fnorm": 9.0})
    assert four.list_models() == before
    with pytest.raises(StoreError, match="Versions are immutable"):
        four.register_model(ModelVersion("toy", "2", "f" * 64), {})


def test_names_have_their_own_current_versions(four: ResultStore) -> None:
    other = ModelVersion("other", "1", "c" * 64)
    four.register_model(other, {})
    four.promote_model("toy", "2")
    assert four.current_model("other") == other
    assert four.current_model("toy") == VERSIONS[1]
    assert four.current_model("no such") is None
    assert four.current_model() == other


def test_an_unknown_version_is_refused_with_close_ones(four: ResultStore) -> None:
    with pytest.raises(StoreError, match=r"no model 'toy@7'.*toy@"):
        four.promote_model("toy", "7")
    assert four.current_model("toy") == VERSIONS[0]


def test_an_empty_registry_has_no_current_model(store: ResultStore) -> None:
    assert store.current_model() is None
    assert store.list_models() == []
