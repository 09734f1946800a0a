"""The line predict → symmetrize → derive for a block of crystals, with every crystal accounted for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.records import ModelVersion, ResultBlock, uncertainty_of
from gmt_tasks.screening.derive import DerivedProperties, derive
from gmt_tasks.screening.infer import infer, not_finite, unsupported
from gmt_tasks.screening.intervals import interval_columns
from gmt_tasks.screening.reliability import band_gap_of, reliability_columns, reliability_warnings
from gmt_tasks.screening.symmetrize import SymmetrizedPrediction, SymmetryAnalysis, analyse_symmetry, symmetrize
from models.applicability.distance import TrainingReference
from models.crystals.crystal import CrystalBatch
from models.errors import ModelError, Reason
from models.quantities import RELIABILITY, TENSORS, ColumnKind, symprec_spread_column
from models.symmetry.search import SYMPRECS_ANGSTROM, SymmetryBatch, find_symmetry
from models.tensor_model import TensorModel
from models.uncertainty.conformal import Calibration

DEFAULT_SYMPREC = 1e-2


@dataclass(frozen=True)
class TensorPrediction:
    """What gmtscreen says about crystals.

    Attributes:
        rows: which of the crystals asked for have a result, ascending, [n_results].
        derived: tensors and derived columns of those.
        refused: the others: index -> reason and detail.
        intervals: how far these may be off: ends of the 90 % intervals and error radii of the tensors, by the names of
            `models.quantities.UNCERTAINTY_COLUMNS`, each [n_results]; NaN where nothing is known.
        reliability: what speaks for or against trusting these, by the names of `models.quantities.RELIABILITY`, each
            [n_results].
    """

    rows: NDArray[np.int64]
    derived: DerivedProperties
    refused: dict[int, tuple[Reason, str]]
    intervals: dict[str, NDArray[np.float64]]
    reliability: dict[str, NDArray[Any]]

    def warnings(self) -> list[list[str]]:
        """Sentences a reader should see beside each result: what is odd about the tensors, then about the crystal."""
        both = zip(warnings_of(self.derived), reliability_warnings(self.reliability), strict=True)
        return [of_tensors + of_crystal for of_tensors, of_crystal in both]


@dataclass
class Screener:
    """A model with a tolerance: what a worker holds.

    Attributes:
        model: the network.
        model_version: its identity.
        symprec: distance tolerance of the symmetry search in angstrom.
        metrics: what the model's card reports.
        calibration: how wide its intervals are; without one nothing but what symmetry fixes has an interval.
        novelty: its training data, to measure distance to; without it nothing is said about distance.
    """

    model: TensorModel
    model_version: ModelVersion
    symprec: float = DEFAULT_SYMPREC
    metrics: dict[str, Any] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=lambda: Calibration.from_json({}))
    applicability: TrainingReference | None = None

    @classmethod
    def load(cls, model: str = "gmtnet", *, device: str = "auto", symprec: float = DEFAULT_SYMPREC) -> "Screener":
        """Loads a shipped model by name (`gmtnet`, `gmtnet@0.1.0`) or a checkpoint by path.

        Args:
            model: name or path.
            device: "auto" takes the GPU when there is one, else "cpu" or "cuda".
            symprec: distance tolerance in angstrom.
        """
        # torch and e3nn take seconds to import; the drivers that only pass a Screener's class around must not pay
        from models.gmtnet.applicability_file import load_training_reference
        from models.gmtnet.card import find_checkpoint
        from models.gmtnet.predictor import GMTNetPredictor

        path = find_checkpoint(model)
        predictor, card = GMTNetPredictor.load(path, device=device)
        missing = [quantity.value for quantity in TENSORS if quantity not in card.config.tensors]
        if missing:
            raise ModelError(f"{path} lacks {', '.join(missing)}. Train it on labels of all tensors to screen with it.")
        calibration = Calibration.from_json(card.calibration)
        version = ModelVersion(card.name, card.version, card.sha256)
        return cls(predictor, version, symprec, card.metrics, calibration, load_training_reference(path, card))

    def predict(self, crystals: CrystalBatch) -> TensorPrediction:
        """Tensors and derived columns of validated crystals; refused ones are named with their reason."""
        refused = unsupported(crystals, self.model.elements)
        rows = _without(np.arange(crystals.n_crystals), refused)
        analysis = _analyse(crystals.select(rows), self.symprec)
        refused |= {
            int(rows[k]): (Reason.SYMMETRY_FAILED, f"at symprec {self.symprec} and looser")
            for k in analysis.symmetry.failed
        }
        settled = np.setdiff1d(np.arange(len(rows)), analysis.symmetry.failed)
        rows, analysis = rows[settled], _select(analysis, settled)
        raw = infer(self.model, crystals.select(rows))
        broken = not_finite(raw)
        if broken:
            refused |= {int(rows[k]): why for k, why in broken.items()}
            good = _without(np.arange(len(rows)), broken)
            rows, analysis = rows[good], _select(analysis, good)
            raw = raw.select(good)
        derived = derive(symmetrize(raw, analysis))
        reliability = reliability_columns(raw.crystals, self.applicability, band_gap_ev=band_gap_of(raw.scalars))
        return TensorPrediction(rows, derived, refused, interval_columns(derived, self.calibration), reliability)

    def screen(self, crystal_ids: list[str], crystals: CrystalBatch) -> ResultBlock:
        """The rows that go to the database for a shard."""
        prediction = self.predict(crystals)
        result = prediction.derived.prediction
        return ResultBlock(
            [crystal_ids[k] for k in prediction.rows],
            symmetry_columns(result) | prediction.derived.columns | prediction.intervals | prediction.reliability,
            result.tensors,
            result.removed_fraction,
            [json.dumps(w) for w in prediction.warnings()],
            [(crystal_ids[k], reason, detail) for k, (reason, detail) in sorted(prediction.refused.items())],
        )

    def predict_lines(self, ids: list[str], crystals: CrystalBatch) -> Iterator[dict[str, Any]]:
        """One promised JSON object per crystal, in order."""
        prediction = self.predict(crystals)
        place = {int(row): k for k, row in enumerate(prediction.rows)}
        formulas = crystals.formulas()
        warnings = prediction.warnings()
        for row, name in enumerate(ids):
            if row in place:
                k = place[row]
                yield (
                    {"id": name, "formula": formulas[row]}
                    | self._line(prediction, k)
                    | {"warnings": warnings[k]}
                    | self._provenance()
                )
            else:
                yield rejected_line(name, formulas[row], *prediction.refused[row]) | self._provenance()

    def _line(self, prediction: TensorPrediction, k: int) -> dict[str, Any]:
        derived = prediction.derived
        result = derived.prediction
        symmetry = {name: _plain(column[k]) for name, column in symmetry_columns(result).items()}
        return (
            {"status": "ok", "reason": None}
            | symmetry
            | {"frame": "input"}
            | {q.value: t[k].tolist() for q, t in result.tensors.items()}
            | {"units": {q.value: TENSORS[q].unit for q in result.tensors}}
            | {"removed_fraction": {q.value: float(f[k]) for q, f in result.removed_fraction.items()}}
            | {"derived": {name: _plain(column[k]) for name, column in derived.columns.items()}}
            | uncertainty_of({name: _plain(column[k]) for name, column in prediction.intervals.items()})
            | {"ood": _plain(prediction.reliability["ood_score"][k]), "trust": _reliability(prediction, k)}
        )

    def _provenance(self) -> dict[str, str]:
        return {"model": str(self.model_version), "model_sha256": self.model_version.sha256}


def rejected_line(name: str, formula: str | None, reason: Reason, detail: str) -> dict[str, Any]:
    """The promised JSON object of an input without a result."""
    return {
        "id": name,
        "formula": formula,
        "status": "rejected",
        "reason": reason.value,
        "detail": detail,
        "advice": reason.advice,
    }


def symmetry_columns(prediction: SymmetrizedPrediction) -> dict[str, NDArray[Any]]:
    """Columns that say which symmetry a prediction obeys, and how firmly, each [n_crystals]."""
    analysis = prediction.analysis
    columns: dict[str, NDArray[Any]] = {
        "spacegroup": analysis.symmetry.number,
        "point_group": np.array(analysis.symmetry.point_group, dtype=object),
        "symprec": np.full(len(analysis.numbers), analysis.symmetry.symprec),
        "symmetry_ambiguous": analysis.ambiguous,
    }
    names = ("spacegroup_1e3", "spacegroup_1e2", "spacegroup_1e1")
    columns |= {name: analysis.numbers[:, k] for k, name in enumerate(names)}
    return columns | {symprec_spread_column(q): spread for q, spread in prediction.symprec_spread.items()}


def _reliability(prediction: TensorPrediction, k: int) -> dict[str, Any]:
    """The columns of `models.quantities.RELIABILITY` of one crystal; flags are true, false, or null where unknown."""
    values = {name: _plain(column[k]) for name, column in prediction.reliability.items()}
    flags = {name for name, quantity in RELIABILITY.items() if quantity.kind is ColumnKind.FLAG}
    return {name: bool(value) if name in flags and value is not None else value for name, value in values.items()}


def warnings_of(derived: DerivedProperties) -> list[list[str]]:
    """Sentences a reader should see beside a prediction, per crystal."""
    result = derived.prediction
    texts: list[list[str]] = [[] for _ in range(result.crystals.n_crystals)]
    for k in np.flatnonzero(result.analysis.ambiguous):
        groups = ", ".join(f"{n} at {s:g}" for n, s in zip(result.analysis.numbers[k], SYMPRECS_ANGSTROM, strict=True))
        spread, worst = max((float(each[k]), quantity.value) for quantity, each in result.symprec_spread.items())
        change = f"another would change {worst} by {100 * spread:.3g} %"
        texts[k].append(f"near-symmetric: the space group depends on the tolerance ({groups} angstrom); {change}")
    for k in np.flatnonzero(result.sign_votes < 1.0):
        n_members = len(next(iter(result.members.values())))
        agree = round(n_members * result.sign_votes[k])
        texts[k].append(f"the overall sign of e is uncertain: {agree} of {n_members} networks agree on it")
    for k in np.flatnonzero(derived.columns["mechanically_stable"] == 0):
        lowest = derived.columns["elastic_min_eigenvalue_gpa"][k]
        texts[k].append(f"the predicted stiffness is not positive definite (lowest eigenvalue {lowest:.1f} GPa)")
    for k in np.flatnonzero(derived.columns["eps_electronic_min"] < 1.0):
        texts[k].append("an eigenvalue of the electronic dielectric tensor is below 1, which no material has")
    for k in np.flatnonzero(derived.columns["eps_total_mean"] < derived.columns["eps_electronic_mean"]):
        texts[k].append("the total dielectric constant is below the electronic one, which no stable crystal has")
    return texts


def _analyse(crystals: CrystalBatch, symprec: float) -> SymmetryAnalysis:
    """Symmetry at the tolerance; crystals for which the search fails there get a looser, then a tighter one."""
    analysis = analyse_symmetry(crystals, symprec)
    for other in (symprec * 3, symprec / 3, symprec / 30):
        failed = analysis.symmetry.failed
        if not len(failed):
            break
        analysis = _patched(analysis, failed, find_symmetry(crystals.select(failed), other))
    return analysis


def _patched(analysis: SymmetryAnalysis, rows: NDArray[np.int64], new: SymmetryBatch) -> SymmetryAnalysis:
    """Replaces the symmetry of some crystals; what was found at the three fixed tolerances stays."""
    old = analysis.symmetry
    number, hall, cell = old.number.copy(), old.hall_number.copy(), old.conventional.copy()
    number[rows], hall[rows], cell[rows] = new.number, new.hall_number, new.conventional
    owner = np.concatenate([old.crystal_of_op, rows[new.crystal_of_op]])
    order = np.argsort(owner, kind="stable")
    rotations = np.concatenate([old.rotations, new.rotations])[order]
    symmetry = SymmetryBatch(number, hall, cell, rotations, owner[order], old.symprec)
    return SymmetryAnalysis(symmetry, analysis.at)


def _select(analysis: SymmetryAnalysis, rows: NDArray[np.int64]) -> SymmetryAnalysis:
    if len(rows) == len(analysis.numbers):
        return analysis
    return SymmetryAnalysis(analysis.symmetry.select(rows), tuple(each.select(rows) for each in analysis.at))


def _without(rows: NDArray[np.int64], refused: dict[int, tuple[Reason, str]]) -> NDArray[np.int64]:
    return np.array([r for r in rows if int(r) not in refused], dtype=np.int64)


def _plain(value: Any) -> Any:
    """A JSON value: NaN becomes null."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return str(value)
