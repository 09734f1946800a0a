"""Fits what a model's card says of likely errors, on crystals that the model did not learn from."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.reliability.held_out_errors import TensorErrors, tensor_errors_of, typical_norm
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.screening.screener import Screener
from models.applicability.error_features import error_features
from models.applicability.error_model import N_FOLDS, ErrorModel, fit_error_model
from models.crystals.crystal import MAX_ATOMIC_NUMBER, CrystalBatch
from models.gmtnet.training_data.split_table import SplitTable, source_name
from models.quantities import ELASTIC_INVARIANTS, Tensor

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = NDArray[np.int64]

CRYSTALS_PER_BATCH = 512


class HeldOutSet(NamedTuple):
    """Crystals with labels of one tensor that the networks did not learn from.

    Attributes:
        features: [n_crystals, n_features].
        errors: of the predictions.
        formula: number of each crystal's formula, [n_crystals].
        typical_norm: of a label, in the tensor's unit.
        element_counts: training crystals with a label that hold an element, by atomic number, [119].
    """

    features: Floats
    errors: TensorErrors
    formula: Ints
    typical_norm: float
    element_counts: Floats

    @property
    def relative(self) -> Floats:
        """Errors over the norm of label and typical label, [n_crystals]."""
        return self.errors.absolute / (self.errors.norm + self.typical_norm)

    def fit(self, rows: Rows | slice = slice(None)) -> ErrorModel | None:
        """The function fitted on some of the crystals; None for too few."""
        return fit_error_model(
            self.features[rows],
            self.relative[rows],
            self.errors.is_full[rows],
            formula_folds(self.formula[rows]),
            typical_norm=self.typical_norm,
            element_counts=self.element_counts,
        )


def fit_error_models(
    screener: Screener, labels: LabelledCrystals, table: SplitTable | None = None
) -> dict[Tensor, ErrorModel]:
    """What the model's card shall say of the errors of each tensor; tensors with too few held-out labels are left out.

    Learned from the val part, and from training crystals whose formula the network saw no elastic label of. The test
    part is not touched.

    Args:
        screener: the model.
        labels: labelled crystals.
        table: what its training saw; None where that is unknown.
    """
    rows = np.concatenate([labels.rows(Split.VAL), unlearned_moduli(labels, table)])
    fitted = {tensor: held_out.fit() for tensor, held_out in held_out_sets(screener, labels, rows).items()}
    return {tensor: model for tensor, model in fitted.items() if model is not None}


def held_out_sets(screener: Screener, labels: LabelledCrystals, rows: Rows) -> dict[Tensor, HeldOutSet]:
    """Features and errors of crystals, by tensor.

    Args:
        screener: the model.
        labels: labelled crystals.
        rows: crystals that it was not trained on.
    """
    batches = []
    for start in range(0, len(rows), CRYSTALS_PER_BATCH):
        some = rows[start : start + CRYSTALS_PER_BATCH]
        prediction = screener.predict(labels.crystals.select(some))
        batches.append((some[prediction.rows], prediction))
    formulas = labels.crystals.select(np.concatenate([some for some, _ in batches])).formulas()
    formula = np.unique(formulas, return_inverse=True)[1]
    sets = {}
    for tensor in batches[0][1].evidence.tensors:
        counts = element_counts(labels, tensor)
        features = [error_features(prediction.evidence, {tensor: counts})[tensor] for _, prediction in batches]
        errors = [tensor_errors_of(labels, some, prediction, tensor) for some, prediction in batches]
        joined = TensorErrors(*(np.concatenate(arrays) for arrays in zip(*errors, strict=True)))
        sets[tensor] = HeldOutSet(np.concatenate(features), joined, formula, typical_norm(labels, tensor), counts)
    return sets


def unlearned_moduli(labels: LabelledCrystals, table: SplitTable | None) -> Rows:
    """Training crystals with moduli whose formula a model saw no elastic label of: errors on them are held-out errors.

    Args:
        labels: labelled crystals; some may have come after the model was trained.
        table: what its training saw; without one nothing is taken.
    """
    rows = labels.rows(Split.TRAIN)
    if table is None:
        return rows[:0]
    formulas = labels.crystals.select(rows).formulas()
    names = [source_name(labels.ids[row], formula) for row, formula in zip(rows.tolist(), formulas, strict=True)]
    seen = table.learned(names)
    learned = {
        formula for name, formula in zip(names, formulas, strict=True) if Tensor.ELASTIC in seen.get(name, frozenset())
    }
    is_new = np.array([formula not in learned for formula in formulas], dtype=np.bool_)
    moduli = labels.elastic[rows][:, [ELASTIC_INVARIANTS.index(name) for name in ("k_vrh", "g_vrh")]]
    return np.asarray(rows[is_new & np.isfinite(moduli).all(axis=1)])


def element_counts(labels: LabelledCrystals, quantity: Tensor) -> Floats:
    """Training crystals with a label of a tensor that hold an element, by atomic number, [119]."""
    rows = labels.rows(Split.TRAIN)
    crystals: CrystalBatch = labels.crystals.select(rows[~np.isnan(labels.components[quantity][rows, 0])])
    pairs = np.unique(crystals.crystal_of_atom * (MAX_ATOMIC_NUMBER + 1) + crystals.numbers)
    counts = np.bincount(pairs % (MAX_ATOMIC_NUMBER + 1), minlength=MAX_ATOMIC_NUMBER + 1)
    return np.asarray(counts, dtype=np.float64)


def formula_folds(formula: Ints) -> Ints:
    """A part, 0 to N_FOLDS - 1, drawn for each of the numbered formulas, always the same one, [n]."""
    parts = np.random.default_rng(0).permutation(int(formula.max(initial=0)) + 1) % N_FOLDS
    return np.asarray(parts[formula])
