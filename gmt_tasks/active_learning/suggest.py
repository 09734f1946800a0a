"""suggest: the next DFT jobs from the results in the database.

A few numbers are read of every result; crystals are loaded for a shortlist only, so a million results cost seconds.
Crystals whose property is labelled already are left out, and so are those that the caller names because they are being
calculated.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from db.query.filter_language import parse_filter
from db.store import ResultStore
from gmt_tasks.active_learning.acquisition import SMALLEST_SIGMA, choose_batch, outlook, promise, uncertainty, worth
from gmt_tasks.active_learning.request import OutOfDistribution, SuggestionRequest
from gmt_tasks.labels.kinds import KINDS
from gmt_tasks.training.applicability import descriptors_of
from models.applicability.distance import as_points
from models.crystals.crystal import CrystalBatch
from models.error_scales import Scale, Transform
from models.errors import GmtError
from models.gmtnet.training_data.split_table import source_name
from models.quantities import DERIVED, INTERVALS, ColumnKind, Tensor

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

SHORTLIST_PER_JOB = 50
SMALLEST_SHORTLIST = 1000
LARGEST_SHORTLIST = 20_000

_OOD_FILTER = {
    OutOfDistribution.EXCLUDE: "(NOT ood OR ood IS UNKNOWN)",
    OutOfDistribution.ALLOW: "",
    OutOfDistribution.ONLY: "ood",
}


Learned = Callable[[Sequence[str]], Mapping[str, frozenset[Tensor]]]
"""The tensors that the training of a model saw of crystals, by content id or `source_name`."""


@dataclass(frozen=True)
class Suggestion:
    """One job and why.

    Attributes:
        id: content id of the crystal.
        formula: of the crystal.
        model: NAME@VERSION that predicted it.
        value, lower, upper: prediction and 90 % interval in the property's unit; NaN where unknown.
        promise: probability to be among the best, 0 to 1.
        uncertainty: place in the order of uncertainty, 0 to 1.
        crowding: likeness to the nearest crystal chosen before it, 0 to 1.
        ood_score: distance to the training data, 0 to 1; NaN where unknown.
    """

    id: str
    formula: str
    model: str
    value: float
    lower: float
    upper: float
    promise: float
    uncertainty: float
    crowding: float
    ood_score: float


@dataclass(frozen=True)
class Batch:
    """The jobs of one call.

    Attributes:
        request: what was asked for.
        suggestions: in the order in which they should be calculated.
        crystals: their stored cells, in the same order.
        n_results: results that the filter describes.
        n_labelled: promising crystals skipped because their property is labelled.
        n_trained: likewise because the model was trained on such a label of them.
        n_left_out: likewise because the caller left them out.
        has_intervals: whether any result had an interval of the property.
    """

    request: SuggestionRequest
    suggestions: list[Suggestion]
    crystals: CrystalBatch
    n_results: int
    n_labelled: int
    n_trained: int
    n_left_out: int
    has_intervals: bool


def nothing_learned(_: Sequence[str]) -> Mapping[str, frozenset[Tensor]]:
    """What a model of unknown training data has learned."""
    return {}


def suggest(store: ResultStore, request: SuggestionRequest, learned: Learned = nothing_learned) -> Batch:
    """Chooses the next jobs.

    Args:
        store: the database with the results.
        request: what is looked for.
        learned: the tensors that the model saw labels of in its training; of such a crystal a further calculation says
            less than of any other.

    Raises:
        FilterError: the filter cannot be read.
        GmtError: the property is no number, or there is nothing to choose from.
    """
    scale = _scale(request.property)
    frame = _results(store, request)
    # A property without a calibrated interval has no columns of its ends.
    names = [request.property, *INTERVALS.get(request.property, ("", "")), "ood_score"]
    values, lower, upper, ood_score = (
        frame[name].to_numpy(dtype=np.float64) if name else np.full(len(frame), np.nan) for name in names
    )
    expectation = outlook(scale, values, lower, upper, request.goal)
    likely = promise(expectation, request.n_best or 2 * request.n)
    unsure = uncertainty(expectation, ood_score)
    score = worth(likely, unsure)
    ids = frame["id"].to_numpy()
    # Distances between crystals need their atoms: only the shortlist is loaded, not every result.
    shortlist = _shortlist(store, request, learned, frame, score)
    rows = shortlist.rows
    if not len(rows):
        raise GmtError(
            f"Nothing to suggest: of {len(frame)} results with {request.property} that the filter describes "
            f"{shortlist.n_labelled} are labelled, {shortlist.n_trained} were training data of the model and "
            f"{shortlist.n_left_out} left out. Screen more crystals, or widen --filter or --ood."
        )
    crystals = store.labels.crystals_of([str(crystal_id) for crystal_id in ids[rows]])
    choice = choose_batch(score[rows], as_points(descriptors_of(crystals)), request.n)
    chosen = rows[choice.rows]
    texts = frame[["id", "formula", "model"]].to_numpy()[chosen]
    columns = [column[chosen] for column in (values, lower, upper, likely, unsure)]
    numbers = np.stack([*columns, choice.crowding, ood_score[chosen]], axis=1)
    suggestions = [
        Suggestion(str(crystal_id), str(formula), str(model), *row)
        for (crystal_id, formula, model), row in zip(texts, numbers.tolist(), strict=True)
    ]
    has_intervals = bool((expectation.bounded & (expectation.sigma > SMALLEST_SIGMA)).any())
    selected = crystals.select(choice.rows)
    skipped = shortlist.n_labelled, shortlist.n_trained, shortlist.n_left_out
    return Batch(request, suggestions, selected, len(frame), *skipped, has_intervals)


def _scale(name: str) -> Scale:
    """The scale of a property; numbers without one are taken as they are.

    Raises:
        GmtError: there is no such number.
    """
    quantity = DERIVED.get(name)
    if quantity is None or quantity.kind is not ColumnKind.NUMBER:
        numbers = ", ".join(column for column, row in DERIVED.items() if row.kind is ColumnKind.NUMBER)
        raise GmtError(f"{name!r} is no number that gmtscreen derives. Take one of {numbers}.")
    return quantity.scale or Scale(Transform.LINEAR)


def _results(store: ResultStore, request: SuggestionRequest) -> "pd.DataFrame":
    """A few columns of all results that the request describes and that have a number of its property."""
    if request.filter.strip():
        # By itself first: an error then points into the text as it was given, and no bracket of it closes ours.
        parse_filter(request.filter)
    terms = [
        f"({request.filter})" if request.filter.strip() else "",
        _OOD_FILTER[request.ood],
        f"{request.property} IS KNOWN",
    ]
    fields = ["id", "formula", "model", request.property, *INTERVALS.get(request.property, ()), "ood_score"]
    # By id, so that equal scores are in the same order on every database.
    return store.query(" AND ".join(filter(None, terms)), fields=fields, sort="id", limit=0)


@dataclass(frozen=True)
class _Shortlist:
    """The most promising crystals that may be suggested, and how many were skipped and why."""

    rows: NDArray[np.int64]
    n_labelled: int
    n_trained: int
    n_left_out: int


def _shortlist(
    store: ResultStore, request: SuggestionRequest, learned: Learned, frame: "pd.DataFrame", score: Floats
) -> _Shortlist:
    """The most promising crystals that may be suggested."""
    wanted = int(np.clip(SHORTLIST_PER_JOB * request.n, SMALLEST_SHORTLIST, LARGEST_SHORTLIST))
    ids, formulas = frame["id"].to_numpy(), frame["formula"].to_numpy()
    tensors = set(DERIVED[request.property].from_tensors)
    rows: list[int] = []
    n_labelled = n_trained = n_left_out = 0
    # Equal scores in the order of the rows, so that every database gives the same jobs.
    order = np.argsort(-score, kind="stable")[: int(np.isfinite(score).sum())]
    # Labels are looked up part by part until the shortlist is full: most results are never asked for.
    for start in range(0, len(order), wanted):
        part = order[start : start + wanted]
        part_ids = [str(crystal_id) for crystal_id in ids[part]]
        kinds, seen = store.labels.kinds_of(part_ids), _seen(store, learned, part_ids, formulas[part])
        for row in part.tolist():
            labelled: set[Tensor] = set()
            for kind in kinds.get(ids[row], ()):
                labelled |= KINDS[kind].constrains if kind in KINDS else frozenset()
            if ids[row] in request.leave_out:
                n_left_out += 1
            elif tensors <= labelled:
                n_labelled += 1
            elif tensors <= labelled | seen.get(ids[row], frozenset()):
                n_trained += 1
            else:
                rows.append(row)
        if len(rows) >= wanted:
            break
    return _Shortlist(np.array(rows[:wanted], dtype=np.int64), n_labelled, n_trained, n_left_out)


def _seen(
    store: ResultStore, learned: Learned, ids: Sequence[str], formulas: NDArray[np.object_]
) -> dict[str, frozenset[Tensor]]:
    """The tensors that training saw of crystals, by content id; by their own names too."""
    source_ids = store.labels.source_ids_of(ids)
    names: dict[str, list[str]] = {}
    for crystal_id, formula in zip(ids, formulas, strict=True):
        of_sources = [source_name(source_id, str(formula)) for source_id in source_ids[crystal_id]]
        names[crystal_id] = [crystal_id, *of_sources]
    seen = learned(sorted(set().union(*names.values())))
    tensors: dict[str, frozenset[Tensor]] = {}
    for crystal_id, own in names.items():
        of_names = [seen[name] for name in own if name in seen]
        tensors[crystal_id] = frozenset().union(*of_names)
    return tensors
