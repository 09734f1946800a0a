"""Accuracy of a model on held-out labels, beside a baseline that knows nothing of the crystal.

Predictions take the whole path of a screening (graph, network, projector, derived columns, intervals, distance score).
The baseline predicts the isotropic part of the mean training label for every crystal. An ensemble is scored as a whole
and network by network: the spread over networks is the spread over seeds.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.applicability import ErrorByDistance, FamilyDetection, detect_families, errors_by_distance
from gmt_tasks.evaluation.breakdown.breakdown import Breakdown
from gmt_tasks.evaluation.calibration import (
    Coverage,
    ReliabilityCurve,
    SelectiveCurve,
    held_out_errors,
    measure_uncertainty,
    reliability_curve,
)
from gmt_tasks.evaluation.consistency import SystemConsistency, consistency
from gmt_tasks.evaluation.label_properties import label_properties
from gmt_tasks.evaluation.literature import LiteratureComparison, compare_literature
from gmt_tasks.evaluation.parity import ParityPoints, parity_points
from gmt_tasks.evaluation.reliability.doubtful_labels import DoubtfulLabel
from gmt_tasks.evaluation.reliability.held_out_errors import doubtful_labels
from gmt_tasks.evaluation.reliability.held_out_widths import HeldOutErrors
from gmt_tasks.evaluation.reliability.ranking import ErrorRanking, rank_errors
from gmt_tasks.evaluation.scores import (
    PropertyMetrics,
    ScoredSet,
    TensorMetrics,
    label_sets,
    over_networks,
    printed_norm,
    score_errors,
    score_numbers,
    tensor_errors,
)
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.screening.derive import derived_columns
from gmt_tasks.screening.screener import Screener, TensorPrediction
from gmt_tasks.training.split_table import seen_by_model
from models.crystals.masses import densities
from models.errors import ModelError
from models.gmtnet.card import find_checkpoint, read_card, write_card
from models.gmtnet.training_data.split_table import load_split_table
from models.quantities import TENSORS, Tensor
from models.tensors.irreps import change_of_basis
from models.tensors.voigt import from_components

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

RANKED = (
    "eps_electronic_mean", "eps_total_mean", "birefringence", "k_vrh_gpa", "g_vrh_gpa", "elastic_min_eigenvalue_gpa",
    "e_norm_c_per_m2", "e_max_c_per_m2",
)  # fmt: skip
"""Properties that people sort by."""


@dataclass(frozen=True)
class Provenance:
    """What was measured, and on what.

    Attributes:
        n_networks: how many networks the model has.
        seeds, epochs: of their training, as far as the card says.
        files: names of the label files.
        crystals: labelled crystals of each split.
    """

    n_networks: int = 1
    seeds: tuple[int, ...] = ()
    epochs: tuple[int, ...] = ()
    files: tuple[str, ...] = ()
    crystals: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """Everything `gmtscreen evaluate` prints or draws.

    Attributes:
        curves, reliability, parity, literature: for documents; of these only the areas under `curves` go to the card.
        provenance: what was measured, and on what.
        breakdown: how sure rankings are, single networks, signs, sizes, labels of other codes.
        error_rankings: whether the least reliable predictions have the largest errors.
        doubtful: labels that no model should be judged by; the sets of labels called "trustworthy" are without them.
    """

    model: str
    sha256: str
    tensors: list[TensorMetrics]
    properties: list[PropertyMetrics]
    consistency: list[SystemConsistency] = field(default_factory=list)
    coverage: list[Coverage] = field(default_factory=list)
    applicability: list[ErrorByDistance] = field(default_factory=list)
    families: list[FamilyDetection] = field(default_factory=list)
    curves: list[SelectiveCurve] = field(default_factory=list)
    reliability: list[ReliabilityCurve] = field(default_factory=list)
    parity: list[ParityPoints] = field(default_factory=list)
    literature: list[LiteratureComparison] = field(default_factory=list)
    provenance: Provenance = field(default_factory=Provenance)
    breakdown: Breakdown = field(default_factory=Breakdown)
    error_rankings: list[ErrorRanking] = field(default_factory=list)
    doubtful: list[DoubtfulLabel] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain data, without what only documents show."""
        plain = asdict(replace(self, curves=[]))
        for name in ("reliability", "parity", "literature"):
            del plain[name]
        # Cards of every version have these figures under these keys.
        plain["novelty"] = plain.pop("applicability")
        plain["provenance"] = {"members": plain["provenance"].pop("n_networks"), **plain["provenance"]}
        for curve in self.curves:
            areas = {"aurc": curve.aurc, "aurc_random": curve.aurc_random, "aurc_oracle": curve.aurc_oracle}
            plain["curves"].append({"quantity": curve.quantity, "split": curve.split, "n": curve.n, **areas})
        return plain


def evaluate(model: str = "gmtnet", *, data: Path, device: str = "auto") -> Evaluation:
    """Measures a model on the val and test labels of a folder.

    Args:
        model: shipped name or checkpoint path.
        data: folder of label files (see gmt_tasks/labels/files.py).
        device: "auto", "cpu" or "cuda".
    """
    screener = Screener.load(model, device=device)
    labels = seen_by_model(read_labels(data), load_split_table(find_checkpoint(model)))
    version = screener.model_version
    evaluation = Evaluation(str(version), version.sha256, [], [], provenance=provenance_of(model, data, labels))
    errors: dict[Split, dict[str, HeldOutErrors]] = {}
    for split in (Split.VAL, Split.TEST):
        rows = labels.rows(split)
        prediction = screener.predict(labels.crystals.select(rows))
        _measure(evaluation, labels, rows[prediction.rows], prediction, split, screener)
        errors[split] = held_out_errors(labels, rows[prediction.rows], prediction)
    # Levels calibrated on val and measured on test: on val itself every curve would be the diagonal.
    for name, held_out in errors[Split.TEST].items():
        curve = reliability_curve(name, errors[Split.VAL][name], held_out)
        evaluation.reliability.extend([curve] if curve.promised else [])
    evaluation.literature.extend(compare_literature(screener, labels))
    if screener.applicability is not None:
        evaluation.families.extend(detect_families(labels))
    return evaluation


def evaluate_into_card(model: str, *, data: Path, device: str = "auto") -> Evaluation:
    """Measures a model and writes the figures into its card, where `models list` and the database find them."""
    evaluation = evaluate(model, data=data, device=device)
    write_metrics(evaluation, find_checkpoint(model))
    return evaluation


def write_metrics(evaluation: Evaluation, path: Path) -> None:
    """Writes the figures of a model into its card."""
    write_card(replace(read_card(path), metrics=evaluation.to_json()), path.parent)


def provenance_of(model: str, data: Path, labels: LabelledCrystals) -> Provenance:
    """What is about to be measured, and on what."""
    card = read_card(find_checkpoint(model))
    # of an ensemble lists, of a single network numbers
    given = [card.training.get(name, []) for name in ("seed", "epochs")]
    seeds, epochs = (tuple(value) if isinstance(value, list) else (value,) for value in given)
    names = sorted(path.name for path in data.glob("*.jsonl*"))
    crystals = {split.value: len(labels.rows(split)) for split in Split}
    return Provenance(card.n_networks, seeds, epochs, tuple(names), crystals)


def train_mean(labels: LabelledCrystals, quantity: Tensor) -> Floats:
    """Isotropic part of the mean training label, orthonormal components [n_components]; 0 for piezoelectricity."""
    # An average over crystals in arbitrary frames means something only for what does not change with the frame.
    values = labels.components[quantity][labels.rows(Split.TRAIN)]
    irreps = change_of_basis(quantity) @ np.nanmean(values, axis=0)
    irreps[TENSORS[quantity].n_scalars :] = 0.0
    return np.asarray(change_of_basis(quantity).T @ irreps)


def _measure(
    evaluation: Evaluation,
    labels: LabelledCrystals,
    rows: Rows,
    prediction: TensorPrediction,
    split: Split,
    screener: Screener,
) -> None:
    """Adds the figures of one split; `rows` are the labelled crystals that have a prediction."""
    result = prediction.derived.prediction
    for quantity in Tensor:
        evaluation.tensors.extend(tensor_metrics(labels, rows, prediction, quantity, split))
    evaluation.properties.extend(property_metrics(labels, rows, prediction, split))
    evaluation.consistency.extend(consistency(result.tensors, result.analysis.symmetry) if split is Split.TEST else [])
    uncertainty = measure_uncertainty(labels, rows, prediction, split, screener.calibration)
    evaluation.coverage.extend(uncertainty.coverage)
    evaluation.curves.extend(uncertainty.curves)
    epochs = evaluation.provenance.epochs
    evaluation.breakdown.add(labels, rows, prediction, split, ranked=RANKED, epochs=epochs)
    evaluation.parity.extend(parity_points(labels, rows, prediction, split))
    evaluation.error_rankings.extend(rank_errors(labels, rows, prediction, split))
    evaluation.doubtful.extend(doubtful_labels(labels, rows, prediction, split))
    if screener.applicability is not None:
        evaluation.applicability.extend(errors_by_distance(labels, rows, prediction, split))


def tensor_metrics(
    labels: LabelledCrystals, rows: Rows, prediction: TensorPrediction, quantity: Tensor, split: Split
) -> list[TensorMetrics]:
    """Scores of a tensor by every predictor on every set of labels."""
    result = prediction.derived.prediction
    predicted, by_network = result.tensors[quantity], result.by_network[quantity]
    # A tensor obeys its point group when the projection onto what the group allows leaves it as it is.
    projected = result.analysis.symmetry.project(quantity, predicted)
    residual = printed_norm(projected - predicted, quantity)
    obeys = residual <= 1e-6 * np.maximum(printed_norm(predicted, quantity), 1e-9)
    baseline = np.broadcast_to(from_components(quantity, train_mean(labels, quantity)), predicted.shape)
    predictors = {"model": predicted, "train mean": baseline}
    predictors |= {str(k): tensors for k, tensors in enumerate(by_network)}
    metrics = []
    for name, chosen in label_sets(labels, rows, quantity).items():
        truth = from_components(quantity, labels.components[quantity][rows[chosen]])
        sign_free = labels.sign_unproven[rows[chosen]] & (quantity is Tensor.PIEZOELECTRIC)
        scores = {}
        for predictor, tensors in predictors.items():
            error = tensor_errors(tensors[chosen], truth, quantity, sign_free)
            where = ScoredSet(quantity.value, name, split.value, predictor)
            success = obeys[chosen] | (predictor == "train mean")  # isotropic tensors obey every group
            scores[predictor] = score_errors(where, error, printed_norm(truth, quantity), success)
        single = over_networks([scores[str(k)] for k in range(len(by_network))]) if len(by_network) > 1 else []
        metrics += [scores["model"], *single, scores["train mean"]]
    return metrics


def property_metrics(
    labels: LabelledCrystals, rows: Rows, prediction: TensorPrediction, split: Split
) -> list[PropertyMetrics]:
    """Scores of the properties that people sort by, by every predictor."""
    symmetry = prediction.derived.prediction.analysis.symmetry
    by_network = prediction.derived.prediction.by_network
    n_networks = len(by_network[Tensor.ELASTIC])
    # Properties are not linear in the tensors: a network's property comes from that network's tensors.
    density = densities(prediction.derived.prediction.crystals)
    derived = []
    for k in range(n_networks):
        tensors = {quantity: stacked[k] for quantity, stacked in by_network.items()}
        derived.append(derived_columns(tensors, symmetry, density))
    truth, trained = label_properties(labels, rows), label_properties(labels, labels.rows(Split.TRAIN))
    metrics = []
    for name in RANKED:
        columns = [prediction.derived.columns[name], *(of_network[name] for of_network in derived)]
        known = np.isfinite(truth[name]) & np.isfinite(np.array(columns)).all(axis=0)
        if known.sum() < 2:
            raise ModelError(f"Fewer than two {split.value} labels for {name}. Add label files to the data folder.")
        labelled = truth[name][known]
        model, *single = [score_numbers(name, split, "model", column[known], labelled) for column in columns]
        mean = np.full(int(known.sum()), np.nanmean(trained[name]))
        metrics += [model, *(over_networks(single) if n_networks > 1 else [])]
        metrics.append(score_numbers(name, split, "train mean", mean, labelled))
    return metrics
