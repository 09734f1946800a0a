"""reliability: what speaks for or against a result that its tensors do not show.

The columns of `models.quantities.RELIABILITY` come from the crystal, from the training data of the model, and from a
predicted band gap where the model gives one. Unseen elements are refused before; here is what is predicted all the
same, but should not be relied on unseen.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.applicability.descriptor import DESCRIPTOR_GRAPH, describe
from models.applicability.dimensionality import network_dimension
from models.applicability.distance import OOD_SCORE, TrainingReference
from models.applicability.vacuum import MIN_VACUUM_ANGSTROM, vacuum_width
from models.crystals.crystal import CrystalBatch
from models.crystals.graph import CrystalGraph, build_graph
from models.quantities import RELIABILITY, Scalar

Floats = NDArray[np.float64]

METAL_GAP_EV = 0.1
"""A predicted gap below this is a metal's; semilocal DFT, where the labels come from, gives small gaps as none."""

METAL_LOGIT = 1.5
"""Log odds above which a crystal is called a metal. Most training candidates are metals, so even odds would call a
quarter of the insulators of the val part metals; at this value one in twenty."""


def reliability_columns(
    crystals: CrystalBatch,
    reference: TrainingReference | None,
    *,
    band_gap_ev: Floats | None = None,
    stability: Floats | None = None,
    graph: CrystalGraph | None = None,
) -> dict[str, NDArray[Any]]:
    """The columns of `models.quantities.RELIABILITY`, each [n_crystals]; NaN where nothing is known.

    Args:
        crystals: validated crystals.
        reference: training data of the model; without it nothing is said about distance.
        band_gap_ev: predicted gaps in eV, NaN where unknown, [n_crystals]; None when the model predicts none.
        stability: probabilities of elastic stability, [n_crystals]; None when the model has no classifier.
        graph: of these crystals with DESCRIPTOR_GRAPH, when the caller has it already.
    """
    if not crystals.n_crystals:  # every crystal of a shard may have been refused
        return {name: np.zeros(0) for name in RELIABILITY}
    graph = build_graph(crystals, DESCRIPTOR_GRAPH) if graph is None else graph
    unknown = np.full(crystals.n_crystals, np.nan)
    score = unknown
    gap = unknown if band_gap_ev is None else band_gap_ev
    if reference is not None:
        score = reference.score(reference.distance(describe(crystals, graph), crystals))
    dimension = network_dimension(crystals, graph)
    vacuum = vacuum_width(crystals)
    # bonds alone do not tell a layer in vacuum from a layered crystal
    in_vacuum = vacuum > MIN_VACUUM_ANGSTROM
    columns = {
        "ood_score": score,
        "ood": _flag(score > OOD_SCORE, score),
        "bond_dimensionality": dimension.astype(np.float64),
        "vacuum_angstrom": vacuum,
        "low_dimensional": in_vacuum,
        "layered": (dimension == 2) & ~in_vacuum,
        "elastic_stability_probability": unknown if stability is None else stability,
        "band_gap_ev": gap,
        "metal": metal_flag(gap),
    }
    return {name: columns[name] for name in RELIABILITY}


def band_gap_of(scalars: Mapping[Scalar, Floats]) -> Floats | None:
    """Predicted gaps in eV, [n_crystals]; None for a model without.

    Whether there is a gap and how wide it is are learned apart (metals would pull narrow gaps towards zero): probable
    metals have the gap 0, the others at least that of METAL_GAP_EV.
    """
    if Scalar.BAND_GAP not in scalars or Scalar.METAL not in scalars:
        return None
    gap = np.maximum(scalars[Scalar.BAND_GAP], METAL_GAP_EV)
    return np.where(scalars[Scalar.METAL] > METAL_LOGIT, 0.0, gap)


def metal_flag(band_gap_ev: Floats) -> Floats:
    """1 for a metal, 0 for an insulator, NaN where the gap (eV) is unknown, [n_crystals]."""
    return _flag(band_gap_ev < METAL_GAP_EV, band_gap_ev)


def _flag(truth: NDArray[np.bool_], known: Floats) -> Floats:
    """A flag that is unknown, not false, where the number behind it is."""
    return np.where(np.isfinite(known), truth, np.nan)


def reliability_warnings(columns: Mapping[str, NDArray[Any]]) -> list[list[str]]:
    """Sentences a reader should see beside a prediction, per crystal; columns as from `reliability_columns`."""
    texts: list[list[str]] = [[] for _ in columns["ood_score"]]
    for k in np.flatnonzero(columns["ood"] == 1):
        score = 100 * columns["ood_score"][k]
        texts[k].append(
            f"unlike the training data: {score:.1f} % of held-out crystals are nearer to it, so errors may be larger "
            "than the intervals say"
        )
    for k in np.flatnonzero(columns["low_dimensional"]):
        kind = ("molecules or atoms", "chains", "a layer", "a slab")[int(columns["bond_dimensionality"][k])]
        texts[k].append(
            f"low-dimensional: {kind} in {columns['vacuum_angstrom'][k]:.1f} angstrom of vacuum; tensors per volume of "
            "such a cell depend on the vacuum and mean nothing"
        )
    for k in np.flatnonzero(columns["metal"] == 1):
        gap = max(float(columns["band_gap_ev"][k]), 0.0)
        texts[k].append(
            f"probably a metal (predicted band gap {gap:.2f} eV): dielectric and piezoelectric tensors have no meaning"
        )
    return texts
