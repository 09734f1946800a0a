"""What the gate asks of the data: nothing of the test part in the training part, new labels, the newest ones.

A model that was trained on the test labels cannot be measured by them, however good it looks; a model of an older
dataset than the newest accepted labels is out of date before it is promoted.
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
from models.gmtnet.training_data.split_table import SplitTable


@dataclass(frozen=True)
class Lineage:
    """Which dataset each model was trained on.

    Attributes:
        snapshot: hash of the dataset snapshot that the gate measures on.
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
    return [check_leak(labels), *_check_lineage(lineage, training), check_losses(training)]


def check_leak(labels: LabelledCrystals) -> Finding:
    """No composition of val or test among the training crystals: content ids hold the composition, so no crystal."""
    # By composition, not by id: polymorphs are alike, and the same crystal may have come under two ids.
    formulas = np.array(labels.crystals.formulas())
    held_out = labels.split != Split.TRAIN.value
    shared = np.intersect1d(formulas[~held_out], formulas[held_out])
    rows = np.flatnonzero(held_out & np.isin(formulas, shared))
    named = ", ".join(f"{formulas[k]} ({labels.ids[k]})" for k in rows[:3])
    detail = f"{len(rows)} crystals of {len(shared)} compositions are in both" + (f": {named}" if len(rows) else "")
    return Finding(Check.DATA, "no test or val composition in the training part", not len(rows), detail)


def is_trained(labels: LabelledCrystals, table: SplitTable | None) -> NDArray[np.bool_]:
    """Crystals of formulas that the model of a table, or one before it, was trained on, [n_crystals]."""
    formulas = labels.crystals.formulas()
    parts = {} if table is None else table.parts_of(list(dict.fromkeys(formulas)))
    return np.array([parts.get(formula) == Split.TRAIN.value for formula in formulas], dtype=np.bool_)


def check_unseen(labels: LabelledCrystals, table: SplitTable | None) -> Finding:
    """Neither the current model nor one before it was trained on formulas of val or test.

    A candidate goes on from their weights: on such crystals its errors are smaller than on new ones, and intervals
    calibrated there are too narrow.
    """
    subject = "no val or test composition was seen by the current model or one before it"
    if table is None:
        detail = "the current model says nothing of its split; train the next one --from-scratch and promote it by hand"
        return Finding(Check.DATA, subject, holds=False, detail=detail)
    held_out = labels.split != Split.TRAIN.value
    rows = np.flatnonzero(held_out & is_trained(labels, table))
    formulas = labels.crystals.formulas()
    named = ", ".join(f"{formulas[k]} ({labels.ids[k]})" for k in rows[:3])
    detail = f"{len(rows)} of {held_out.sum()} crystals of val and test" + (f": {named}" if len(rows) else "")
    return Finding(Check.DATA, subject, not len(rows), detail)


def _check_lineage(lineage: Lineage, training: Mapping[str, Any]) -> Iterator[Finding]:
    """The candidate was trained on this snapshot, this snapshot is the newest, and it is not the current model's."""
    trained_on, measured_on = str(training.get("snapshot", "")), lineage.snapshot
    detail = f"trained on {trained_on[:12] or 'an unknown dataset'}, measured on {measured_on[:12]}"
    yield Finding(Check.DATA, "trained on the snapshot that it is measured on", trained_on == measured_on, detail)
    # Labels that were accepted during the training would make the new model out of date at once.
    detail = f"{measured_on[:12]}, the accepted labels are now {lineage.newest[:12]}"
    yield Finding(Check.DATA, "no newer labels were accepted since", measured_on == lineage.newest, detail)
    detail = f"the current model was trained on {lineage.current[:12] or 'an unknown dataset'}"
    subject = "labels that the current model was not trained on"
    yield Finding(Check.DATA, subject, measured_on != lineage.current, detail)


def check_losses(training: Mapping[str, Any]) -> Finding:
    """Every loss of the last epoch is a finite number, of every network."""
    final_losses = training.get("final_losses", {})
    # The card of an ensemble has a list, one entry per network.
    networks = final_losses if isinstance(final_losses, list) else [final_losses]
    broken = {name for losses in networks for name, value in losses.items() if not math.isfinite(value)}
    n_losses = sum(len(losses) for losses in networks)
    detail = ", ".join(sorted(broken)) or f"{n_losses} losses of {len(networks)} networks"
    return Finding(Check.DATA, "finite losses", bool(networks[0]) and not broken, detail)


def select_labels(labels: LabelledCrystals, rows: NDArray[np.int64]) -> LabelledCrystals:
    """The labelled crystals of the given indices."""
    selected: dict[str, Any] = {"ids": [labels.ids[k] for k in rows], "crystals": labels.crystals.select(rows)}
    # All other fields are arrays over the crystals, or dictionaries of them by tensor.
    for field in fields(labels):
        if field.name not in selected:
            value = getattr(labels, field.name)
            selected[field.name] = {q: v[rows] for q, v in value.items()} if isinstance(value, dict) else value[rows]
    return LabelledCrystals(**selected)


def join_labels(first: LabelledCrystals, second: LabelledCrystals) -> LabelledCrystals:
    """Labelled crystals one after the other."""
    joined: dict[str, Any] = {
        "ids": first.ids + second.ids,
        "crystals": CrystalBatch.join([first.crystals, second.crystals]),
    }
    for field in fields(first):
        if field.name not in joined:
            a, b = getattr(first, field.name), getattr(second, field.name)
            is_dict = isinstance(a, dict)
            joined[field.name] = {q: np.concatenate([a[q], b[q]]) for q in a} if is_dict else np.concatenate([a, b])
    return LabelledCrystals(**joined)
