"""reliability: what speaks for or against a result that its tensors do not show.

The columns of `models.reliability_columns.RELIABILITY` come from the crystal, from the training data of the model, from
a predicted band gap where the model gives one, and from what the model's card knows of errors on held-out crystals.
Unseen elements are refused before; here is what is predicted all the same, but should not be relied on unseen.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.screening.derive import DerivedProperties
from models.applicability.bounds import beyond_materials
from models.applicability.defects import defect_of, is_defect_supercell
from models.applicability.descriptor import DESCRIPTOR_GRAPH, describe
from models.applicability.dimensionality import network_dimension
from models.applicability.distance import OOD_SCORE, TrainingReference
from models.applicability.equilibrium import FAR_DISTORTION, FAR_EXPANSION
from models.applicability.error_features import FEATURES, NARROW_GAP_EV, Evidence, error_features
from models.applicability.error_model import ErrorModel
from models.applicability.metals import metal_flags
from models.applicability.structure_kind import is_open_framework, volume_ratio
from models.applicability.vacuum import MIN_VACUUM_ANGSTROM, vacuum_width
from models.crystals.crystal import CrystalBatch
from models.crystals.graph import CrystalGraph, build_graph
from models.quantities import TENSORS, Scalar, Tensor
from models.reliability_columns import RELIABILITY, reliability_column

Floats = NDArray[np.float64]
ErrorModels = Mapping[Tensor, ErrorModel]

LEAST_GAP_EV = 0.1
"""Semilocal DFT, where the labels come from, gives smaller gaps as none."""

PROBABLE_METAL_LOGIT = 1.5
"""Log odds above which the predicted gap is 0. Most training candidates are metals, so even odds would take a quarter
of the insulators of the val part for metals; at this value one in twenty."""

STATIC_RESPONSE = (Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL, Tensor.PIEZOELECTRIC)
"""Tensors that a metal does not have."""

OPEN_FRAMEWORK_RELIABILITY = 0.5
"""At most: too few open frameworks have labels to learn how far the stiffness of others is off. Of 117 zeolites that no
training saw, the bulk modulus came out at a quarter of the label's (median)."""

OFF_EQUILIBRIUM_RELIABILITY = 0.5
"""At most: the tensors are those of the crystal as given, and the relaxed one may have others."""

WARN_BELOW = 0.8
"""A reliability below this is a warning: a large error is twice as likely as for a crystal taken at random."""

MOST_REASONS = 3
_SMALLEST_REASON = 0.15


def gather_evidence(
    crystals: CrystalBatch,
    reference: TrainingReference | None,
    *,
    scalars: Mapping[Scalar, Floats] | None = None,
    derived: DerivedProperties | None = None,
    graph: CrystalGraph | None = None,
) -> Evidence:
    """What is known of crystals without a label.

    Args:
        crystals: validated crystals.
        reference: training data of the model; without it nothing is said about distance.
        scalars: what the model predicts beside tensors, [n_crystals] each.
        derived: tensors of these crystals and what derives from them; without them there is no reliability.
        graph: of these crystals with DESCRIPTOR_GRAPH, when the caller has it already.
    """
    n = crystals.n_crystals
    scalars = {} if scalars is None else scalars
    unknown = np.full(n, np.nan)
    graph = build_graph(crystals, DESCRIPTOR_GRAPH) if graph is None and n else graph
    descriptors, dimension = np.zeros((n, 0)), np.zeros(n, dtype=np.int64)
    score = unknown
    if graph is not None and n:  # every crystal of a shard may have been refused
        descriptors, dimension = describe(crystals, graph), network_dimension(crystals, graph)
        score = unknown if reference is None else reference.score(reference.distance(descriptors, crystals))
    ratio = unknown
    if derived is not None:
        bulk = np.maximum(np.asarray(derived.columns["k_voigt_gpa"], dtype=np.float64), 1.0)
        # a compliant crystal is judged by the ratio, not by its size
        ratio = np.asarray(derived.columns["elastic_min_eigenvalue_gpa"], dtype=np.float64) / bulk
    symmetry = None if derived is None else derived.prediction.analysis
    return Evidence(
        crystals=crystals,
        descriptors=descriptors,
        dimension=dimension,
        vacuum=vacuum_width(crystals),
        space_group=np.zeros(n, dtype=np.int64) if symmetry is None else symmetry.symmetry.number,
        symmetry_ambiguous=np.zeros(n, dtype=np.bool_) if symmetry is None else symmetry.ambiguous,
        ood_score=score,
        metal_logit=scalars.get(Scalar.METAL, unknown),
        band_gap_ev=band_gap_of(scalars, n),
        expansion=scalars.get(Scalar.EXPANSION, unknown),
        # the root of an energy: a network may say less than zero
        distortion=np.maximum(scalars.get(Scalar.DISTORTION, unknown), 0.0),
        stiffness_ratio=ratio,
        tensors={} if derived is None else derived.prediction.tensors,
        spread={} if derived is None else {q: derived.spread[row.error_column] for q, row in TENSORS.items()},
        beyond_materials=np.zeros(n, np.bool_) if derived is None else beyond_materials(derived.prediction.by_network),
    )


def off_equilibrium(expansion: Floats, distortion: Floats) -> Floats:
    """1 where a crystal is farther from its equilibrium than relaxed ones are predicted to be, NaN where unknown, [n].

    Args:
        expansion: predicted ln V / V0, [n_crystals].
        distortion: predicted root of the energy above equilibrium in sqrt(eV per atom), [n_crystals].
    """
    far = (np.abs(expansion) > FAR_EXPANSION) | (distortion > FAR_DISTORTION)
    return np.where(np.isfinite(expansion), far, np.nan)


def band_gap_of(scalars: Mapping[Scalar, Floats], n_crystals: int) -> Floats:
    """Predicted gaps in eV, [n_crystals]; NaN for a model without.

    Whether there is a gap and how wide it is are learned apart (metals would pull narrow gaps towards zero): probable
    metals have the gap 0, the others at least LEAST_GAP_EV.
    """
    if Scalar.BAND_GAP not in scalars or Scalar.METAL not in scalars:
        return np.full(n_crystals, np.nan)
    gap = np.maximum(scalars[Scalar.BAND_GAP], LEAST_GAP_EV)
    return np.where(scalars[Scalar.METAL] > PROBABLE_METAL_LOGIT, 0.0, gap)


def reliability_columns(
    evidence: Evidence, error_models: ErrorModels | None = None, stability: Floats | None = None
) -> dict[str, NDArray[Any]]:
    """The columns of `models.reliability_columns.RELIABILITY`, each [n_crystals]; NaN where nothing is known.

    Args:
        evidence: of the crystals.
        error_models: what the model's card knows of errors, by tensor; without one a tensor has no reliability.
        stability: probabilities of elastic stability, [n_crystals]; None for a model without a classifier.
    """
    n = evidence.crystals.n_crystals
    if not n:
        return {name: np.zeros(0) for name in RELIABILITY}
    score, dimension = evidence.ood_score, evidence.dimension
    # bonds alone do not tell a layer in vacuum from a layered crystal
    in_vacuum = evidence.vacuum > MIN_VACUUM_ANGSTROM
    far = np.where(np.isfinite(score), score > OOD_SCORE, np.nan)
    columns = {name: np.full(n, np.nan) for name in RELIABILITY} | {
        "ood_score": score,
        "ood": np.where(evidence.beyond_materials, 1.0, far),
        "bond_dimensionality": dimension.astype(np.float64),
        "vacuum_angstrom": evidence.vacuum,
        "open_framework": is_open_framework(evidence.descriptors, dimension) & ~in_vacuum,
        # a thick slab is many layers of a crystal but for its surfaces
        "defect_supercell": is_defect_supercell(evidence.crystals) & ~in_vacuum,
        "molecular": (dimension == 0) & ~in_vacuum,
        "low_dimensional": in_vacuum,
        "layered": (dimension == 2) & ~in_vacuum,
        # the volume of a cell with vacuum in it means nothing
        "equilibrium_volume_ratio": np.where(in_vacuum, np.nan, np.exp(-evidence.expansion)),
        "off_equilibrium": np.where(in_vacuum, np.nan, off_equilibrium(evidence.expansion, evidence.distortion)),
        "elastic_stability_probability": np.full(n, np.nan) if stability is None else stability,
        "band_gap_ev": evidence.band_gap_ev,
        "metal": metal_flags(evidence.crystals, evidence.metal_logit),
    }
    models = {} if error_models is None else error_models
    counts = {tensor: model.element_counts for tensor, model in models.items()}
    for tensor, features in error_features(evidence, counts).items():
        reliability = models[tensor].reliability(features)
        if tensor is Tensor.ELASTIC:
            limit = np.where(columns["open_framework"], OPEN_FRAMEWORK_RELIABILITY, 1.0)
            limit[columns["off_equilibrium"] == 1] = OFF_EQUILIBRIUM_RELIABILITY
            reliability = np.minimum(reliability, limit)
        # what symmetry forbids is exact; what does not exist in a metal or depends on the vacuum is never right
        exact = ~np.any(evidence.tensors[tensor].reshape(n, -1), axis=1)
        meaningless = in_vacuum | ((columns["metal"] == 1) & (tensor in STATIC_RESPONSE))
        columns[reliability_column(tensor)] = np.where(meaningless, 0.0, np.where(exact, 1.0, reliability))
    return {name: columns[name] for name in RELIABILITY}


def reliability_warnings(
    columns: Mapping[str, NDArray[Any]], evidence: Evidence, error_models: ErrorModels | None = None
) -> list[list[str]]:
    """Sentences a reader should see beside a prediction, per crystal.

    Args:
        columns: as from `reliability_columns`.
        evidence: of the same crystals.
        error_models: that the columns were made with.
    """
    texts: list[list[str]] = [[] for _ in columns["ood_score"]]
    if not texts:  # every crystal of a shard may have been refused
        return texts
    for k in np.flatnonzero(evidence.beyond_materials):
        texts[k].append("unlike any material: a network predicts a larger tensor than a crystal can have")
    for k in np.flatnonzero(columns["ood_score"] > OOD_SCORE):
        score = 100 * columns["ood_score"][k]
        texts[k].append(
            f"unlike the training data: {score:.1f} % of held-out crystals are nearer to it, so errors may be larger "
            "than the intervals say"
        )
    _add_kinds_of_cells(texts, columns, evidence)
    for k in np.flatnonzero(columns["off_equilibrium"] == 1):
        change = 100 * (columns["equilibrium_volume_ratio"][k] - 1)
        texts[k].append(
            f"off equilibrium: relaxed, its volume would change by about {change:+.0f} % and its energy by "
            f"-{evidence.distortion[k] ** 2:.2f} eV per atom; these tensors are those of the crystal as given, "
            "gmtscreen refine relaxes it"
        )
    for k in np.flatnonzero(columns["metal"] == 1):
        logit = evidence.metal_logit[k]
        why = f"log odds {logit:.1f} by the network" if np.isfinite(logit) else "all elements are metals"
        texts[k].append(
            f"a metal ({why}): dielectric and piezoelectric tensors have no meaning, and what derives from them is "
            "left out"
        )
    for k in np.flatnonzero((columns["metal"] == 0) & (evidence.band_gap_ev < NARROW_GAP_EV)):
        texts[k].append(
            f"predicted band gap {evidence.band_gap_ev[k]:.2f} eV: it may be a metal, and the electronic dielectric "
            "tensor of a narrow gap is uncertain"
        )
    models = {} if error_models is None else error_models
    features = error_features(evidence, {tensor: model.element_counts for tensor, model in models.items()})
    for tensor, model in models.items():
        if tensor in features:
            _add_reasons(texts, tensor, model, columns, features[tensor])
    return texts


def _add_kinds_of_cells(texts: list[list[str]], columns: Mapping[str, NDArray[Any]], evidence: Evidence) -> None:
    """Says of cells that are no bulk crystals what their numbers are; docs/cells.md."""
    for k in np.flatnonzero(columns["low_dimensional"]):
        kind = ("molecules or atoms", "chains", "a layer", "a slab")[int(columns["bond_dimensionality"][k])]
        texts[k].append(
            f"low-dimensional: {kind} in {columns['vacuum_angstrom'][k]:.1f} angstrom of vacuum; tensors per volume of "
            "such a cell depend on the vacuum and mean nothing"
        )
    for k in np.flatnonzero(columns["open_framework"]):
        ratio = float(volume_ratio(evidence.descriptors[k : k + 1])[0])
        texts[k].append(
            f"open framework: its volume is {ratio:.1f} times that of its atoms; moduli of zeolites were off by a "
            "factor of 4"
        )
    for k in np.flatnonzero(columns["defect_supercell"]):
        kind, n_cells = defect_of(evidence.crystals.select([int(k)]))
        texts[k].append(
            f"defect supercell: {n_cells} cells or more of a simpler crystal but for a few atoms ({kind.value}); the "
            "tensors are those of defects that repeat with the cell, ordered and neutral, not of one defect in its host"
        )


def _add_reasons(
    texts: list[list[str]], tensor: Tensor, model: ErrorModel, columns: Mapping[str, NDArray[Any]], features: Floats
) -> None:
    """Says of every crystal whose tensor is likely to be off, why.

    Args:
        texts: of the crystals, to be added to.
        tensor: which one.
        model: of its errors.
        columns: as from `reliability_columns`.
        features: of this tensor, as from `error_features`.
    """
    reliability = np.asarray(columns[reliability_column(tensor)], dtype=np.float64)
    rows = np.flatnonzero((reliability < WARN_BELOW) & (reliability > 0.0))
    if not len(rows):
        return
    words = [
        word.high if weight > 0 else word.low for word, weight in zip(FEATURES.values(), model.weights, strict=True)
    ]
    parts = model.slope * model.parts(features[rows])
    # the strongest first
    order = np.argsort(-parts, axis=1)
    is_reason = np.take_along_axis(parts > _SMALLEST_REASON, order, axis=1)
    not_relaxed = np.asarray(columns["off_equilibrium"] == 1) & (tensor is Tensor.ELASTIC)
    for k, places, strong in zip(rows.tolist(), order.tolist(), is_reason.sum(axis=1).tolist(), strict=True):
        reasons = ["not relaxed"] if not_relaxed[k] else []
        reasons += [words[place] for place in places[:strong] if words[place]]
        why = ", ".join(reasons[:MOST_REASONS]) or "several small reasons"
        texts[k].append(f"{TENSORS[tensor].label} of low reliability ({reliability[k]:.2f}): {why}")
