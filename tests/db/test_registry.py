"""Model versions are immutable, one of a name is current, roll back undoes promotions, every decision is kept."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from db.records import DecisionRecord, ModelProvenance, ModelVersion
from db.store import ResultStore
from models.errors import StoreError

WHY = DecisionRecord("ana@lab", "all measures are better", {"verdict": "promote"})
VERSIONS = [ModelVersion("toy", str(k), f"{k}" * 64) for k in range(1, 5)]


@pytest.fixture
def four(store: ResultStore) -> ResultStore:
    for k, model in enumerate(VERSIONS):
        store.register_model(model, {"fnorm": 1.0 / (k + 1)})
    return store


def test_the_first_version_is_current_until_another_is_promoted(four: ResultStore) -> None:
    assert four.current_model("toy") == VERSIONS[0]
    assert [each["state"] for each in four.list_models()] == ["candidate", "candidate", "candidate", "current"]
    four.promote_model("toy", "3", WHY)
    assert four.current_model("toy") == VERSIONS[2]
    assert [each["state"] for each in four.list_models()] == ["candidate", "current", "candidate", "retired"]


def test_roll_back_goes_one_promotion_back_each_time_and_then_says_that_it_ends(four: ResultStore) -> None:
    four.promote_model("toy", "3", WHY)
    four.promote_model("toy", "4", WHY)
    assert four.roll_back_model("toy", WHY) == VERSIONS[2] == four.current_model("toy")
    assert four.roll_back_model("toy", WHY) == VERSIONS[0] == four.current_model("toy")
    with pytest.raises(StoreError, match="none to go back to"):
        four.roll_back_model("toy", WHY)
    assert four.current_model("toy") == VERSIONS[0]


def test_no_roll_back_leads_to_a_version_that_was_rolled_back(four: ResultStore) -> None:
    four.promote_model("toy", "3", WHY)
    four.roll_back_model("toy", WHY)
    four.promote_model("toy", "4", WHY)
    assert four.roll_back_model("toy", WHY) == VERSIONS[0] == four.current_model("toy")
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
    four.promote_model("toy", "2", WHY)
    assert four.current_model("other") == other
    assert four.current_model("toy") == VERSIONS[1]
    assert four.current_model("no such") is None
    assert four.current_model() == other


def test_an_unknown_version_is_refused_with_close_ones(four: ResultStore) -> None:
    with pytest.raises(StoreError, match=r"no model 'toy@7'.*toy@"):
        four.promote_model("toy", "7", WHY)
    assert four.current_model("toy") == VERSIONS[0]


def test_an_empty_registry_has_no_current_model(store: ResultStore) -> None:
    assert store.current_model() is None
    assert store.list_models() == []


def origin(folder: str = "models/toy/2", content: str = "2" * 64) -> ModelProvenance:
    return ModelProvenance(folder, {"toy.json": "c" * 64, "toy.safetensors": content}, "5eed" * 3, "0.1.0")


def test_a_version_that_comes_with_files_waits_for_its_promotion(store: ResultStore) -> None:
    store.register_model(VERSIONS[1], {}, origin())
    assert store.current_model("toy") is None
    assert [each["state"] for each in store.list_models()] == ["candidate"]
    store.register_model(VERSIONS[0], {})  # the shipped one screens
    assert store.current_model("toy") == VERSIONS[0]
    store.promote_model("toy", "2", WHY)
    assert store.current_model("toy") == VERSIONS[1]
    assert store.roll_back_model("toy", WHY) == VERSIONS[0]


def test_where_the_files_are_is_kept_and_they_may_move_but_not_change(store: ResultStore) -> None:
    store.register_model(VERSIONS[1], {}, origin())
    store.register_model(VERSIONS[1], {"fnorm": 0.5})  # screening with it says nothing of its files
    store.register_model(VERSIONS[1], {}, origin("elsewhere"))
    known = store.describe_model("toy@2")
    assert (known["folder"], known["snapshot"], known["code_version"]) == ("elsewhere", "5eed" * 3, "0.1.0")
    assert known["files"] == origin().files
    assert known["metrics"] == {"fnorm": 0.5}
    with pytest.raises(StoreError, match="other files beside its weights"):
        store.register_model(VERSIONS[1], {}, origin(content="f" * 64))


def test_every_decision_is_kept_with_who_why_and_what_was_before(four: ResultStore) -> None:
    refusal = DecisionRecord("cron@lab", "C is worse", {"verdict": "refuse"})
    four.refuse_model("toy", "2", refusal)
    four.promote_model("toy", "3", WHY)
    four.roll_back_model("toy", DecisionRecord("ben@lab", "d33 looks odd"))
    kept = four.model_decisions("toy")
    assert [(each["model"], each["before"], each["decision"]) for each in kept] == [
        ("toy@1", "toy@3", "rolled_back"),
        ("toy@3", "toy@1", "promoted"),
        ("toy@2", "toy@1", "refused"),
    ]
    assert [(each["who"], each["why"], each["report"]) for each in kept] == [
        ("ben@lab", "d33 looks odd", None),
        ("ana@lab", "all measures are better", {"verdict": "promote"}),
        ("cron@lab", "C is worse", {"verdict": "refuse"}),
    ]
    assert [each["created"] for each in kept] == sorted((each["created"] for each in kept), reverse=True)
    assert four.describe_model("toy@2")["decisions"][0]["why"] == "C is worse"
    assert four.describe_model("toy")["version"] == "1"


def test_promoting_what_is_current_changes_nothing(four: ResultStore) -> None:
    """A step that is repeated because nobody knows whether its commit arrived must not count twice."""
    four.promote_model("toy", "3", WHY)
    four.promote_model("toy", "3", WHY)
    assert len(four.model_decisions("toy")) == 1
    assert four.roll_back_model("toy", WHY) == VERSIONS[0]


def test_decisions_at_the_same_time_leave_one_version_current(
    four: ResultStore, open_again: Callable[[], ResultStore]
) -> None:
    stores = [open_again() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        for _ in pool.map(lambda k: stores[k].promote_model("toy", str(k + 2), WHY), range(3)):
            pass
    assert sum(each["state"] == "current" for each in four.list_models()) == 1
    kept = four.model_decisions("toy")
    assert [each["before"] for each in kept] == [*(each["model"] for each in kept[1:]), "toy@1"]


def test_a_refusal_of_an_unknown_version_is_an_error_and_keeps_nothing(four: ResultStore) -> None:
    with pytest.raises(StoreError, match="no model 'toy@9'"):
        four.refuse_model("toy", "9", WHY)
    assert four.model_decisions("toy") == []
