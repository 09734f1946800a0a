"""Other shipped models stand beside the one that was measured: their own figures, under their own names."""

from dataclasses import replace
from pathlib import Path

from flows.reports.accuracy_document import tensor_table
from gmt_tasks.evaluation.shipped_models import beside_shipped
from models.gmtnet.card import ModelCard, write_card
from models.gmtnet.config import GMTNET
from tests.flows.reports.fake_evaluation import fake_evaluation


def folder_with(tmp_path: Path, *names: str, factor: float = 2.0) -> Path:
    """Cards whose errors are `factor` times those of the fake evaluation."""
    found = fake_evaluation()
    worse = replace(found, tensors=[replace(row, fnorm=factor * row.fnorm) for row in found.tensors])
    for name in names:
        write_card(ModelCard(name, "1", "0" * 64, GMTNET, (1,), worse.to_json()), tmp_path)
    return tmp_path


def test_rows_of_another_model_are_added_under_its_name(tmp_path: Path) -> None:
    before = fake_evaluation()
    after = beside_shipped(before, folder_with(tmp_path, "other"))
    assert after.tensors[: len(before.tensors)] == before.tensors
    added = after.tensors[len(before.tensors) :]
    own = [row for row in before.tensors if row.predictor == "model"]
    assert added == [replace(row, predictor="other", fnorm=2.0 * row.fnorm) for row in own]
    assert {row.predictor for row in after.properties} == {row.predictor for row in before.properties} | {"other"}


def test_the_model_itself_and_models_without_figures_are_not_doubled(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "toy")
    write_card(ModelCard("fresh", "1", "0" * 64, GMTNET, (1,)), folder)
    before = fake_evaluation()
    assert beside_shipped(before, folder) == before


def test_the_table_shows_it_between_the_networks_and_the_baseline(tmp_path: Path) -> None:
    after = beside_shipped(fake_evaluation(), folder_with(tmp_path, "other"))
    rows = [line.split(" | ") for line in tensor_table(after, "test").splitlines() if line.startswith("| ε0 ")]
    assert [row[2] for row in rows[:4]] == ["**ensemble**", "one network ± seeds", "other", "train mean"]
    assert rows[2][4] == "3.00"


def test_printed_and_stored_figures_keep_their_keys() -> None:
    plain = fake_evaluation().to_json()
    kept = {"model", "sha256", "tensors", "properties", "consistency", "coverage", "families", "provenance"}
    assert set(plain) == kept | {"novelty", "curves", "breakdown", "error_rankings", "doubtful"}
    assert (
        list(plain["provenance"]) == ["members", "seeds", "epochs", "files", "crystals"]
        and plain["provenance"]["members"] == 2
    )
    assert plain["novelty"] and set(plain["curves"][0]) == {
        "quantity",
        "split",
        "n",
        "aurc",
        "aurc_random",
        "aurc_oracle",
    }
