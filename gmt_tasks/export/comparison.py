"""Crystals side by side: their numbers in one table, with the intervals, and which is the largest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from db.query.properties import DESCRIPTIONS
from db.records import is_combined
from db.runs.reports import result_of
from gmt_tasks.export.frames import facts_in_ieee_frame
from gmt_tasks.export.second_opinion import MODULI, moduli_of
from models.quantities import DERIVED, INTERVALS, TENSORS, IndexSymmetry
from models.refinement_quantities import REFINED, REFINEMENT
from models.reliability_columns import RELIABILITY
from models.tensors.voigt import to_printed

CRYSTAL_FIELDS = ("spacegroup", "point_group", "n_atoms", "volume_per_atom")
"""What stands above the derived numbers."""

UNRANKED = frozenset({*CRYSTAL_FIELDS, *REFINEMENT}) - set(MODULI.values())
"""Numbers of which the largest is not marked: a large one is no merit."""


@dataclass(frozen=True)
class ComparedCrystal:
    """One column: a crystal and whose result it shows; `axes` is its IEEE frame in words where components are shown."""

    id: str
    formula: str
    model: str
    axes: str | None


@dataclass(frozen=True)
class ComparedRow:
    """One row: a property of every crystal.

    Attributes:
        name: of the property, or of a tensor component such as "C11".
        unit: "1" for a ratio, empty where there is none.
        values: one per crystal, None where unknown.
        intervals: ends of the 90 % interval, None where there is none.
        best: place of the largest value (of the smallest where that was asked for); None where values are equal, or
            no numbers, or only one is known.
        certain: whether the interval of the best value overlaps none of the others.
    """

    name: str
    unit: str
    values: list[Any]
    intervals: list[list[float] | None]
    best: int | None
    certain: bool


@dataclass(frozen=True)
class Comparison:
    """Crystals and the rows that compare them."""

    crystals: list[ComparedCrystal]
    rows: list[ComparedRow]
    smallest: list[str]


def compare_crystals(
    facts: Sequence[dict[str, Any]],
    names: Sequence[str] = (),
    *,
    smallest: Sequence[str] = (),
    model: str | None = None,
    ieee: bool = False,
) -> Comparison:
    """The results of crystals side by side.

    Args:
        facts: of `ResultStore.show`, one per crystal.
        names: properties that become rows; empty takes all that one of the crystals has.
        smallest: properties of which the smallest value is the best one.
        model: NAME or NAME@VERSION; without it each crystal shows its current version, else its newest.
        ieee: adds the tensor components, each in the IEEE frame of its crystal.

    Raises:
        MissingError: a crystal has no result, or none of that model.
        FrameError: `ieee` and a crystal has no IEEE frame.
    """
    chosen = [result_of(each, model) for each in facts]
    if ieee:
        pairs = zip(facts, chosen, strict=True)
        chosen = [facts_in_ieee_frame(each | {"results": [result]})["results"][0] for each, result in pairs]
    columns = [
        ComparedCrystal(each["id"], each["formula"], result["model"], result.get("axes"))
        for each, result in zip(facts, chosen, strict=True)
    ]
    values = [_numbers(each, result) for each, result in zip(facts, chosen, strict=True)]
    rows = []
    refined = (REFINED, *REFINEMENT) if any(each.get("second_opinions") for each in facts) else ()
    for name in names or (*CRYSTAL_FIELDS, *DERIVED, *RELIABILITY, *refined):
        row = [known.get(name) for known in values]
        ends = [result["uncertainty"].get(name) for result in chosen]
        if names or any(value is not None for value in row):
            rows.append(_row(name, DESCRIPTIONS[name].unit, row, ends, smallest=name in smallest))
    if refined and not names:
        rows += _combined_rows(facts, chosen, smallest)
    return Comparison(columns, rows + (_component_rows(chosen) if ieee else []), list(smallest))


def _opinion_beside(facts: Mapping[str, Any], result: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The second opinion that stands beside a result: its own where it is a combined one, else the newest."""
    opinions = facts.get("second_opinions", ())
    return next((one for one in opinions if one["model"] == result["model"]), opinions[0] if opinions else None)


def _combined_rows(
    facts: Sequence[Mapping[str, Any]], chosen: Sequence[Mapping[str, Any]], smallest: Sequence[str]
) -> list[ComparedRow]:
    """Moduli by network and potential together, where the rows above show the network's."""
    combined: dict[str, list[Any]] = {}
    for place, (each, result) in enumerate(zip(facts, chosen, strict=True)):
        opinion = None if is_combined(result["model"]) else _opinion_beside(each, result)
        for one in moduli_of(each, opinion) if opinion else ():
            combined.setdefault(one.name, [None] * len(facts))[place] = one
    rows = []
    for name, moduli in combined.items():
        values = [one and one.combined for one in moduli]
        ends = [one and one.combined_interval for one in moduli]
        unit = DESCRIPTIONS[name].unit
        rows.append(_row(f"combined_{name}", unit, values, ends, smallest=name in smallest))
    return rows


def _numbers(facts: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Everything about a crystal that a property names."""
    ends = {
        end: value
        for name, pair in result["uncertainty"].items()
        for end, value in zip(INTERVALS.get(name, ()), pair, strict=False)
    }
    simple: dict[str, Any] = {name: value for name, value in (*facts.items(), *result.items()) if name in DESCRIPTIONS}
    opinion = _opinion_beside(facts, result)
    refined = {REFINED: opinion is not None, **(opinion["columns"] if opinion else {})}
    return {**simple, **result["trust"], **result["derived"], **ends, **refined}


def _row(
    name: str, unit: str, values: list[Any], ends: Sequence[Sequence[Any] | None], *, smallest: bool = False
) -> ComparedRow:
    """A row with its best value: the one that beats all others, and for certain where no interval reaches it."""
    intervals = [None if pair is None or None in pair else list(map(float, pair)) for pair in ends]
    flags_or_texts = any(isinstance(value, bool | str | list) for value in values)
    numbers = (
        [None if value is None or value != value else float(value) for value in values] if not flags_or_texts else []
    )
    sign = -1.0 if smallest else 1.0
    known = sorted((sign * value, place) for place, value in enumerate(numbers) if value is not None)
    if len(known) < 2 or known[-1][0] == known[-2][0] or (name in UNRANKED and not smallest):
        return ComparedRow(name, unit, values, intervals, None, certain=False)
    best = known[-1][1]
    mine, others = intervals[best], [intervals[place] for _, place in known[:-1]]
    lowest = min(sign * end for end in mine) if mine else -np.inf
    highest = [np.inf if pair is None else max(sign * pair[0], sign * pair[1]) for pair in others]
    certain = max(highest) < lowest
    return ComparedRow(name, unit, values, intervals, best, certain=bool(certain))


def _component_rows(results: Sequence[Mapping[str, Any]]) -> list[ComparedRow]:
    """Rows of the independent tensor components that are not zero in all crystals."""
    rows = []
    for tensor, quantity in TENSORS.items():
        printed = [
            None if result["tensors"].get(tensor.value) is None else to_printed(tensor, result["tensors"][tensor.value])
            for result in results
        ]
        shape = next((matrix.shape for matrix in printed if matrix is not None), (0, 0))
        for place in np.ndindex(*shape):
            # Of a symmetric matrix one half says all.
            if quantity.index_symmetry is not IndexSymmetry.PIEZOELECTRIC and place[0] > place[1]:
                continue
            values = [None if matrix is None else float(matrix[place]) for matrix in printed]
            if any(values):
                # ε0 and ε∞ end in an index of their own
                joint = "" if quantity.symbol.isalpha() else "_"
                name = f"{quantity.symbol}{joint}{place[0] + 1}{place[1] + 1}"
                rows.append(ComparedRow(name, quantity.unit, values, [None] * len(values), None, certain=False))
    return rows
