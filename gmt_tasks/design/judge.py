"""What became of a round: which crystals are wanted, how good each is, and which ones a generator is to learn from.

The score is that of `suggest`: promise times one plus uncertainty, then chosen one after the other so that they are not
all alike. So the generator moves to where good crystals are likely and not to copies of the best one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from db.query.filter_language import parse_filter
from db.store import ResultStore
from gmt_tasks.active_learning.acquisition import choose_batch, outlook, promise, uncertainty, worth
from gmt_tasks.active_learning.request import Goal
from gmt_tasks.design.request import DesignRequest
from gmt_tasks.training.applicability import descriptors_of
from models.applicability.distance import as_points
from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.error_scales import Scale, Transform
from models.errors import GmtError
from models.quantities import DERIVED, INTERVALS, ColumnKind

BEST_SHARE = 0.1
"""Of the wanted crystals so far, from which the generator learns."""

LEAST_LEARNED, MOST_LEARNED = 16, 400

N_BEST = 40
"""Crystals that count as the best where the generator learns: as many however many are proposed."""

_QUANTILES = (0.0, 0.1, 0.5, 0.9, 1.0)


@dataclass(frozen=True)
class Judged:
    """The wanted crystals of a design so far, each once.

    Attributes:
        ids: content ids.
        formulas: of each.
        round: in which each was first written, [n].
        value: of the number that is looked for, in its unit, [n].
        promise: probability to be among the best, 0 to 1, [n].
        uncertainty: place in the order of uncertainty, 0 to 1, [n].
        score: promise times one plus uncertainty, [n].
    """

    ids: list[str]
    formulas: list[str]
    round: Ints
    value: Floats
    promise: Floats
    uncertainty: Floats
    score: Floats

    def quantiles(self, number: int) -> list[float]:
        """Minimum, 10 %, median, 90 % and maximum of the number over the crystals of a round; empty without any."""
        values = self.value[self.round == number]
        return np.quantile(values, _QUANTILES).tolist() if len(values) else []


@dataclass(frozen=True)
class Chosen:
    """Crystals chosen for their score and for not being alike, the best first.

    Attributes:
        rows: in `Judged`, [n].
        crowding: likeness of each to the nearest one before it, 0 to 1, [n].
        crystals: as stored.
    """

    rows: Ints
    crowding: Floats
    crystals: CrystalBatch


def goal_scale(request: DesignRequest) -> Scale:
    """The scale of the number that is looked for.

    Raises:
        FilterError: the filter cannot be read.
        GmtError: the goal is no number.
    """
    quantity = DERIVED.get(request.goal)
    if quantity is None or quantity.kind is not ColumnKind.NUMBER:
        raise GmtError(f"{request.goal!r} is no number that gmtscreen derives. Sort by one, e.g. -d_max_pc_per_n.")
    if request.filter.strip():
        # by itself: an error then points into the text as it was given, and no bracket of it closes ours
        parse_filter(request.filter)
    return quantity.scale or Scale(Transform.LINEAR)


def judge(store: ResultStore, request: DesignRequest, runs: Sequence[int], model: str, n_best: int = N_BEST) -> Judged:
    """The wanted crystals of the rounds so far.

    Args:
        store: the database.
        request: goal.
        runs: of the rounds, in order.
        model: NAME@VERSION whose results count; the database may hold those of others.
        n_best: how many crystals count as the best.

    Raises:
        FilterError: the filter cannot be read.
        GmtError: the goal is no number.
    """
    scale = goal_scale(request)
    first_round: dict[str, int] = {}
    for number, run in enumerate(runs, start=1):
        for crystal_id in store.designs.crystals_of_run(run):
            first_round.setdefault(crystal_id, number)
    terms = [f"({request.filter})" if request.filter.strip() else "", f"{request.goal} IS KNOWN"]
    ends = INTERVALS.get(request.goal, ("", ""))
    fields = [name for name in ("id", "formula", request.goal, *ends, "ood_score") if name]
    frame = store.query(" AND ".join(filter(None, terms)), fields=fields, sort="id", limit=0, model=model)
    frame = frame[frame["id"].isin(list(first_round))]
    columns = [
        frame[name].to_numpy(dtype=np.float64) if name else np.full(len(frame), np.nan)
        for name in (request.goal, *ends, "ood_score")
    ]
    value, lower, upper, ood_score = columns
    aim = Goal.MAX if request.wants_large else Goal.MIN
    expected = outlook(scale, value, lower, upper, aim)
    likely = promise(expected, n_best)
    unsure = uncertainty(expected, ood_score)
    ids = [str(crystal_id) for crystal_id in frame["id"]]
    rounds = np.array([first_round[crystal_id] for crystal_id in ids], dtype=np.int64)
    return Judged(ids, list(map(str, frame["formula"])), rounds, value, likely, unsure, worth(likely, unsure))


def choose(store: ResultStore, judged: Judged, n: int) -> Chosen:
    """The n best crystals that are not all alike."""
    # likeness needs atoms: only those that may be chosen are loaded
    rows = np.argsort(-judged.score, kind="stable")[: max(10 * n, 200)]
    rows = rows[np.isfinite(judged.score[rows])]
    crystals = store.labels.crystals_of([judged.ids[row] for row in rows])
    choice = choose_batch(judged.score[rows], as_points(descriptors_of(crystals)), n)
    return Chosen(rows[choice.rows], choice.crowding, crystals.select(choice.rows))


def n_learned(judged: Judged) -> int:
    """How many of the wanted crystals the generator learns from."""
    return int(np.clip(round(BEST_SHARE * len(judged.ids)), LEAST_LEARNED, MOST_LEARNED))
