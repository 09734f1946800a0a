"""Applicability domain: the distance score of a model, from its training data, calibrated on held-out crystals."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.files import LabelledCrystals, Split
from models.applicability.descriptor import DESCRIPTOR_GRAPH, describe
from models.applicability.distance import TrainingReference, reference_of
from models.crystals.crystal import CrystalBatch
from models.crystals.graph import build_graph

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CRYSTALS_PER_BATCH = 256


def fit_training_reference(labels: LabelledCrystals, earlier: TrainingReference | None = None) -> TrainingReference:
    """The distance score of a model trained on these labels.

    The reference are the training crystals with a full tensor of any kind: from crystals with nothing but a modulus the
    network learns little about tensors, and leaving them out ranks errors better. Scores refer to the val crystals with
    a full tensor. The test part is not touched.

    Args:
        labels: what the model was trained on last.
        earlier: reference of the model that the training went on from: what that was trained on is not forgotten.

    Raises:
        ModelError: no training tensors, or too few held-out ones.
    """
    train = labels.crystals.select(rows_with_tensors(labels, Split.TRAIN))
    val = labels.crystals.select(rows_with_tensors(labels, Split.VAL))
    descriptors = descriptors_of(train)
    reference = reference_of(descriptors, train) if earlier is None else earlier.extended(descriptors, train)
    return reference.calibrated(reference.distance(descriptors_of(val), val))


def rows_with_tensors(labels: LabelledCrystals, split: Split) -> Ints:
    """Crystals of a split with at least one full tensor."""
    has_tensor = np.any([~np.isnan(components[:, 0]) for components in labels.components.values()], axis=0)
    rows = labels.rows(split)
    return np.asarray(rows[has_tensor[rows]])


def descriptors_of(crystals: CrystalBatch) -> Floats:
    """Descriptors of any number of crystals, batch by batch, [n_crystals, n_features]."""
    starts = range(0, max(crystals.n_crystals, 1), CRYSTALS_PER_BATCH)
    batches = [crystals.select(range(k, min(k + CRYSTALS_PER_BATCH, crystals.n_crystals))) for k in starts]
    return np.concatenate([describe(batch, build_graph(batch, DESCRIPTOR_GRAPH)) for batch in batches])


def write_training_reference(labels: LabelledCrystals, card_path: Path, start: Path | None = None) -> TrainingReference:
    """Makes the distance score of a model and stores it beside the weights, pinned by the card.

    Args:
        labels: what the model was trained on.
        card_path: NAME.json of the model.
        start: card of the model that its training went on from.

    Returns:
        The score as it was stored.
    """
    # imported here: whoever only fits a reference does without torch
    from models.gmtnet.card import read_card, write_card
    from models.gmtnet.training_data.reference_file import load_training_reference, save_training_reference

    earlier = None if start is None else load_training_reference(start, read_card(start))
    reference = fit_training_reference(labels, earlier)
    card = save_training_reference(reference, card_path, read_card(card_path))
    write_card(card, card_path.parent)
    return reference
