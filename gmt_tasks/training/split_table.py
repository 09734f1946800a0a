"""The split that a model's training makes binding, and labels seen through it."""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.ingest.deduplicate import content_ids
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.labels.kinds import NUMBER_ARRAYS
from models.crystals.crystal import Ints
from models.gmtnet.card import WEIGHTS_FOLDER, read_card, write_card
from models.gmtnet.training_data.split_table import PARTS, SplitTable, load_split_table, save_split_table, source_name
from models.quantities import Tensor

CRYSTALS_PER_BATCH = 256


def split_table_of(labels: LabelledCrystals) -> SplitTable:
    """The table of labelled crystals: formulas with their parts, training crystals with the tensors learned of them."""
    formulas = labels.crystals.formulas()
    parts: dict[str, str] = {}
    for formula, part in zip(formulas, labels.split.tolist(), strict=True):
        # crystals of one formula share a part; where files disagree, the earlier one of PARTS counts
        if part in PARTS:
            parts[formula] = min(part, parts.get(formula, part), key=PARTS.index)
    # a number says something about its tensors too
    known = {tensor: ~np.isnan(components[:, 0]) for tensor, components in labels.components.items()}
    for name, array in NUMBER_ARRAYS.items():
        is_given = ~np.isnan(getattr(labels, name).reshape(len(labels.ids), -1)).all(axis=1)
        known |= {tensor: known[tensor] | is_given for tensor in array.constrains}
    learned: defaultdict[str, set[Tensor]] = defaultdict(set)
    rows = labels.rows(Split.TRAIN)
    for start in range(0, len(rows), CRYSTALS_PER_BATCH):
        some = rows[start : start + CRYSTALS_PER_BATCH]
        for crystal_id, row in zip(content_ids(labels.crystals.select(some)), some.tolist(), strict=True):
            tensors = {tensor for tensor, is_known in known.items() if is_known[row]}
            # two labelled cells may be one crystal
            learned[crystal_id] |= tensors
            learned[source_name(labels.ids[row], formulas[row])] |= tensors
    return SplitTable.of(parts, learned)


def write_split_table(labels: LabelledCrystals, card_path: Path, start: Path | None = None) -> None:
    """Stores the table of a freshly trained model beside its weights.

    Args:
        labels: what it was trained on, all parts.
        card_path: NAME.json of the model.
        start: card of the model that the training went on from; where that model has no table, nobody knows what was
            seen, and no table is written.
    """
    table = split_table_of(labels)
    if start is not None:
        ancestors = load_split_table(start)
        if ancestors is None:
            return
        table = ancestors.joined(table)
    write_card(save_split_table(table, card_path, read_card(card_path)), card_path.parent)


def split_of_model(card_path: Path, trained_on: LabelledCrystals | None) -> SplitTable | None:
    """The split of a model; of one of before there were tables what can be known, None where nothing can.

    Args:
        card_path: NAME.json of the model.
        trained_on: labels of its snapshot, where they are still there.
    """
    table = load_split_table(card_path)
    if table is not None:
        return table
    shipped = WEIGHTS_FOLDER / card_path.name
    # such a model was trained on its snapshot, after, or instead of, the data of the shipped one
    first = load_split_table(shipped) if shipped.is_file() else None
    if first is None or trained_on is None:
        return None
    return first.joined(split_table_of(trained_on))


def is_learned(labels: LabelledCrystals, rows: Ints, table: SplitTable | None) -> NDArray[np.bool_]:
    """Which of the crystals `rows` a model saw in its training, [n_rows]; none where its table is not there."""
    formulas = labels.crystals.select(rows).formulas()
    names = [source_name(labels.ids[row], formula) for row, formula in zip(rows.tolist(), formulas, strict=True)]
    learned = {} if table is None else table.learned(names)
    return np.array([name in learned for name in names], dtype=np.bool_)


def share_replayed(labels: LabelledCrystals, table: SplitTable | None) -> float:
    """Share of the formulas that a model was trained on which the training part of the labels has again, 0 to 1."""
    n_trained = 0 if table is None else int((table.parts == PARTS.index(Split.TRAIN)).sum())
    if table is None or not n_trained:
        return 1.0
    formulas = set(labels.crystals.select(labels.rows(Split.TRAIN)).formulas())
    return len(table.parts_of(sorted(formulas))) / n_trained


def seen_by_model(labels: LabelledCrystals, table: SplitTable | None) -> LabelledCrystals:
    """The labels with the parts that formulas have for a model, whatever their files say.

    A label of a formula that a model was trained on is no held-out label of it: calibrated on such, 90 % intervals of
    crystals that are new cover 83 %.

    Args:
        labels: labelled crystals.
        table: of the model; None leaves the parts as they are.
    """
    if table is None:
        return labels
    formulas = labels.crystals.formulas()
    known = table.parts_of(list(dict.fromkeys(formulas)))
    parts = [known.get(formula, part) for formula, part in zip(formulas, labels.split.tolist(), strict=True)]
    return replace(labels, split=np.array(parts, dtype=np.str_))
