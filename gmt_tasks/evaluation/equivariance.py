"""Equivariance of the whole path: an equivalent representation of a crystal gets the same tensors, rotated with it.

What is checked is what a user gets: `Screener.predict`, from lattice and positions through the neighbour graph, the
network and the symmetry search to the symmetrized tensor. Whoever trains a model runs the same check on it:

    gmtscreen equivariance candidates.parquet --model runs/mine/gmtnet.json
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from gmt_tasks.evaluation.consistency import SystemConsistency, consistency, frobenius, point_group_residual
from gmt_tasks.evaluation.equivalent_representations import Representation, equivalent_representations
from gmt_tasks.screening.screener import Screener
from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.crystals.graph import CrystalGraph, GraphSpec, build_graph
from models.crystals.neighborhood import Neighborhood
from models.errors import Reason
from models.quantities import TENSORS, Tensor
from models.symmetry.search import find_symmetry
from models.tensors.rotate import rotate

TOLERANCE = 1e-4
"""Largest deviation of a float32 network that is none."""

FLOOR = {quantity: row.negligible_norm for quantity, row in TENSORS.items()}
"""Frobenius norm, in the tensor's unit, below which deviations are measured against this number: tensors that small
are sums of large terms that cancel, and have the rounding errors of the terms."""

ALLOWED_EXCEPTIONS = 1e-3
"""Share of the comparisons of a tensor that may deviate."""

NETWORK_DIFFERS = "the network's own tensor differs"

N_EXPLAINED = 10
"""Deviations of one tensor in one representation that are listed, the largest; all are counted."""


@dataclass(frozen=True)
class Invariance:
    """How far one tensor moves in one equivalent representation.

    Attributes:
        representation: what was done to the crystals.
        quantity: which tensor.
        n: number of crystals.
        worst: largest deviation.
        n_exceptions: deviations above the tolerance.
    """

    representation: str
    quantity: str
    n: int
    worst: float
    n_exceptions: int


@dataclass(frozen=True)
class Deviation:
    """One deviation above the tolerance.

    Attributes:
        representation: what was done to the crystal.
        quantity: which tensor, or "" where a crystal had no result.
        crystal: its name.
        deviation: |T' - T| / max(|T|, floor).
        norm: |T| in the tensor's unit.
        explanation: which step of the path made it.
    """

    representation: str
    quantity: str
    crystal: str
    deviation: float
    norm: float
    explanation: str


@dataclass(frozen=True)
class Equivariance:
    """What the check found.

    Attributes:
        model: name and version.
        crystals: what they are, in words.
        n_crystals: how many of them have a result as they were given.
        tolerance: of the deviations.
        invariances: one per representation and tensor.
        deviations: the largest above the tolerance, and every crystal that lost its result in some representation.
        consistencies: how the tensors obey their point groups.
    """

    model: str
    crystals: str
    n_crystals: int
    tolerance: float
    invariances: list[Invariance]
    deviations: list[Deviation]
    consistencies: list[SystemConsistency]

    @property
    def holds(self) -> bool:
        """No tensor has too many exceptions, none was lost, and every tensor obeys its point group."""
        few = all(self.share_of_exceptions(q) <= ALLOWED_EXCEPTIONS for q in Tensor)
        complete = all(each.quantity for each in self.deviations)
        return few and complete and all(row.success == 100.0 for row in self.consistencies)

    def share_of_exceptions(self, quantity: Tensor) -> float:
        """Exceptions of a tensor as a share of its comparisons over all representations."""
        rows = [row for row in self.invariances if row.quantity == quantity.value]
        return sum(row.n_exceptions for row in rows) / max(1, sum(row.n for row in rows))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        plain = asdict(self)
        for row in plain["invariances"] + plain["deviations"]:
            row["retelling"] = row.pop("representation")  # the key that was always printed
        shares = {q.value: self.share_of_exceptions(q) for q in Tensor}
        return plain | {"share_of_exceptions": shares, "holds": self.holds}


def check_equivariance(
    screener: Screener,
    crystals: CrystalBatch,
    names: Sequence[str],
    *,
    label: str = "crystals",
    seed: int = 0,
    max_atoms: int = 200,
    tolerance: float = TOLERANCE,
) -> Equivariance:
    """Predicts crystals as they are given and in every equivalent representation, and compares.

    Args:
        screener: the path under test.
        crystals: validated, n_crystals of them; those that the model refuses are left out.
        names: one per crystal, for the list of deviations.
        label: what the crystals are.
        seed: of the random representations.
        max_atoms: largest supercell.
        tolerance: largest |T' - T| / max(|T|, floor) that is no exception.
    """
    given = screener.predict(crystals)
    expected = _Expected(
        crystals.select(given.rows),
        given.derived.prediction.tensors,
        [names[k] for k in given.rows],
        screener.symprec,
        tolerance,
    )
    invariances: list[Invariance] = []
    deviations: list[Deviation] = []
    for representation in equivalent_representations(expected.crystals, seed=seed, max_atoms=max_atoms):
        places, tensors, refused = _predict(screener, representation)
        for place, (reason, detail) in refused.items():
            name = expected.names[representation.rows[place]]
            explanation = f"refused: {reason.value}, {detail}"
            deviations.append(Deviation(representation.name, "", name, np.inf, 0.0, explanation))
        for quantity, predicted in tensors.items():
            row, worst = _compare(expected, quantity, representation, places, predicted)
            invariances.append(row)
            deviations += worst
    consistencies = consistency(expected.tensors, given.derived.prediction.analysis.symmetry)
    model, n = str(screener.model_version), expected.crystals.n_crystals
    return Equivariance(model, label, n, tolerance, invariances, deviations, consistencies)


def shuffle_neighbors(graph: CrystalGraph, rng: np.random.Generator) -> CrystalGraph:
    """The same graph with the edges of every atom in another order."""
    # Random within each atom's edges; edges of one atom stand together, as the network expects them.
    order = np.lexsort((rng.random(len(graph.center)), graph.center))
    return replace(
        graph,
        center=graph.center[order],
        neighbor=graph.neighbor[order],
        vector=graph.vector[order],
        scaled_distance=graph.scaled_distance[order],
    )


@dataclass(frozen=True)
class _Expected:
    """Crystals as they were given, with their tensors [n_crystals, ...] and names."""

    crystals: CrystalBatch
    tensors: dict[Tensor, Floats]
    names: list[str]
    symprec: float
    tolerance: float


def _predict(
    screener: Screener, representation: Representation
) -> tuple[Ints, dict[Tensor, Floats], dict[int, tuple[Reason, str]]]:
    """Places in the representation that have a result, their tensors, and the other places with their reason."""
    if representation.shuffles_neighbors:
        screener = replace(screener, model=_with_shuffled_neighbors(screener.model))
    places: list[Ints] = []
    parts: list[dict[Tensor, Floats]] = []
    refused: dict[int, tuple[Reason, str]] = {}
    # The batch is a part of the representation: a prediction must not depend on what else is in it.
    for start in range(0, len(representation.rows), representation.per_call):
        chunk = np.arange(start, min(start + representation.per_call, len(representation.rows)))
        predicted = screener.predict(representation.crystals.select(chunk))
        places.append(chunk[predicted.rows])
        parts.append(predicted.derived.prediction.tensors)
        refused |= {int(chunk[k]): why for k, why in predicted.refused.items()}
    if not parts:
        return np.zeros(0, np.int64), {}, {}
    tensors = {}
    for quantity in parts[0]:
        tensors[quantity] = np.concatenate([part[quantity] for part in parts])
    return np.concatenate(places), tensors, refused


def _with_shuffled_neighbors(model: Any) -> Any:
    """The model, whose graphs come with their edges in another order; a model that builds none stays as it is."""
    if not hasattr(model, "build_graph"):
        return model
    rng = np.random.default_rng(0)

    def build(crystals: CrystalBatch, spec: GraphSpec, neighbors: Neighborhood | None = None) -> CrystalGraph:
        return shuffle_neighbors(build_graph(crystals, spec, neighbors), rng)

    other = copy(model)
    other.build_graph = build
    return other


def _compare(
    expected: _Expected, quantity: Tensor, representation: Representation, places: Ints, predicted: Floats
) -> tuple[Invariance, list[Deviation]]:
    """Deviations of one tensor in one representation, from the expected tensors rotated like the crystals."""
    rows = representation.rows[places]
    rotated = rotate(quantity, expected.tensors[quantity][rows], representation.rotation[places])
    norm = frobenius(quantity, rotated)
    deviation = frobenius(quantity, predicted - rotated) / np.maximum(norm, FLOOR[quantity])
    above = np.flatnonzero(deviation > max(expected.tolerance, representation.moves))
    # Explanations cost symmetry searches: only the largest deviations get one, all are counted.
    worst = above[np.argsort(-deviation[above], kind="stable")][:N_EXPLAINED]
    deviations = [
        Deviation(
            representation.name,
            quantity.value,
            expected.names[rows[k]],
            float(deviation[k]),
            float(norm[k]),
            _explanation(expected, quantity, representation, int(places[k]), rotated[k]),
        )
        for k in worst
    ]
    largest = float(deviation.max(initial=0.0))
    return Invariance(representation.name, quantity.value, len(rows), largest, len(above)), deviations


def _explanation(
    expected: _Expected, quantity: Tensor, representation: Representation, place: int, rotated: Floats
) -> str:
    """Whether the symmetry search or the network made a deviation; `rotated` is one expected tensor."""
    symprec = expected.symprec
    before = find_symmetry(expected.crystals.select([representation.rows[place]]), symprec)
    after = find_symmetry(representation.crystals.select([place]), symprec)
    if before.point_group != after.point_group:
        groups = f"{before.number[0]} -> {after.number[0]}"
        return f"space group found differs: {groups} at symprec {symprec:g}"
    # The same group with other axes projects the tensor onto another subspace.
    if point_group_residual(quantity, rotated[None], after)[0] > 0.1 * expected.tolerance:
        return f"the axes of space group {after.number[0]} were found elsewhere at symprec {symprec:g}"
    small = frobenius(quantity, rotated[None])[0] < FLOOR[quantity]
    why = f"; |T| is below {FLOOR[quantity]:g}: large terms cancel, their rounding errors do not" if small else ""
    return f"{NETWORK_DIFFERS}{why}"
