"""What only many labels together show: factors of units, trends, splits, shares of a mistake."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from db.labels.rows import StoredLabel
from db.tables import LabelState
from gmt_tasks.labels.checks.batch_checks import assign_splits, check_batch, split_by_hash
from gmt_tasks.labels.checks.duplicates import resolve_duplicates, worst_difference
from gmt_tasks.labels.checks.factors import UNIT_FACTORS, factor_name
from gmt_tasks.labels.checks.repeats import constant_factor
from gmt_tasks.labels.checks.scale import MAX_FAULTY_SHARE
from gmt_tasks.labels.checks.unit_checks import MIN_RELATED, off_trend, power_of_ten, scale_shift
from gmt_tasks.labels.files import Split
from gmt_tasks.labels.label_batch import BatchStatus, KnownLabels
from gmt_tasks.labels.reasons import LabelReason
from models.crystals.crystal import SYMBOLS

ELEMENTS = SYMBOLS[20:60]


def label(k: int, **more: object) -> StoredLabel:
    """A stiffness of a crystal of its own."""
    found = StoredLabel(
        f"h{k}", "elastic_stiffness", "there", f"id-{k}", f"gx-{k}", f"{ELEMENTS[k % 40]}O{2 + k // 40}"
    )
    sized = replace(found, tells_order=True, tells_frame=True, sizes={"k_gpa": 100.0 + k, "g_gpa": 50.0 + k})
    return replace(sized, **more)  # type: ignore[arg-type]


def test_the_median_of_right_labels_is_no_factor_and_that_of_halved_ones_is() -> None:
    rng = np.random.default_rng(0)
    right = np.exp(rng.normal(0, 0.6, 100))
    assert scale_shift(right, "GPa", "x") is None
    shift = scale_shift(right / 2, "GPa", "x")
    assert shift is not None
    assert 0.4 < shift.median < 0.6
    assert "halved" in str(shift)


def test_false_alarms_of_the_scale_are_rare_at_the_scatter_of_piezoelectric_labels() -> None:
    rng = np.random.default_rng(1)
    draws = [np.exp(rng.normal(0, 0.6, n)) for n in (8, 20, 60) for _ in range(300)]
    alarms = [scale_shift(draw, "GPa", "x") is not None for draw in draws]
    assert np.mean(alarms) < 0.02
    found = [scale_shift(0.5 * np.exp(rng.normal(0, 0.6, 100)), "GPa", "x") is not None for _ in range(300)]
    assert np.mean(found) > 0.98


def test_a_few_labels_prove_no_factor() -> None:
    assert scale_shift(np.array([0.5] * 7), "GPa", "x") is None
    assert scale_shift(np.array([0.5] * 8), "GPa", "x") is not None


@pytest.mark.parametrize(
    ("ratio", "unit", "name"),
    [
        (0.52, "GPa", "halved"),
        (9.3, "GPa", "kbar"),
        (110.0, "C/m^2", "uC/cm"),
        (0.0063, "GPa", "eV/A^3"),
        (950.0, "GPa", "MPa"),
        (11.0, "relative", "decimal point"),
        (13.0, "relative", "Gaussian"),
        (8.0, "C/m^2", "strain coefficients d"),
        (1.35, "GPa", "no slip of units"),
    ],
)
def test_factors_are_named_in_the_units_of_their_quantity(ratio: float, unit: str, name: str) -> None:
    assert name in factor_name(ratio, unit)


def test_no_dielectric_constant_is_said_to_be_in_kbar() -> None:
    for factor, _ in UNIT_FACTORS["GPa"]:
        assert "bar" not in factor_name(factor, "relative")


@pytest.mark.parametrize(("ratio", "near"), [(10.0, True), (0.09, True), (140.0, True), (1.2, False), (4.0, False)])
def test_powers_of_ten(ratio: float, near: bool) -> None:
    assert power_of_ten(ratio) is near


def test_a_label_ten_times_off_stands_out_of_the_trend_with_composition() -> None:
    rng = np.random.default_rng(0)
    hardness = dict(zip(ELEMENTS, rng.normal(4, 0.6, 40), strict=True))
    pairs = [(a, b) for a in ELEMENTS for b in ELEMENTS if a < b][:400]
    formulas = [f"{a}{b}" for a, b in pairs]
    values = np.exp([(hardness[a] + hardness[b]) / 2 + 0.2 * rng.normal() for a, b in pairs])
    assert not off_trend(formulas, values).any()
    values[::50] *= 10
    off = off_trend(formulas, values)
    assert np.flatnonzero(off).tolist() == list(range(0, 400, 50))
    assert np.allclose(off[::50], np.log(10), atol=0.8)


def test_a_mistake_in_more_than_a_tenth_of_the_telling_rows_refuses_the_rest() -> None:
    wrong = {"state": LabelState.REFUSED, "reason": LabelReason.VOIGT_ORDER}
    few = [label(k, **(wrong if k < 4 else {})) for k in range(41)]
    assert check_batch(few, KnownLabels()).status is BatchStatus.ACCEPTED
    many = [label(k, **(wrong if k < 5 else {})) for k in range(41)]
    decision = check_batch(many, KnownLabels())
    assert decision.status is BatchStatus.REFUSED
    assert {s.reason for s in decision.resolutions.values()} == {LabelReason.LABEL_BATCH}
    assert len(few) * MAX_FAULTY_SHARE > 4


def test_rows_that_cannot_show_a_mistake_do_not_excuse_it() -> None:
    wrong = {"state": LabelState.REFUSED, "reason": LabelReason.VOIGT_ORDER}
    rows = [label(k, **(wrong if k < 3 else {"tells_order": False})) for k in range(100)]
    assert check_batch(rows, KnownLabels()).status is BatchStatus.REFUSED


def test_a_residual_of_exactly_zero_shows_that_a_row_fits_and_one_that_is_unknown_shows_nothing() -> None:
    wrong = {"state": LabelState.REFUSED, "reason": LabelReason.SYMMETRY_MISFIT, "residual": 0.4}
    for residual, status in ((0.0, BatchStatus.ACCEPTED), (None, BatchStatus.REFUSED)):
        rows = [label(k, **(wrong if k < 3 else {"residual": residual})) for k in range(100)]
        assert check_batch(rows, KnownLabels()).status is status


def decision_beside_predictions(values: Any, predictions: Any) -> Any:
    """The decision on stiffnesses with these bulk moduli, beside a model that expects those."""
    rows = [label(k, sizes={"k_gpa": float(value), "g_gpa": 0.5 * float(value)}) for k, value in enumerate(values)]
    expected = {f"gx-{k}": {"k_gpa": float(value)} for k, value in enumerate(predictions)}
    return check_batch(rows, KnownLabels(expect=lambda ids: [expected[each] for each in ids]))


def test_values_joined_to_other_crystals_are_refused_and_right_ones_and_much_alike_ones_are_not() -> None:
    rng = np.random.default_rng(0)
    right, noise = np.exp(rng.normal(4.5, 0.8, 120)), np.exp(rng.normal(0.0, 0.25, 120))
    assert decision_beside_predictions(right, right * noise).status is BatchStatus.ACCEPTED
    wrong = decision_beside_predictions(np.roll(right, 1), right * noise)
    assert wrong.status is BatchStatus.REFUSED
    assert [finding.reason for finding in wrong.findings] == [LabelReason.WRONG_CRYSTAL]
    assert "rank correlation" in wrong.findings[0].detail
    alike = 100 * np.exp(rng.normal(0, 0.05, (2, 120)))
    assert decision_beside_predictions(*alike).status is BatchStatus.ACCEPTED
    few = slice(None, MIN_RELATED - 1)
    assert decision_beside_predictions(np.roll(right[few], 1), right[few]).status is BatchStatus.ACCEPTED


def test_parts_are_checked_apart() -> None:
    wrong = {"state": LabelState.REFUSED, "reason": LabelReason.FRAME, "source": "elsewhere"}
    decision = check_batch([label(k, **(wrong if k < 5 else {})) for k in range(10)], KnownLabels())
    assert [f.source for f in decision.findings] == ["elsewhere"]
    assert {s.state for s in decision.resolutions.values()} == {LabelState.ACCEPTED}


def test_a_formula_keeps_its_first_split_for_ever() -> None:
    rows = [label(0, declared_split="train"), label(1, declared_split="val"), label(2)]
    known = {rows[0].formula or "": "test"}
    splits = assign_splits(rows, known, {})
    assert splits[rows[0].formula or ""] == ("test", "known")
    assert splits[rows[1].formula or ""] == ("val", "declared")
    assert splits[rows[2].formula or ""] == (split_by_hash(rows[2].formula or "").value, "hash")


def test_the_hash_gives_eight_one_one() -> None:
    found = [split_by_hash(f"{a}{b}{k}") for a in ELEMENTS for b in ELEMENTS for k in range(2, 5)]
    shares = [found.count(split) / len(found) for split in (Split.TRAIN, Split.VAL, Split.TEST)]
    assert np.allclose(shares, [0.8, 0.1, 0.1], atol=0.015)


def test_a_declared_split_that_differs_without_harm_is_counted() -> None:
    row = label(0, declared_split="test")
    decision = check_batch([row], KnownLabels(splits={row.formula or "": "train"}))
    assert (decision.status, decision.resplit) == (BatchStatus.ACCEPTED, 1)


def test_labels_within_noise_say_the_same_and_beyond_it_do_not() -> None:
    first = {"k_gpa": 100.0, "g_gpa": 50.0}
    assert worst_difference(first, {"k_gpa": 106.0, "g_gpa": 44.0}) == ("", "")
    name, text = worst_difference(first, {"k_gpa": 120.0, "g_gpa": 51.0})
    assert name == "k_gpa"
    assert "100 against 120" in text


def test_of_two_that_contradict_each_other_a_power_of_ten_is_a_unit() -> None:
    known = label(0, state=LabelState.ACCEPTED)
    new = replace(known, hash="new", source="elsewhere", sizes={"k_gpa": 1000.0, "g_gpa": 500.0})
    resolved = {s.hash: s for s in resolve_duplicates([known], [new])}
    assert (resolved["new"].state, resolved["new"].reason) == (LabelState.REFUSED, LabelReason.UNIT_FACTOR)
    assert (resolved["h0"].state, resolved["h0"].reason) == (LabelState.ACCEPTED, LabelReason.CONTRADICTION)


@pytest.mark.parametrize(("ratio", "state"), [(10.0, LabelState.REFUSED), (7.0, LabelState.ACCEPTED)])
def test_one_row_is_refused_near_a_power_of_ten_and_marked_where_it_is_merely_far(
    ratio: float, state: LabelState
) -> None:
    rows = [label(k) for k in range(10)]
    known = {row.crystal_id: dict(row.sizes) for row in rows}
    rows[3] = replace(rows[3], sizes={name: ratio * size for name, size in rows[3].sizes.items()})
    decision = check_batch(rows, KnownLabels(expect=lambda wanted: [known[each] for each in wanted]))
    assert decision.status is BatchStatus.ACCEPTED
    resolved = decision.resolutions["h3"]
    assert (resolved.state, resolved.reason) == (state, LabelReason.UNIT_FACTOR)
    assert {s.state for name, s in decision.resolutions.items() if name != "h3"} == {LabelState.ACCEPTED}


def test_without_anything_there_is_nothing_new() -> None:
    assert check_batch([], KnownLabels()).status is BatchStatus.REPEATED


def times(known: StoredLabel, factor: float) -> StoredLabel:
    return replace(known, sizes={name: factor * value for name, value in known.sizes.items()})


def test_repeats_that_share_a_factor_are_found_among_those_that_scatter() -> None:
    rng = np.random.default_rng(1)
    known = [label(k) for k in range(120)]
    sizes = {each.crystal_id or "": each.sizes for each in known}
    noise = rng.normal(0.0, 0.03, 120)
    new = [times(x, 1.3 if k < 9 else np.exp(noise[k])) for k, x in enumerate(known)]
    repeats = constant_factor(new, sizes)
    assert repeats is not None
    assert (repeats.hashes, repeats.n_repeats) == (frozenset(f"h{k}" for k in range(9)), 120)
    assert repeats.factor == pytest.approx(1.3)
    decision = check_batch(new, KnownLabels(known))
    refused = [name for name, end in decision.resolutions.items() if end.reason == LabelReason.UNIT_FACTOR]
    assert sorted(refused) == sorted(repeats.hashes)  # a tenth is refused alone, more refuse the part


@pytest.mark.parametrize(("median", "spread"), [(0.03, 0.04), (-0.0004, 0.029), (0.028, 0.044), (0.0, 0.0014)])
def test_the_scatter_between_codes_is_no_common_factor(median: float, spread: float) -> None:
    """Medians and robust spreads of K, G and eps between the label files of different sources."""
    for seed, n in enumerate((12, 40, 120, 1700)):
        logs = np.random.default_rng(seed).normal(median, spread, (2, n))
        known = [label(k) for k in range(n)]
        sizes = {each.crystal_id or "": each.sizes for each in known}
        new = [
            replace(x, sizes={"k_gpa": x.sizes["k_gpa"] * np.exp(a), "g_gpa": x.sizes["g_gpa"] * np.exp(b)})
            for x, a, b in zip(known, *logs, strict=True)
        ]
        assert constant_factor(new, sizes) is None
