"""The gate lets the same and a better model pass, and names what is wrong with every other one.

Toy models stand for networks: their labels are exact, so each fault is made alone and nothing else speaks.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from db.records import ModelVersion
from gmt_tasks.evaluation.calibration import calibrate
from gmt_tasks.evaluation.reliability import held_out_widths
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.retraining.gate import gate, reference_set
from gmt_tasks.retraining.gate.data import Lineage, check_data, check_losses, check_unseen, join_labels, select_labels
from gmt_tasks.retraining.gate.gate import Evidence, compare_models, held_out_part, run_gate
from gmt_tasks.retraining.gate.measures import lost_ranks
from gmt_tasks.retraining.gate.paired_comparison import MeasureOutcome
from gmt_tasks.retraining.gate.reference_set import ReferenceSet
from gmt_tasks.retraining.gate.report import Check, Finding, GateReport
from gmt_tasks.screening.screener import Screener
from gmt_tasks.training.applicability import fit_training_reference
from models.crystals.crystal import CrystalBatch, Floats
from models.gmtnet.training_data.split_table import SplitTable
from models.quantities import TENSORS, Tensor
from models.reference.crystals import textbook_crystals
from models.tensors.rotate import rotate
from models.testing.model import ToyEnsemble
from models.uncertainty.conformal import Calibration
from tests.gmt_tasks.labels.toy_labels import good_rows, toy_crystals, write_rows

HASH, OLDER = "a" * 64, "b" * 64
TRAINING = {"snapshot": HASH, "final_losses": {"elastic_voigt": 0.1}}
LINEAGE = Lineage(HASH, HASH, OLDER)
TURN = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])


class Toy(ToyEnsemble):
    """Two networks around the truth, and faults: what `spoil` makes of their tensors."""

    def __init__(self, error: float = 0.02) -> None:
        super().__init__([1.0 - error, 1.0 + 2.0 * error])

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        return {q: self.spoil(q, t, crystals) for q, t in super().predict(crystals).items()}

    def spoil(self, quantity: Tensor, tensors: Floats, crystals: CrystalBatch) -> Floats:
        return tensors


class Halved(Toy):
    def spoil(self, quantity: Tensor, tensors: Floats, crystals: CrystalBatch) -> Floats:
        return 0.5 * tensors if quantity is Tensor.ELASTIC else tensors


class Rotated(Toy):
    """As of labels in another frame than their lattice, learned by heart."""

    def spoil(self, quantity: Tensor, tensors: Floats, crystals: CrystalBatch) -> Floats:
        return np.stack([rotate(quantity, each, np.broadcast_to(TURN, (len(each), 3, 3))) for each in tensors])


class Broken(Toy):
    def spoil(self, quantity: Tensor, tensors: Floats, crystals: CrystalBatch) -> Floats:
        aluminium = np.bincount(crystals.crystal_of_atom, crystals.numbers == 13) > 0
        return np.where(aluminium.reshape(1, -1, *[1] * (tensors.ndim - 2)), np.nan, tensors)


class WorseWhereLong(Toy):
    """Errors in crystals whose cell is twice as long as wide: in some crystal systems more than in others."""

    def spoil(self, quantity: Tensor, tensors: Floats, crystals: CrystalBatch) -> Floats:
        lengths = np.linalg.norm(crystals.lattice, axis=2)
        long = lengths.max(axis=1) > 1.35 * lengths.min(axis=1)
        return tensors * np.where(long, 1.1, 1.0).reshape(1, -1, *[1] * (tensors.ndim - 2))


class Slow(Toy):
    def spoil(self, quantity: Tensor, tensors: Floats, crystals: CrystalBatch) -> Floats:
        time.sleep(0.1)
        return tensors


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> LabelledCrystals:
    return read_labels(write_rows(tmp_path_factory.mktemp("labels"), good_rows(20)))


@pytest.fixture(autouse=True)
def toy_limits(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The toy's training crystals are random ones themselves; the exact check has tests of its own."""
    monkeypatch.setattr(reference_set, "LEAST_SEPARATION", 0.1)
    monkeypatch.setattr(gate, "SPEED_CRYSTALS", 12)
    if "equivariance" not in request.node.name:
        monkeypatch.setattr(reference_set, "_check_symmetry", lambda candidate: iter(()))


@pytest.fixture(scope="module", autouse=True)
def _one_draw() -> Iterator[None]:
    """Folds of the calibration are drawn once: how often is a matter of evaluation/test_calibration.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(held_out_widths, "N_DRAWS", 1)
        yield


def screener(model: Toy, labels: LabelledCrystals, version: str = "2") -> Screener:
    """A calibrated model with a distance score."""
    made = Screener(model, ModelVersion("toy", version, version * 64), applicability=fit_training_reference(labels))
    made.calibration = calibrate(made, labels)
    return made


@pytest.fixture(scope="module")
def current(labels: LabelledCrystals, _one_draw: None) -> Screener:
    return screener(Toy(), labels, "1")


@pytest.fixture(scope="module")
def worse(labels: LabelledCrystals, current: Screener) -> GateReport:
    """Of a model with larger errors."""
    return compared(screener(Toy(0.03), labels), current, labels)


def newer(current: Screener, model: Toy | None = None) -> Screener:
    """The next version of the current model, with its intervals and distance score: the same one, or a faulty one."""
    return replace(current, model=model or Toy(), model_version=ModelVersion("toy", "2", "2" * 64))


def ask(candidate: Screener, current: Screener | None, labels: LabelledCrystals, **more: object) -> GateReport:
    evidence = Evidence(labels, LINEAGE, TRAINING, table=SplitTable.of(parts_in(labels), {}))
    return run_gate(candidate, current, replace(evidence, **more))  # type: ignore[arg-type]


def parts_in(labels: LabelledCrystals) -> dict[str, str]:
    """The part of every formula."""
    return dict(zip(labels.crystals.formulas(), labels.split.tolist(), strict=True))


def compared(candidate: Screener, current: Screener, labels: LabelledCrystals) -> GateReport:
    """The comparisons alone."""
    test, before = held_out_part(Evidence(labels, LINEAGE, TRAINING))
    answers = [each.predict(test.crystals) for each in (candidate, current)]
    rows = compare_models(test, answers[0], answers[1], before)
    return GateReport("", "", "", len(test.ids), [], rows, 0.05)


def broken(findings: list[Finding]) -> list[str]:
    return [each.subject for each in findings if not each.holds]


def test_the_same_model_and_a_better_one_pass(labels: LabelledCrystals, current: Screener) -> None:
    same = ask(newer(current), current, labels)
    assert same.reasons == []
    assert {each.outcome for each in same.comparisons} == {MeasureOutcome.SAME}
    assert len(same.comparisons) > 40
    better = compared(screener(Toy(0.005), labels), current, labels)
    assert better.passes and sum(each.outcome is MeasureOutcome.BETTER for each in better.comparisons) > 10
    assert "better" in better.summary


def test_the_first_model_of_a_name_is_compared_with_the_reference_set_only(
    labels: LabelledCrystals, current: Screener
) -> None:
    report = ask(current, None, labels)
    assert report.comparisons == [] and report.current == ""
    assert {each.check for each in report.findings} == {Check.DATA, Check.REFERENCE}
    assert all("literature" in reason for reason in report.reasons)  # a toy knows no material
    assert report.reasons


def test_a_worse_model_is_refused_measure_by_measure(worse: GateReport) -> None:
    named = " ".join(worse.reasons)
    assert not worse.passes
    for measure in ("C error", "ε∞ error", "k_vrh_gpa error", "all tensors", "interval score"):
        assert measure in named


def test_a_fault_in_some_crystal_systems_is_named_by_system(labels: LabelledCrystals, current: Screener) -> None:
    report = compared(screener(WorseWhereLong(), labels), current, labels)
    worse = {each.group for each in report.comparisons if each.outcome is MeasureOutcome.WORSE}
    assert worse - {"all"} <= {"orthorhombic", "tetragonal", "monoclinic", "trigonal", "hexagonal"}
    assert not report.passes


def test_intervals_that_are_too_narrow_or_too_wide_are_refused(labels: LabelledCrystals, current: Screener) -> None:
    honest = newer(current)
    for factor, says in ((0.3, "outside its interval"), (3.0, "interval score")):
        widths = {
            name: replace(width, floor=factor * width.floor, quantile=factor * width.quantile)
            for name, width in honest.calibration.widths.items()
        }
        dishonest = replace(honest, calibration=Calibration(honest.calibration.alpha, 2, widths))
        reasons = compared(dishonest, current, labels).reasons
        assert any(says in reason for reason in reasons)
        assert all("interval" in reason for reason in reasons)


def test_units_halved_in_all_labels_are_seen_by_the_literature_and_the_labels_known_before(
    labels: LabelledCrystals, current: Screener
) -> None:
    """The poisoned test part itself speaks for the poisoned model."""
    halved = replace(labels, components=labels.components | {Tensor.ELASTIC: 0.5 * labels.components[Tensor.ELASTIC]})
    candidate = screener(Halved(), halved)
    report = ask(candidate, current, halved)
    assert [each.subject for each in report.findings if not each.holds] == [
        "C of well-known crystals beside the literature",
        "new labels lie in the current model's intervals",
        "new labels are as large as earlier ones beside the current model",
    ]
    assert not any("C error" in reason for reason in report.reasons)
    known = ask(candidate, current, halved, earlier=labels)
    assert any("C error (labels known before" in reason for reason in known.reasons)


def test_new_labels_that_belong_to_other_crystals_are_seen_and_earlier_ones_are_not_asked(
    labels: LabelledCrystals, current: Screener
) -> None:
    stiffness = labels.components[Tensor.ELASTIC]
    other = replace(labels, components=labels.components | {Tensor.ELASTIC: np.roll(stiffness, 1, axis=0)})
    before, new = current.predict(labels.crystals), np.zeros(len(labels.ids), dtype=bool)
    assert gate.check_new_labels(labels, before, new).holds
    found = gate.check_new_labels(other, before, new)
    assert not found.holds and "elastic_error_gpa" in found.detail
    assert gate.check_new_labels(other, before, ~new).holds


@pytest.mark.parametrize(
    ("before", "now", "holds"),
    [
        (None, 0.72, True),
        (None, 0.70, False),
        (1.1, 0.8, True),
        (1.1, 0.75, False),  # within 1.4 of the measured values, but not of the current model
        (0.5, 0.47, True),  # a current model that is off already may be exceeded a little
        (0.5, 0.25, False),
        (0.5, 0.95, True),  # nearer to the measured values, however far that is
    ],
)
def test_a_model_may_come_nearer_to_the_literature_and_not_leave_it(
    before: float | None, now: float, holds: bool, labels: LabelledCrystals, monkeypatch: pytest.MonkeyPatch
) -> None:
    factors: dict[object, float | None] = {"candidate": now, "current": before}
    monkeypatch.setattr(reference_set, "compare_literature", lambda model, _: model)
    values = lambda model: {Tensor.ELASTIC: np.full(9, np.log(factors[model]))}  # noqa: E731
    monkeypatch.setattr(reference_set, "literature_ratios", values)
    (found,) = reference_set._check_literature("candidate", "current" if before else None, labels)  # type: ignore[arg-type]
    assert found.holds is holds, found.detail


@pytest.mark.parametrize(
    ("before", "now", "holds"),
    [(None, 0, True), (None, 1, False), (0, 1, False), (1, 1, True), (2, 1, True), (1, 2, False)],
)
def test_components_that_no_material_has_are_no_more_than_those_of_the_current_model(
    before: int | None, now: int, holds: bool
) -> None:
    def answer(n_large: int) -> Any:
        by_network = {q: np.ones((2, 3, *facts.shape)) for q, facts in TENSORS.items()}
        by_network[Tensor.PIEZOELECTRIC][1, :n_large] = np.nan if n_large == 1 else -1e6  # one network is enough
        prediction = SimpleNamespace(by_network=by_network)
        return SimpleNamespace(rows=np.arange(3), derived=SimpleNamespace(prediction=prediction))

    crystals = ReferenceSet(("a", "b", "c"), textbook_crystals().crystals)
    found = list(reference_set._check_sizes(crystals, answer(now), None if before is None else answer(before)))
    assert [each.holds for each in found if each.subject.startswith("e ")] == [holds]
    assert broken(found) == ([] if holds else ["e below 90 C/m^2"])


def test_a_model_that_depends_on_the_frame_is_refused_by_equivariance(
    current: Screener, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ReferenceSet(("wurtzite", "quartz"), textbook_crystals().crystals.select(np.array([0, 1])))
    monkeypatch.setattr(reference_set, "crystals_of_all_classes", lambda seed: few)
    monkeypatch.setattr(reference_set, "textbook_crystals", lambda: few)
    found = list(reference_set._check_symmetry(newer(current, Rotated())))
    assert broken(found) == ["the same in every equivalent representation"]
    assert "deviation" in found[0].detail


@pytest.mark.slow
def test_a_model_that_follows_the_frame_passes_equivariance(labels: LabelledCrystals, current: Screener) -> None:
    assert broken(list(reference_set._check_symmetry(current))) == []


def test_numbers_that_are_not_finite_are_refused_with_the_crystal(labels: LabelledCrystals, current: Screener) -> None:
    report = ask(newer(current, Broken()), current, labels)
    lost = [each for each in report.findings if not each.holds]
    assert [each.check for each in lost][:1] == [Check.REFERENCE]
    assert any(each.check is Check.TEST and "lost" in each.detail for each in lost)
    assert "aln" in lost[0].detail.lower() or "al" in lost[0].detail.lower()


def test_a_model_that_lost_an_interval_is_refused(labels: LabelledCrystals, current: Screener) -> None:
    widths = {name: w for name, w in current.calibration.widths.items() if name != "k_vrh_gpa"}
    without = replace(current, calibration=Calibration(current.calibration.alpha, 2, widths))
    lost = gate.check_intervals(without, current)
    assert not lost.holds and "lost k_vrh_gpa" in lost.detail
    assert gate.check_intervals(current, without).holds


def test_lost_ranks_are_shares_of_what_spearman_loses() -> None:
    predicted, truth = np.random.default_rng(0).normal(size=(2, 30))
    lost = lost_ranks(np.append(predicted, 1.0), np.append(truth, np.nan))
    assert np.isnan(lost[-1]) and lost[:-1].mean() == pytest.approx(1 - spearmanr(predicted, truth).statistic)


def test_a_slow_model_is_refused_and_the_same_one_is_not(current: Screener) -> None:
    crystals = toy_crystals(20).select(np.arange(12))
    slow = gate.check_speed(newer(current, Slow()), current, crystals)
    assert not slow.holds and "0." in slow.detail
    assert gate.check_speed(current, newer(current, Slow()), crystals).holds


def test_a_model_without_a_distance_score_is_refused(labels: LabelledCrystals, current: Screener) -> None:
    prediction = current.predict(toy_crystals(20).select(np.arange(20)))
    assert reference_set.check_distance(current, prediction).holds
    assert not reference_set.check_distance(replace(current, applicability=None), prediction).holds


@pytest.mark.parametrize(
    ("lineage", "training", "subject"),
    [
        (Lineage(HASH, OLDER), TRAINING, "no newer labels were accepted since"),
        (Lineage(HASH, HASH, HASH), TRAINING, "labels that the current model was not trained on"),
        (LINEAGE, TRAINING | {"snapshot": OLDER}, "trained on the snapshot that it is measured on"),
        (LINEAGE, {"final_losses": {"x": 1.0}}, "trained on the snapshot that it is measured on"),
        (LINEAGE, TRAINING | {"final_losses": [{"x": 1.0}, {"x": float("nan")}]}, "finite losses"),
        (LINEAGE, {"snapshot": HASH}, "finite losses"),
    ],
)
def test_stale_and_broken_trainings_are_refused(
    lineage: Lineage, training: dict[str, object], subject: str, labels: LabelledCrystals
) -> None:
    assert broken(check_data(labels, lineage, training)) == [subject]


def test_a_sound_training_has_no_finding(labels: LabelledCrystals) -> None:
    assert broken(check_data(labels, LINEAGE, TRAINING)) == []
    assert check_losses({"final_losses": [{"x": 1.0}, {"x": 2.0}]}).detail == "2 losses of 2 networks"


def test_test_crystals_among_the_training_crystals_are_named(labels: LabelledCrystals) -> None:
    split = labels.split.copy()
    row = int(labels.rows(Split.TEST)[0])
    duplicate = select_labels(labels, np.array([row]))
    duplicate.split[:] = Split.TRAIN.value
    leaked = join_labels(replace(labels, split=split), replace(duplicate, ids=["other-name"]))
    (found,) = [each for each in check_data(leaked, LINEAGE, TRAINING) if not each.holds]
    assert labels.crystals.formulas()[row] in found.detail and labels.ids[row] in found.detail


def test_crystals_that_the_current_model_was_trained_on_are_no_test(labels: LabelledCrystals) -> None:
    evidence = Evidence(labels, LINEAGE, TRAINING)
    test, _ = held_out_part(evidence)
    formulas = test.crystals.formulas()
    trained = SplitTable.of(parts_in(labels) | dict.fromkeys(formulas[:3], "train"), {})
    fewer, _ = held_out_part(replace(evidence, table=trained))
    assert set(formulas) - set(fewer.crystals.formulas()) == set(formulas[:3])


def test_held_out_labels_that_the_current_model_saw_are_named(labels: LabelledCrystals) -> None:
    """The leak is planted: one formula of test was training data of the current model."""
    assert check_unseen(labels, SplitTable.of(parts_in(labels), {})).holds
    row = int(labels.rows(Split.TEST)[0])
    leaked = SplitTable.of(parts_in(labels) | {labels.crystals.formulas()[row]: "train"}, {})
    found = check_unseen(labels, leaked)
    assert not found.holds and labels.ids[row] in found.detail


def test_a_current_model_that_says_nothing_of_its_split_is_no_reference(labels: LabelledCrystals) -> None:
    assert not check_unseen(labels, None).holds


def test_labels_known_before_keep_their_values(labels: LabelledCrystals) -> None:
    altered = replace(labels, components={q: 2.0 * c for q, c in labels.components.items()})
    test, before = held_out_part(Evidence(altered, LINEAGE, TRAINING, earlier=select_labels(labels, np.arange(120))))
    n_before = int((labels.split[:120] == Split.TEST.value).sum())
    assert before.sum() == n_before and before[:n_before].all()
    old = select_labels(labels, np.flatnonzero(labels.split == Split.TEST.value))
    assert sorted(test.ids) == sorted(old.ids)
    first, second = test.components[Tensor.ELASTIC], old.components[Tensor.ELASTIC]
    place = {name: k for k, name in enumerate(old.ids)}
    factors = [first[k, 0] / second[place[name], 0] for k, name in enumerate(test.ids)]
    assert np.allclose(factors, np.where(before, 1.0, 2.0))


def test_the_report_reads_as_text_and_data(worse: GateReport) -> None:
    report = worse
    page = report.to_markdown()
    assert page.startswith("# Gate: refuse") and "## Reasons" in page and "| C error | all |" in page
    plain = report.to_json()
    assert plain["passes"] is False and plain["reasons"] == report.reasons
    assert [row["verdict"] for row in plain["comparisons"]] == [row.outcome for row in report.comparisons]
