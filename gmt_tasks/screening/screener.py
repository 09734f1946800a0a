"""infer → average → symmetrize → derive for a block of crystals, with every crystal accounted for."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from db.records import ModelVersion, ResultBlock, uncertainty_of
from gmt_tasks.screening.average import AveragedPrediction, average
from gmt_tasks.screening.derive import DerivedProperties, derive
from gmt_tasks.screening.infer import infer, infer_idealized
from gmt_tasks.screening.intervals import interval_columns
from gmt_tasks.screening.metals import without_static_response
from gmt_tasks.screening.refusals import Refusals, not_finite, overlapping, unsupported
from gmt_tasks.screening.reliability import ErrorModels, gather_evidence, reliability_columns, reliability_warnings
from gmt_tasks.screening.symmetrize import SymmetrizedPrediction, symmetrize
from gmt_tasks.screening.symmetry_analysis import SymmetryAnalysis, analyse_symmetry
from models.applicability.descriptor import DESCRIPTOR_GRAPH
from models.applicability.distance import TrainingReference
from models.applicability.error_features import Evidence
from models.applicability.error_model import ErrorModel
from models.crystals.canonical_order import ORDER_RADIUS_ANGSTROM
from models.crystals.crystal import CrystalBatch
from models.crystals.crystal_systems import crystal_systems
from models.crystals.graph import build_graph, find_graph_neighbors
from models.crystals.neighborhood import Neighborhood
from models.errors import Reason
from models.quantities import TENSORS, ColumnKind, Scalar, Tensor, symprec_spread_column
from models.reliability_columns import RELIABILITY
from models.symmetry.idealize import as_given
from models.symmetry.search import SYMPRECS_ANGSTROM
from models.tensor_model import GraphModel, OrbitModel, TensorModel
from models.tensors.frames import axes_of_lattice
from models.uncertainty.conformal import Calibration
from models.uncertainty.stability import StabilityClassifier

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
        reliability: what speaks for or against relying on these, by the names of
            `models.reliability_columns.RELIABILITY`, each [n_results].
        evidence: what `reliability` comes from.
        error_models: what it comes from beside the evidence.
        scalars: what the model predicts beside tensors, [n_results] each.
    """

    rows: NDArray[np.int64]
    derived: DerivedProperties
    refused: Refusals
    intervals: dict[str, NDArray[np.float64]]
    reliability: dict[str, NDArray[Any]]
    evidence: Evidence
    error_models: ErrorModels
    scalars: dict[Scalar, NDArray[np.float64]]

    def warnings(self) -> list[list[str]]:
        """Sentences a reader should see beside each result: what is odd about the tensors, then about the crystal."""
        of_crystals = reliability_warnings(self.reliability, self.evidence, self.error_models)
        return [[*tensor, *crystal] for tensor, crystal in zip(warnings_of(self.derived), of_crystals, strict=True)]


@dataclass
class Screener:
    """A model with a tolerance: what a worker holds.

    Attributes:
        model: the network.
        model_version: its identity.
        symprec: distance tolerance of the symmetry search in angstrom.
        metrics: what the model's card reports.
        calibration: how wide its intervals are; without one nothing but what symmetry fixes has an interval.
        applicability: its training data, to measure distance to; without it nothing is said about distance.
        error_models: what its card knows of errors on held-out crystals; tensors without one have no reliability.
        stability: how likely crystals are elastically stable; without it nothing is said about that.
    """

    model: TensorModel
    model_version: ModelVersion
    symprec: float = DEFAULT_SYMPREC
    metrics: dict[str, Any] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=lambda: Calibration.from_json({}))
    applicability: TrainingReference | None = None
    error_models: ErrorModels = field(default_factory=dict)
    stability: StabilityClassifier | None = None

    @classmethod
    def load(cls, model: str = "gmtnet", *, device: str = "auto", symprec: float = DEFAULT_SYMPREC) -> "Screener":
        """Loads a shipped model by name (`gmtnet`, `gmtnet@0.1.0`) or a checkpoint by path.

        A model that predicts only some of the tensors gives results without the others and what derives from them.

        Args:
            model: name or path.
            device: "auto" takes the GPU when there is one, else "cpu" or "cuda".
            symprec: distance tolerance in angstrom.
        """
        # torch and e3nn take seconds to import; the drivers that only pass a Screener's class around must not pay
        from models.gmtnet.card import find_checkpoint
        from models.gmtnet.predictor import GMTNetPredictor
        from models.gmtnet.training_data.reference_file import load_training_reference

        path = find_checkpoint(model)
        predictor, card = GMTNetPredictor.load(path, device=device)
        calibration = Calibration.from_json(card.calibration)
        version = ModelVersion(card.name, card.version, card.sha256)
        errors = {Tensor(name): ErrorModel.from_json(row) for name, row in card.reliability.items()}
        reference, stability = load_training_reference(path, card), StabilityClassifier.from_json(card.stability)
        return cls(predictor, version, symprec, card.metrics, calibration, reference, errors, stability)

    def predict(self, crystals: CrystalBatch) -> TensorPrediction:
        """Tensors and derived columns of crystals; refused ones are named with their reason.

        Neighbours in the cells as given are searched for once, as far as any of overlaps, canonical order, graph and
        descriptors looks, and symmetry once, at the working tolerance, where that decides the others.

        Args:
            crystals: such as `find_malformed` lets pass.
        """
        refused = unsupported(crystals, self.model.elements)
        accepted = self._with_neighbors(crystals, refused)
        # before the symmetry search, which takes atoms in one place for one
        accepted, _ = accepted.without(overlapping(accepted.neighbors), refused)
        analysis = analyse_symmetry(accepted.crystals, self.symprec, accepted.neighbors)
        why = Reason.SYMMETRY_FAILED, f"at symprec {self.symprec} and looser"
        accepted, kept = accepted.without(dict.fromkeys(analysis.symmetry.failed.tolist(), why), refused)
        analysis = analysis.select(kept)
        if isinstance(self.model, OrbitModel):
            raw = infer_idealized(self.model, accepted.crystals, analysis.idealized)
        else:
            raw = infer(self.model, accepted.crystals, accepted.neighbors)
        accepted, kept = accepted.without(not_finite(raw), refused)
        raw, analysis = raw.select(kept), analysis.select(kept)
        averaged, given = average(raw, analysis.symmetry), self._as_given(accepted, analysis)
        derived = derive(symmetrize(averaged, analysis, given))
        evidence = gather_evidence(
            accepted.crystals,
            self.applicability,
            scalars=raw.scalars,
            derived=derived,
            graph=build_graph(accepted.crystals, DESCRIPTOR_GRAPH, accepted.neighbors),
        )
        system = crystal_systems(analysis.symmetry.number)
        stability = None if self.stability is None else self.stability.probability(derived.columns, system)
        reliability = reliability_columns(evidence, self.error_models, stability)
        intervals = interval_columns(derived, self.calibration, evidence.band_gap_ev, evidence.expansion)
        derived, intervals = without_static_response(derived, intervals, reliability["metal"] == 1)
        return TensorPrediction(
            accepted.rows, derived, refused, intervals, reliability, evidence, self.error_models, raw.scalars
        )

    def _as_given(
        self, accepted: "_Accepted", analysis: SymmetryAnalysis
    ) -> tuple[NDArray[np.int64], AveragedPrediction] | None:
        """Raw tensors as they were given of crystals that lose symmetry at the tightest tolerance, and their rows.

        All others are idealised as they are at that tolerance: their own prediction says what other groups change.
        """
        if not isinstance(self.model, OrbitModel):
            return None
        rows = np.flatnonzero(analysis.numbers[:, 0] != analysis.symmetry.number)
        crystals = accepted.crystals.select(rows)
        raw = infer_idealized(self.model, crystals, as_given(crystals))
        return rows, average(raw, analysis.symmetry.select(rows))

    def _with_neighbors(self, crystals: CrystalBatch, refused: Refusals) -> "_Accepted":
        """The crystals that are not refused, and their neighbors as far as anything below looks."""
        graphs = [DESCRIPTOR_GRAPH]
        # a model of orbits looks at the idealised cells, and searches there
        if isinstance(self.model, GraphModel) and not isinstance(self.model, OrbitModel):
            graphs.append(self.model.graph_spec)
        rows = np.array([row for row in range(crystals.n_crystals) if row not in refused], dtype=np.int64)
        chosen = crystals.select(rows)
        return _Accepted(rows, chosen, find_graph_neighbors(chosen, graphs, ORDER_RADIUS_ANGSTROM))

    def screen(self, crystal_ids: list[str], crystals: CrystalBatch) -> ResultBlock:
        """The rows that go to the database for a shard."""
        return result_block(crystal_ids, self.predict(crystals))

    def predict_lines(self, ids: list[str], crystals: CrystalBatch) -> Iterator[dict[str, Any]]:
        """One promised JSON object per crystal, in order."""
        prediction = self.predict(crystals)
        place = {int(row): k for k, row in enumerate(prediction.rows)}
        formulas = crystals.formulas()
        results = _lines_of_results(prediction)
        provenance = {"model": str(self.model_version), "model_sha256": self.model_version.sha256}
        for row, name in enumerate(ids):
            if row in place:
                line = {"id": name, "formula": formulas[row]} | results[place[row]]
            else:
                line = rejected_line(name, formulas[row], *prediction.refused[row])
            yield line | provenance


def _lines_of_results(prediction: TensorPrediction) -> list[dict[str, Any]]:
    """What the line of each result says beside its name and model."""
    derived = prediction.derived
    result = derived.prediction
    crystals = result.crystals
    flags = {name for name, quantity in RELIABILITY.items() if quantity.kind is ColumnKind.FLAG}
    reliability = _plain_columns(prediction.reliability)
    for name in flags:
        # stored as numbers, since a flag may be unknown
        reliability[name] = [None if value is None else bool(value) for value in reliability[name]]
    symmetry, numbers = _rows(_plain_columns(symmetry_columns(result))), _rows(_plain_columns(derived.columns))
    uncertainties, reliabilities = _rows(_plain_columns(prediction.intervals)), _rows(reliability)
    tensors = _rows({q.value: t.tolist() for q, t in result.tensors.items()})
    removed = _rows({q.value: f.tolist() for q, f in result.removed_fraction.items()})
    units = {q.value: TENSORS[q].unit for q in result.tensors}
    lattices, n_atoms, warnings = crystals.lattice.tolist(), crystals.atoms_per_crystal.tolist(), prediction.warnings()
    return [
        {"status": "ok", "reason": None}
        | symmetry[k]
        | {"frame": "input", "axes": axes_of_lattice(crystals.lattice[k]), "lattice": lattices[k]}
        | {"n_atoms": n_atoms[k]}
        | tensors[k]
        | {"units": dict(units)}
        | {"removed_fraction": removed[k]}
        | {"derived": numbers[k]}
        | uncertainty_of(uncertainties[k])
        | {"ood": reliabilities[k]["ood_score"], "trust": reliabilities[k]}
        | {"warnings": warnings[k]}
        for k in range(crystals.n_crystals)
    ]


def result_block(crystal_ids: list[str], prediction: TensorPrediction) -> ResultBlock:
    """The rows that go to the database for a prediction of the given crystals."""
    result = prediction.derived.prediction
    return ResultBlock(
        [crystal_ids[k] for k in prediction.rows],
        symmetry_columns(result) | prediction.derived.columns | prediction.intervals | prediction.reliability,
        result.tensors,
        result.removed_fraction,
        [json.dumps(w) for w in prediction.warnings()],
        [(crystal_ids[k], reason, detail) for k, (reason, detail) in sorted(prediction.refused.items())],
    )


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
    columns["symmetry_displacement_angstrom"] = analysis.idealized.displacement_angstrom
    columns["symmetry_strain"] = analysis.idealized.strain
    return columns | {symprec_spread_column(q): spread for q, spread in prediction.symprec_spread.items()}


def warnings_of(derived: DerivedProperties) -> list[list[str]]:
    """Sentences a reader should see beside a prediction, per crystal."""
    result = derived.prediction
    texts: list[list[str]] = [[] for _ in range(result.crystals.n_crystals)]
    for k in np.flatnonzero(result.analysis.ambiguous):
        groups = ", ".join(f"{n} at {s:g}" for n, s in zip(result.analysis.numbers[k], SYMPRECS_ANGSTROM, strict=True))
        spread, worst = max((float(values[k]), quantity.value) for quantity, values in result.symprec_spread.items())
        change = f"another would change {worst} by {100 * spread:.3g} %"
        texts[k].append(f"near-symmetric: the space group depends on the tolerance ({groups} angstrom); {change}")
    # a wrong sign changes no ranking, but whoever applies a field wants to know
    for k in np.flatnonzero(result.sign_votes < 1.0):
        n_networks = len(next(iter(result.by_network.values())))
        agree = round(n_networks * result.sign_votes[k])
        texts[k].append(f"the overall sign of e is uncertain: {agree} of {n_networks} networks agree on it")
    for k in np.flatnonzero(derived.columns["mechanically_stable"] == 0):
        lowest = derived.columns["elastic_min_eigenvalue_gpa"][k]
        texts[k].append(f"the predicted stiffness is not positive definite (lowest eigenvalue {lowest:.1f} GPa)")
    for k in np.flatnonzero(derived.columns["eps_electronic_min"] < 1.0):
        texts[k].append("an eigenvalue of the electronic dielectric tensor is below 1, which no material has")
    for k in np.flatnonzero(derived.columns["eps_total_mean"] < derived.columns["eps_electronic_mean"]):
        texts[k].append("the total dielectric constant is below the electronic one, which no stable crystal has")
    return texts


@dataclass(frozen=True)
class _Accepted:
    """Crystals that are not refused so far: their rows among those asked for, ascending, and their neighbors."""

    rows: NDArray[np.int64]
    crystals: CrystalBatch
    neighbors: Neighborhood

    def without(self, problems: Refusals, refused: Refusals) -> tuple["_Accepted", NDArray[np.int64]]:
        """The crystals without problems, and their places; the others are entered among the refused."""
        refused |= {int(self.rows[k]): why for k, why in problems.items()}
        kept = np.array([k for k in range(len(self.rows)) if k not in problems], dtype=np.int64)
        if not problems:
            return self, kept
        return _Accepted(self.rows[kept], self.crystals.select(kept), self.neighbors.select(kept)), kept


def _plain_columns(columns: Mapping[str, NDArray[Any]]) -> dict[str, list[Any]]:
    """Columns as JSON values: NaN and the empty text, which stand for what is unknown, become null."""
    plain = {}
    for name, column in columns.items():
        if column.dtype.kind == "f":
            values = column.astype(object)
            values[~np.isfinite(column)] = None
            plain[name] = values.tolist()
        elif column.dtype.kind in "biu":
            plain[name] = column.tolist()
        else:
            plain[name] = [str(value) or None for value in column.tolist()]
    return plain


def _rows(columns: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    """The rows of columns of equal length."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
