"""Whether the labels of a snapshot are enough for a retraining: said before the training, not after it.

What a candidate needs of val and test is known before it is trained: an interval wants 20 held-out labels of its
quantity, the distance score 40 held-out crystals, and the gate wants labels of the new kind to compare on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.label_properties import label_properties, label_tensors
from gmt_tasks.evaluation.reliability.combined_errors import COMBINED, label_components
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.training.applicability import rows_with_tensors
from gmt_tasks.training.split_table import is_learned
from models.applicability.distance import FEWEST_HELD_OUT
from models.gmtnet.training_data.split_table import SplitTable
from models.quantities import DERIVED, INTERVALS, TENSORS
from models.uncertainty.conformal import SMALLEST_N

FEW_NEW = {Split.TRAIN: 50, Split.TEST: 20}
"""Below so many new crystals of a part, a retraining rarely gains more than chance (train), or nobody can see whether
it did (test)."""


@dataclass(frozen=True)
class Sufficiency:
    """What is too few in a snapshot.

    Attributes:
        missing: why a retraining would be refused in the end, one sentence each; empty where nothing is in its way.
        remarks: what else there is little of.
    """

    missing: tuple[str, ...]
    remarks: tuple[str, ...]


def check_sufficiency(labels: LabelledCrystals, intervals: Sequence[str], new: NDArray[np.bool_]) -> Sufficiency:
    """Counts what calibration and gate will need.

    Args:
        labels: of the snapshot.
        intervals: quantities that have an interval now and must keep it.
        new: crystals that the current model has not seen, [n_crystals].
    """
    counts = held_out_counts(labels)
    short = sorted((counts[name], name) for name in intervals if counts.get(name, 0) < SMALLEST_N)
    missing = []
    if short:
        named = ", ".join(f"{name} {n}" for n, name in short[:5])
        missing.append(f"{len(short)} intervals would be lost: each needs {SMALLEST_N} val labels, there are {named}")
    n_tensors = len(rows_with_tensors(labels, Split.VAL))
    if n_tensors < FEWEST_HELD_OUT:
        missing.append(f"the distance score needs {FEWEST_HELD_OUT} val crystals with a tensor, there are {n_tensors}")
    remarks = []
    for split, few in FEW_NEW.items():
        n_new = int((new & (labels.split == split.value)).sum())
        if n_new < few:
            remarks.append(f"{n_new} new crystals in {split.value} (from {few} on {_USE[split]})")
    return Sufficiency(tuple(missing), tuple(remarks))


def is_new(labels: LabelledCrystals, earlier: LabelledCrystals | None, table: SplitTable | None) -> NDArray[np.bool_]:
    """Crystals that the current model has not seen, [n_crystals].

    Args:
        labels: of the snapshot.
        earlier: labels that the current model was trained and tested on, as far as they are there.
        table: its split, which names all its training crystals.
    """
    ids = set() if earlier is None else set(earlier.ids)
    in_earlier = np.array([own in ids for own in labels.ids], dtype=np.bool_)
    return ~in_earlier & ~is_learned(labels, np.arange(len(labels.ids)), table)


_USE = {Split.TRAIN: "a gain is likely", Split.TEST: "the gate sees how good the candidate is on them"}


def held_out_counts(labels: LabelledCrystals) -> dict[str, int]:
    """Val labels of every quantity with an interval, and of every tensor under the name of its error."""
    rows = labels.rows(Split.VAL)
    truth = label_properties(labels, rows)
    counts = {name: int(np.isfinite(truth[name]).sum()) for name in INTERVALS}
    # their intervals come from the labels of each of their tensors
    for name in COMBINED:
        parts = [label_components(labels, rows, tensor) for tensor in DERIVED[name].from_tensors]
        counts[name] = min(int(np.isfinite(part).all(axis=1).sum()) for part in parts)
    for quantity, tensor in TENSORS.items():
        counts[tensor.error_column] = int(np.isfinite(label_tensors(labels, rows, quantity)[:, 0]).sum())
    return counts
