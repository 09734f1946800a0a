"""What an ensemble says of many crystals, for a network that learns to say the same (distillation.py).

The crystals are those with training labels, candidates that have none, and altered copies of both
(altered_crystals.py), so that the network keeps what the ensemble knows of volume and distortion. Answers are kept in
parts on disk: a killed run asks the ensemble again for the last part only.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from gmt_tasks.screening.screener import Screener, TensorPrediction
from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.quantities import INTERVALS, TENSORS, Scalar, Tensor
from models.tensors.voigt import to_components

MOST_CANDIDATES = 42_000
_PART = 256
SPREAD_COLUMNS: tuple[str, ...] = (*INTERVALS, *(row.error_column for row in TENSORS.values()))
"""What a distilled network predicts the spread of: numbers with an interval, and tensors."""

SMALLEST_SHARE = 0.02
"""Spreads below this share of their median count as so large: networks that agree by chance are not certain."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class EnsembleAnswers:
    """What an ensemble says of crystals; NaN where it says nothing.

    Attributes:
        components: symmetrized tensors by quantity, orthonormal components in their unit, [n_crystals, n_components].
        sign_unsure: its networks do not agree about the overall sign of the piezoelectric tensor, [n_crystals].
        scalars: means in the order of Scalar, [n_crystals, n_scalars].
        log_spreads: logarithms of the spreads in the order of SPREAD_COLUMNS, [n_crystals, n_spreads].
    """

    components: dict[Tensor, torch.Tensor]
    sign_unsure: torch.Tensor
    scalars: torch.Tensor
    log_spreads: torch.Tensor

    def to(self, device: str) -> "EnsembleAnswers":
        """The same on a device."""
        return EnsembleAnswers(
            {quantity: values.to(device) for quantity, values in self.components.items()},
            self.sign_unsure.to(device),
            self.scalars.to(device),
            self.log_spreads.to(device),
        )


def ask(screener: Screener, crystals: CrystalBatch, n_labelled: int, folder: Path, report: Report) -> EnsembleAnswers:
    """The answers of an ensemble; those of earlier calls with the same crystals are read from the folder.

    Args:
        screener: of the ensemble.
        crystals: validated crystals.
        n_labelled: how many of them, the first ones, have labels that the ensemble was trained on.
        folder: of the parts; those of other crystals or of another ensemble lie beside them and are not read.
        report: receives a line now and then.
    """
    question = sha256(screener.model_version.sha256.encode())
    for array in (crystals.lattice, crystals.frac_coords, crystals.numbers, crystals.crystal_of_atom):
        question.update(np.ascontiguousarray(array).tobytes())
    folder = folder / question.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    parts = np.array_split(np.arange(crystals.n_crystals), max(1, crystals.n_crystals // _PART))
    columns: dict[str, list[Floats]] = {}
    for k, rows in enumerate(parts):
        file = folder / f"part-{k:05d}.npz"
        if not file.exists():
            partial = file.with_suffix(".partial.npz")
            np.savez(partial, **_answers(screener.predict(crystals.select(rows)), len(rows)))  # type: ignore[arg-type]
            partial.replace(file)
            if k % 20 == 0:
                report(f"answers of {screener.model_version} to {rows[-1] + 1:,} of {crystals.n_crystals:,} crystals")
        with np.load(file) as data:
            for name in data.files:
                columns.setdefault(name, []).append(data[name])
    whole = {name: np.concatenate(values) for name, values in columns.items()}
    spreads = {name: whole[f"spread {name}"] for name in SPREAD_COLUMNS}
    return EnsembleAnswers(
        {q: torch.as_tensor(whole[q.value], dtype=torch.float32) for q in Tensor},
        torch.as_tensor(whole["votes"] < 1.0),
        torch.as_tensor(whole["scalars"], dtype=torch.float32),
        torch.as_tensor(log_spreads(spreads, np.arange(n_labelled)), dtype=torch.float32),
    )


def _answers(prediction: TensorPrediction, n: int) -> dict[str, Floats]:
    """The arrays of a part of n crystals; NaN for those without a result or beyond what a material can have."""
    result, rows = prediction.derived.prediction, prediction.rows
    believed = ~prediction.evidence.beyond_materials

    def spread_out(values: Floats) -> Floats:
        filled = np.full((n, *values.shape[1:]), np.nan)
        filled[rows[believed]] = values[believed]
        return filled

    arrays = {q.value: spread_out(to_components(q, tensors)) for q, tensors in result.tensors.items()}
    arrays |= {f"spread {name}": spread_out(prediction.derived.spread[name]) for name in SPREAD_COLUMNS}
    scalars = np.stack([prediction.scalars[scalar] for scalar in Scalar], axis=1)
    return arrays | {"votes": spread_out(result.sign_votes), "scalars": spread_out(scalars)}


def log_spreads(spreads: Mapping[str, Floats], seen: Ints) -> Floats:
    """Logarithms of spreads with an end below, [n_crystals, n_spreads].

    Args:
        spreads: of an ensemble by column, each [n_crystals]; 0 or NaN where symmetry leaves none.
        seen: crystals whose labels the ensemble was trained on, where its networks agree too well; theirs become NaN.
    """
    columns = []
    for values in spreads.values():
        known = values[np.isfinite(values) & (values > 0)]
        lowest = SMALLEST_SHARE * np.median(known) if len(known) else 1.0
        positive = np.where(values > 0, values, np.nan)
        columns.append(np.log(np.maximum(positive, lowest)))
    logarithms = np.stack(columns, axis=1)
    logarithms[seen] = np.nan
    return logarithms
