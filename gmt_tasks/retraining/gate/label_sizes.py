"""What the gate asks of the size of new labels: that they are as large, beside the current model, as earlier ones were.

A factor in all labels of one tensor, 1.35 say, leaves them within most intervals and moves the literature values of the
reference set by less than these may be off. The median of label over prediction shows it: of right labels of val it is
within 1.03 of 1 (of e within 1.1), and its standard error falls with their number.
"""

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.label_properties import label_properties
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.labels.kinds import E_NORM, EPS_ELECTRONIC, EPS_TOTAL, NUMBER_ARRAYS, G, K
from gmt_tasks.labels.label_kind import Floats, Size
from gmt_tasks.retraining.gate.data import is_trained, select_labels
from gmt_tasks.retraining.gate.report import Check, Finding
from gmt_tasks.screening.derive import derived_columns
from gmt_tasks.screening.screener import Screener
from models.crystals.masses import densities
from models.gmtnet.training_data.split_table import SplitTable
from models.quantities import Tensor

FEWEST_NEW = 8
FEWEST_EARLIER = 30
STANDARD_ERRORS = 4.0
"""Beyond which a median is off: about ten sizes are looked at each time."""

COMPARED: dict[str, tuple[Tensor, Size]] = {
    "eps_electronic_mean": (Tensor.DIELECTRIC_ELECTRONIC, EPS_ELECTRONIC),
    "eps_total_mean": (Tensor.DIELECTRIC_TOTAL, EPS_TOTAL),
    "k_vrh_gpa": (Tensor.ELASTIC, K),
    "g_vrh_gpa": (Tensor.ELASTIC, G),
    "e_norm_c_per_m2": (Tensor.PIEZOELECTRIC, E_NORM),
}
"""Properties whose size is looked at: the tensor that gives them, and the limits of the size."""


def check_label_sizes(
    labels: LabelledCrystals, earlier: LabelledCrystals | None, current: Screener, table: SplitTable | None
) -> Finding:
    """New labels of val and test are as large beside the current model's predictions as earlier ones.

    Args:
        labels: of the snapshot.
        earlier: of the snapshot before; None where it is not there, then all labels are new.
        current: the current model.
        table: its split; formulas that it was trained on prove nothing.
    """
    is_held_out = labels.split != Split.TRAIN.value
    held_out = select_labels(labels, np.flatnonzero(is_held_out & ~is_trained(labels, table)))
    logs = label_over_prediction(held_out, current)
    is_new = _is_new(held_out, earlier)
    off, n_compared = [], 0
    for (name, kind), values in logs.items():
        new, before = values[is_new & np.isfinite(values)], values[~is_new & np.isfinite(values)]
        if len(new) < FEWEST_NEW:
            continue
        n_compared += 1
        size = COMPARED[name][1]
        shift = shift_of(new, before, size.usual_ratio, size.largest_shift)
        if shift is not None:
            off.append(
                f"{name} of {len(new)} new {kind} is {shift:.2f} times what earlier labels are beside predictions"
            )
    detail = "; ".join(off) or f"{n_compared} sizes of {int(is_new.sum())} crystals"
    return Finding(Check.DATA, "new labels are as large as earlier ones beside the current model", not off, detail)


def shift_of(new: Floats, before: Floats, usual_ratio: float, largest: float) -> float | None:
    """The factor by which new labels are off; None where it is within a limit, or within chance.

    Args:
        new: ln(label / prediction) of new labels, [n_new].
        before: of earlier ones, [n_before]; they say what is usual where there are enough.
        usual_ratio: median of label over prediction of right labels elsewhere.
        largest: factor that is never refused; another chemistry may be so far off.
    """
    centre, error = _median(new)
    usual, error_before = _median(before) if len(before) >= FEWEST_EARLIER else (float(np.log(usual_ratio)), 0.0)
    off = centre - usual
    if abs(off) <= max(np.log(largest), STANDARD_ERRORS * float(np.hypot(error, error_before))):
        return None
    return float(np.exp(off))


def _median(logs: Floats) -> tuple[float, float]:
    """Median and its standard error, from the robust spread; few values underrate their own spread."""
    centre = float(np.median(logs))
    spread = 1.4826 * float(np.median(np.abs(logs - centre)))
    return centre, 1.2533 * spread / np.sqrt(len(logs)) * (1 + 4 / len(logs))


def label_over_prediction(labels: LabelledCrystals, model: Screener) -> dict[tuple[str, str], Floats]:
    """ln(label / prediction), [n_crystals]; NaN where either is missing or not positive.

    Args:
        labels: crystals with labels.
        model: predicts them; of one that it refuses there is nothing.

    Returns:
        By property and what the label is: a factor in tensors alone would drown among many moduli.
    """
    predicted = model.predict(labels.crystals)
    known = label_properties(labels, predicted.rows)
    result = predicted.derived.prediction
    # also of what is taken for a metal: a crystal with such a label is none
    columns = derived_columns(result.tensors, result.analysis.symmetry, densities(result.crystals))
    logs = {}
    for name, (quantity, _) in COMPARED.items():
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = known[name] / columns[name]
            values = np.where(ratio > 0, np.log(ratio), np.nan)
        has_tensor = ~np.isnan(labels.components[quantity][predicted.rows, 0])
        for kind, chosen in (("tensors", has_tensor), ("numbers", ~has_tensor)):
            logs[name, kind] = np.full(len(labels.ids), np.nan)
            logs[name, kind][predicted.rows[chosen]] = values[chosen]
    return logs


def _is_new(labels: LabelledCrystals, earlier: LabelledCrystals | None) -> NDArray[np.bool_]:
    """Which crystals have a label that the earlier snapshot lacks or has with another value, [n_crystals]."""
    if earlier is None:
        return np.ones(len(labels.ids), dtype=np.bool_)
    before = {name: row for row, name in enumerate(earlier.ids)}
    is_new = np.ones(len(labels.ids), dtype=np.bool_)
    for row, name in enumerate(labels.ids):
        if name in before:
            pairs = [(values[row], earlier.components[q][before[name]]) for q, values in labels.components.items()]
            pairs += [(getattr(labels, n)[row], getattr(earlier, n)[before[name]]) for n in NUMBER_ARRAYS]
            is_new[row] = not all(np.array_equal(new, old, equal_nan=True) for new, old in pairs)
    return is_new
