"""What the gate asks of the data: nothing of the test part in the training part, new labels, the newest ones.

A model that was shown the answers cannot be judged by them, however good it looks; a model of an older dataset than
the newest accepted labels is out of date before it is promoted.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.retraining.gate.report import Check, Finding
from models.crystals.crystal import CrystalBatch


@dataclass(frozen=True)
class Lineage:
    """Which dataset each model learned from.

    Attributes:
        snapshot: hash of the dataset snapshot that the gate judges by.
        newest: hash of what the accepted labels of the database are now.
        current: hash of the snapshot of the current model; empty when it is unknown.
    """

    snapshot: str
    newest: str
    current: str = ""


def check_data(labels: LabelledCrystals, lineage: Lineage, training: Mapping[str, Any]) -> list[Finding]:
    """What must hold of the data that a candidate was trained on.

    Args:
        labels: of the snapshot.
        lineage: hashes.
        training: what the candidate's card says of its training.
    """
    return [check_leak(labels), *_lineage(lineage, training), check_losses(training)]


def check_leak(labels: LabelledCrystals) -> Finding:
    """No composition of val or test among the training crystals: content ids hold the composition, so no crystal."""
    formulas = np.array(labels.crystals.formulas())
    held_out = labels.split != Split.TRAIN.value
    shared = np.intersect1d(formulas[~held_out], formulas[held_out])
    rows = np.flatnonzero(held_out & np.isin(formulas, shared))
    named = ", ".join(f"{formulas[k]} ({labels.ids[k]})" for k in rows[:3])
    detail = f"{len(rows)} crystals of {len(shared)} compositions are in both" + (f": {named}" if len(rows) else "")
    return Finding(Check.DATA, "no test or val composition in the training part", not len(rows), detail)


def _lineage(lineage: Lineage, training: Mapping[str, Any]) -> Iterator[Finding]:
    """The candidate learned from this snapshot, this snapshot is the newest, and it is not the current model's."""
    taught = training.get("snapshot", "")
    short = str(taught)[:12] or "an unknown dataset"
    subject = "trained on the snapshot that it is judged by"
    yield Finding(
        Check.DATA, subject, taught == lineage.snapshot, f"trained on {short}, judged by {lineage.snapshot[:12]}"
    )
    fresh = lineage.snapshot == lineage.newest
    detail = f"{lineage.snapshot[:12]}, the accepted labels are now {lineage.newest[:12]}"
    yield Finding(Check.DATA, "no newer labels were accepted since", fresh, detail)
    new = lineage.snapshot != lineage.current
    detail = f"the current model learned from {lineage.current[:12] or 'an unknown dataset'}"
    yield Finding(Check.DATA, "labels that the current model has not seen", new, detail)


def check_losses(training: Mapping[str, Any]) -> Finding:
    """Every loss of the last epoch is a finite number, of every member."""
    kept = training.get("final_losses", {})
    members = kept if isinstance(kept, list) else [kept]
    broken = [name for losses in members for name, value in losses.items() if not math.isfinite(value)]
    found = (
        ", ".join(sorted(set(broken))) or f"{sum(len(losses) for losses in members)} losses of {len(members)} members"
    )
    return Finding(Check.DATA, "finite losses", bool(members[0]) and not broken, found)


def select_labels(labels: LabelledCrystals, rows: NDArray[np.int64]) -> LabelledCrystals:
    """The labelled crystals of the given indices."""
    picked: dict[str, Any] = {"ids": [labels.ids[k] for k in rows], "crystals": labels.crystals.select(rows)}
    for each in fields(labels):
        if each.name not in picked:
            value = getattr(labels, each.name)
            picked[each.name] = {q: v[rows] for q, v in value.items()} if isinstance(value, dict) else value[rows]
    return LabelledCrystals(**picked)


def join_labels(first: LabelledCrystals, second: LabelledCrystals) -> LabelledCrystals:
    """Labelled crystals one after the other."""
    joined: dict[str, Any] = {
        "ids": first.ids + second.ids,
        "crystals": CrystalBatch.join([first.crystals, second.crystals]),
    }
    for each in fields(first):
        if each.name not in joined:
            a, b = getattr(first, each.name), getattr(second, each.name)
            is_dict = isinstance(a, dict)
            joined[each.name] = {q: np.concatenate([a[q], b[q]]) for q in a} if is_dict else np.concatenate([a, b])
    return LabelledCrystals(**joined)
