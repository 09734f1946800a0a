"""A model measured by the protocol of the GMTNet paper: the JARVIS files, its split, its metrics.

Metrics are those of the published test code, thresholds included:

* Fnorm: mean Frobenius norm of the error over the entries 3x3, 3x6, 6x6 (no weights);
* EwT: share of relative errors below 25, 10, 5 %; for piezoelectric and elastic tensors 1e-5 is added to the label's
  norm, so that a zero tensor that is predicted as zero counts as right;
* success rate: entries that the listed point group forbids are below 1e-5, entries that it makes equal or opposite
  agree within 1e-4. Forbidden and equal is what the published test tensor says (models/gmtnet/published/mask.py).

The success rate compares entries in the input frame with fixed thresholds. A tensor that obeys its point group exactly
can fail it where the cell itself is symmetric only to a few 1e-6 and the tensor is large (elastic). What our own
projector guarantees is measured in gmt_tasks/evaluation/consistency.py.

Source: Yan et al., arXiv:2406.12888, and its code (divelab/AIRS, OpenMat/GMTNet: train.py of the three tensors).
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.evaluation import Evaluation, train_mean
from gmt_tasks.evaluation.scores import ScoredSet, TensorMetrics, printed_norm, score_errors
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.screening.average import average
from gmt_tasks.screening.infer import RawPrediction, infer
from gmt_tasks.screening.refusals import unsupported
from gmt_tasks.screening.screener import DEFAULT_SYMPREC
from gmt_tasks.screening.symmetrize import symmetrize
from gmt_tasks.screening.symmetry_analysis import analyse_symmetry
from gmt_tasks.training.published_protocol import ZERO_PIEZO_C_PER_M2, PublishedLabels, read_published
from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.crystals.crystal_systems import CRYSTAL_SYSTEMS, crystal_systems
from models.errors import ModelError
from models.gmtnet.card import find_checkpoint, read_card, write_card
from models.gmtnet.published.mask import PUBLISHED_SYMPREC, ideal_entries, published_entries
from models.quantities import Tensor
from models.symmetry.operations import ListedOperations, listed_operations
from models.symmetry.search import find_symmetry
from models.tensor_model import TensorModel
from models.tensors.voigt import from_components

Bools = NDArray[np.bool_]

MAX_FORBIDDEN = 1e-5
MAX_DIFFERENCE = 1e-4
_FORBIDDEN = 1.0  # ideal entries below this are forbidden
_SAME = 1e-5  # relative difference of ideal entries that are the same
_ADDED_TO_NORM = {Tensor.PIEZOELECTRIC: 1e-5, Tensor.ELASTIC: 1e-5}


def evaluate_published(
    model: str, data: PublishedLabels | Path, *, device: str = "auto", as_published: bool = False
) -> Evaluation:
    """Measures a model on val and test of the published split, per tensor, per label set and per crystal system.

    Args:
        model: shipped name or checkpoint path.
        data: the protocol's data sets, or the folder with the JARVIS files.
        device: "auto", "cpu" or "cuda".
        as_published: score what the weights give behind the published graph and mask, without our projector; only for
            networks with the published layers (gmtnet-paper). A checkpoint that was trained so keeps its graph and mask
            without this, and is then projected as every other.

    Returns:
        Only tensor metrics. Crystals with elements that the model never saw are left out; `n` says how many remain.

    Raises:
        ModelError: the model predicts none of the tensors, or `as_published` does not fit it.
    """
    from models.gmtnet.predictor import GMTNetPredictor  # torch takes seconds to import

    data = data if isinstance(data, PublishedLabels) else read_published(data)
    predictor, card = GMTNetPredictor.load(find_checkpoint(model), device=device)
    predictor = predictor.as_published() if as_published else predictor
    quantities = [q for q in data.counts if q in card.config.tensors]
    if not quantities:
        raise ModelError(f"{card.name} predicts none of {', '.join(q.value for q in data.counts)}. Name another model.")
    metrics = [
        row
        for split in (Split.VAL, Split.TEST)
        for quantity in quantities
        for row in published_metrics(predictor, data.labels, quantity, split, projected=not as_published)
    ]
    return Evaluation(f"{card.name}@{card.version}", card.sha256, metrics, [])


def evaluate_published_into_card(
    model: str, *, data: Path, device: str = "auto", as_published: bool = False
) -> Evaluation:
    """Measures a model by the protocol and writes the figures into its card; see `evaluate_published`."""
    evaluation = evaluate_published(model, data, device=device, as_published=as_published)
    path = find_checkpoint(model)
    write_card(replace(read_card(path), metrics=evaluation.to_json()), path.parent)
    return evaluation


def published_metrics(
    model: TensorModel, labels: LabelledCrystals, quantity: Tensor, split: Split, *, projected: bool
) -> Iterator[TensorMetrics]:
    """Metrics of one tensor on one part: all crystals, the piezoelectric ones without zero tensors, each system.

    Args:
        model: gives raw tensors.
        labels: of the protocol.
        quantity: which tensor.
        split: which part.
        projected: whether our exact projector is applied, as in every screening.
    """
    rows = np.flatnonzero((labels.split == split.value) & ~np.isnan(labels.components[quantity][:, 0]))
    unknown = unsupported(labels.crystals.select(rows), model.elements)
    # Rows without an element that the model was trained on, then rows without a symmetry that can be found.
    rows = np.array([row for k, row in enumerate(rows) if k not in unknown], dtype=np.int64)
    kept, predicted = _predict(model, labels.crystals.select(rows), quantity, projected=projected)
    rows = rows[kept]
    truth = from_components(quantity, labels.components[quantity][rows])
    mean = from_components(quantity, train_mean(labels, quantity))
    listed = listed_operations(labels.crystals.select(rows), PUBLISHED_SYMPREC)
    size = printed_norm(truth, quantity)
    for predictor, guess in (("model", predicted), ("train mean", np.broadcast_to(mean, truth.shape))):
        error = printed_norm(guess - truth, quantity)
        obeys = obeys_as_published(quantity, guess, listed)
        for name, chosen in _label_sets(quantity, size, listed):
            where = ScoredSet(quantity.value, name, split.value, predictor)
            sizes = size[chosen] + _ADDED_TO_NORM.get(quantity, 0.0)
            yield score_errors(where, error[chosen], sizes, obeys[chosen])


def obeys_as_published(quantity: Tensor, tensors: Floats, listed: ListedOperations) -> Bools:
    """The published consistency check: zeros, equal and opposite entries, [n_crystals].

    Args:
        quantity: which tensor.
        tensors: in the stored shape, input frame, [n_crystals, ...].
        listed: operations of the crystals' cells as listed.
    """
    entries, ideal = published_entries(quantity, tensors), ideal_entries(quantity, listed)
    allowed = np.abs(ideal) > _FORBIDDEN
    obeys = np.asarray(((np.abs(entries) <= MAX_FORBIDDEN) | (np.abs(ideal) >= _FORBIDDEN)).all(axis=1))
    for sign in (1.0, -1.0):  # equal entries, then opposite ones; one column at a time keeps the arrays small
        for entry in range(entries.shape[1]):
            same = np.abs(ideal - sign * ideal[:, [entry]]) < _SAME * np.abs(ideal[:, [entry]])
            same &= allowed & allowed[:, [entry]]
            differ = np.abs(entries - sign * entries[:, [entry]]) > MAX_DIFFERENCE
            obeys &= ~(same & differ).any(axis=1)
    return obeys


def _predict(model: TensorModel, crystals: CrystalBatch, quantity: Tensor, *, projected: bool) -> tuple[Ints, Floats]:
    """Which crystals have a prediction, and the predicted tensors of these."""
    if not projected:
        return np.arange(crystals.n_crystals), np.asarray(infer(model, crystals).tensors[quantity].mean(axis=0))
    kept = np.setdiff1d(np.arange(crystals.n_crystals), find_symmetry(crystals, DEFAULT_SYMPREC).failed)
    crystals = crystals.select(kept)
    # The protocol looks at one tensor; projecting the others would only cost time.
    raw = infer(model, crystals)
    only = RawPrediction(crystals, {quantity: raw.tensors[quantity]})
    analysis = analyse_symmetry(crystals, DEFAULT_SYMPREC)
    return kept, symmetrize(average(only, analysis.symmetry), analysis).tensors[quantity]


def _label_sets(quantity: Tensor, size: Floats, listed: ListedOperations) -> Iterator[tuple[str, Bools]]:
    """Names and crystals of the sets that are scored: those of published figures, then each crystal system."""
    everything = np.ones(len(size), dtype=bool)
    sets = [("all", everything)]
    if quantity is Tensor.PIEZOELECTRIC:
        # Published figures exist with and without the zero tensors.
        sets = [("all, zeros too", everything), ("non-zero", size > ZERO_PIEZO_C_PER_M2)]
    systems = crystal_systems(listed.number)
    sets += [(system, systems == system) for system in CRYSTAL_SYSTEMS]
    yield from ((name, chosen) for name, chosen in sets if chosen.any())
