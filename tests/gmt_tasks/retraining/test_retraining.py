"""A retraining from labels to decision: it promotes, goes on where it was killed, repeats for nothing, and refuses."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from db.store import ResultStore
from gmt_tasks.registry.current_model import chosen_model
from gmt_tasks.registry.model_files import datasets_folder, models_folder
from gmt_tasks.retraining import networks
from gmt_tasks.retraining.gate import measures
from gmt_tasks.retraining.options import Placement, RetrainOptions
from gmt_tasks.retraining.outcome import Ending, Outcome
from gmt_tasks.retraining.plan import RetrainPlan, alone
from gmt_tasks.retraining.retraining import GATE, PAGE, Retraining
from gmt_tasks.settings import Settings, load_settings
from gmt_tasks.training.config import TrainingConfig
from models.errors import ModelError
from models.gmtnet.card import read_card
from tests.gmt_tasks.retraining.tiny import bring, label_batches, options_in, read_json, settings_in, tiny_gate

pytestmark = pytest.mark.usefixtures("_tiny")


@pytest.fixture(scope="module")
def monkeymodule() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def _tiny(monkeymodule: pytest.MonkeyPatch) -> None:
    """Networks of a few epochs swing: only large losses count here, small ones have tests of their own."""
    tiny_gate(monkeymodule)
    for margin in ("ERROR_MARGIN", "SYSTEM_MARGIN", "TOGETHER_MARGIN", "RATE_MARGIN", "INTERVAL_MARGIN"):
        monkeymodule.setattr(measures, margin, 0.5)


TINY_FILES = {f"tiny{end}" for end in (".json", ".safetensors", ".novelty.safetensors", ".split.safetensors")}


def walk(settings: Settings, options: RetrainOptions, lines: list[str] | None = None) -> Outcome:
    """The steps of the flow, without Prefect."""
    said = lines if lines is not None else []
    with Retraining(settings, options, datasets_folder(settings), said.append) as work:
        ending = work.freeze()
        if ending is not None:
            return ending
        work.calibrate(work.train())
        work.evaluate()
        return work.decide(work.run_gate())


class Lab:
    """A database whose first model was trained on the first label batch, and whose second on both."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.settings, self.options = folder, settings_in(folder), options_in(folder)
        first, second = label_batches()
        self.accepted = [bring(self.settings, folder / "a", first)]
        self.first = walk(self.settings, replace(self.options, from_scratch=True))
        self.nothing = walk(self.settings, self.options)
        self.accepted.append(bring(self.settings, folder / "b", second))
        self.lines: list[str] = []
        self.second = walk(self.settings, replace(self.options, epochs=4), self.lines)

    def decisions(self) -> list[dict[str, Any]]:
        with ResultStore(self.settings.database) as store:
            return store.model_decisions("tiny")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, _tiny: None) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab"))


def test_two_batches_give_two_models_and_the_second_is_promoted_over_the_first(lab: Lab) -> None:
    assert min(lab.accepted) > 50
    assert (lab.first.ending, lab.first.before) == (Ending.PROMOTED, "")
    assert lab.second.ending is Ending.PROMOTED, lab.second.why
    assert lab.second.before == lab.first.model != lab.second.model
    history = [(each["model"], each["before"], each["decision"], each["who"]) for each in lab.decisions()]
    assert history == [
        (lab.second.model, lab.first.model, "promoted", "cron@lab"),
        (lab.first.model, None, "promoted", "cron@lab"),
    ]
    assert lab.decisions()[0]["report"]["passes"] is True


def test_without_new_labels_nothing_is_trained(lab: Lab) -> None:
    assert lab.nothing.ending is Ending.NOTHING_NEW
    assert lab.nothing.model == lab.first.model
    assert lab.nothing.gate is None


def test_fine_tuning_goes_on_from_the_current_networks_and_says_so(lab: Lab) -> None:
    plan = read_json(Path(lab.second.folder) / "plan.json")
    first, second = plan["members"]  # type: ignore[misc]
    assert (first["start_member"], second["start_member"]) == (0, 1)
    assert first["epochs"] == 4 and first["learning_rate"] == pytest.approx(0.25 * 5e-3)
    assert any(f"going on from network 1 of {lab.first.model}" in line for line in lab.lines)
    card = read_card(Path(lab.second.folder) / "candidate" / "tiny.json")
    assert card.training["start"].startswith(lab.first.model)
    assert card.calibration and card.training_reference_sha256 and card.metrics
    assert str(lab.folder) not in str(card.training)  # no path of this machine


def test_the_promoted_files_lie_read_only_beside_the_database_and_are_what_the_name_means(lab: Lab) -> None:
    name, _, version = lab.second.model.partition("@")
    folder = models_folder(lab.settings) / name / version
    assert {path.name for path in folder.iterdir()} == TINY_FILES
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}
    for asked in ("tiny", lab.second.model):
        assert chosen_model(lab.settings.model_copy(update={"model": asked})).model == str(folder / "tiny.json")
    older = chosen_model(lab.settings.model_copy(update={"model": lab.first.model})).model
    assert older != str(folder / "tiny.json") and Path(older).exists()


def test_the_same_command_again_changes_nothing(lab: Lab) -> None:
    before = lab.decisions()
    assert walk(lab.settings, lab.options).ending is Ending.NOTHING_NEW
    assert lab.decisions() == before


def test_the_gate_leaves_a_page_and_data(lab: Lab) -> None:
    page = (Path(lab.second.folder) / PAGE).read_text(encoding="utf-8")
    assert page.startswith(f"# Gate: promote {lab.second.model}")
    assert read_json(Path(lab.second.folder) / GATE)["passes"] is True


@pytest.mark.slow
def test_a_killed_retraining_goes_on_and_ends_with_the_same_weights(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, options = settings_in(tmp_path), options_in(tmp_path, from_scratch=True)
    bring(settings, tmp_path / "a", label_batches()[0])
    real, killed = networks.train_network, []

    def dies_once(config: Any, folder: Path, device: str, report: Any = None) -> None:
        def report_and_die(line: str) -> None:
            if line.startswith("epoch 2/") and len(killed) < 2:
                killed.append(folder.name)
                raise RuntimeError("killed")

        real(config, folder, device, report_and_die)

    monkeypatch.setattr(networks, "train_network", dies_once)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="killed"):
            walk(settings, options)
    outcome = walk(settings, options)
    assert (killed, outcome.ending) == (["member-1", "member-2"], Ending.PROMOTED)
    first, again = (read_card(Path(each.folder) / "candidate" / "tiny.json") for each in (lab.first, outcome))
    assert first.sha256 == again.sha256
    assert first.version == again.version


def test_a_candidate_that_is_held_back_is_registered_and_not_current(lab: Lab, tmp_path: Path) -> None:
    """Also: every step after the training is found again, because only the options changed."""
    settings = settings_in(tmp_path)
    bring(settings, tmp_path / "a", label_batches()[0])
    options = replace(lab.options, from_scratch=True, promote=False)
    outcome = walk(settings, options)
    assert (outcome.ending, outcome.model, outcome.folder) == (Ending.HELD, lab.first.model, lab.first.folder)
    with ResultStore(settings.database) as store:
        assert store.current_model("tiny") is None
        assert [each["state"] for each in store.list_models()] == ["candidate"]


@pytest.mark.parametrize(
    ("where", "address", "device"),
    [
        (Placement(), "head:6379", "cpu"),
        (Placement(ray_address="mine:6379", device="cuda"), "mine:6379", "cuda"),
    ],
)
def test_what_the_options_leave_open_the_environment_says(
    where: Placement, address: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GMTSCREEN_RAY_ADDRESS", "head:6379")
    monkeypatch.setenv("GMTSCREEN_DEVICE", "cpu")
    placed = RetrainOptions(where=where).placed_by(load_settings())
    assert (placed.where.ray_address, placed.where.device) == (address, device)


def test_networks_are_trained_on_the_device_of_the_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices: list[str] = []
    monkeypatch.setattr(networks, "train_network", lambda config, folder, device, report: devices.append(device))
    monkeypatch.setattr(networks, "is_trained", lambda folder, config: len(devices) > 1)
    plan = RetrainPlan("5eed", tmp_path, (TrainingConfig(name="tiny"),) * 2, None, None, "", tmp_path / "run")
    networks.train_networks(plan, options_in(tmp_path), str, lambda share: None)
    assert devices == ["cpu", "cpu"]


def test_two_retrainings_of_the_same_thing_are_refused(tmp_path: Path) -> None:
    with alone(tmp_path / "run"), pytest.raises(ModelError, match="Another process retrains"), alone(tmp_path / "run"):
        pass
    with alone(tmp_path / "run"):
        pass


def test_more_networks_than_the_current_model_has_cannot_be_fine_tuned(lab: Lab) -> None:
    with pytest.raises(ModelError, match="3 networks cannot go on from the 2 networks"):
        walk(lab.settings, replace(lab.options, members=3))


def test_changed_files_of_the_current_model_stop_the_retraining(lab: Lab) -> None:
    name, _, version = lab.second.model.partition("@")
    card = models_folder(lab.settings) / name / version / "tiny.json"
    content = card.read_text(encoding="utf-8")
    card.chmod(0o644)
    card.write_text(content.replace('"calibration"', '"calibrations"'), encoding="utf-8")
    try:
        with pytest.raises(ModelError, match=r"tiny.json was changed.*models rollback tiny"):
            walk(lab.settings, lab.options)
    finally:
        card.write_text(content, encoding="utf-8")
        card.chmod(0o444)
