"""Minimum and median of repeats, and ratios of what was measured in turns."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any


def repeats(values: Sequence[float]) -> dict[str, float]:
    """Minimum and median of repeated measurements; noise only adds, so the minimum is nearest to the cost.

    Raises:
        ValueError: nothing was measured.
    """
    if not values:
        raise ValueError("no repeats: nothing was measured")
    return {"min": min(values), "median": statistics.median(values), "n": len(values)}


def ratio(others: Sequence[float], ours: Sequence[float]) -> dict[str, float]:
    """How many times as long others take as ours, from measurements in turns.

    Args:
        others: one per round,
        ours: one per round, of the same rounds.

    Returns:
        of_minima, median of the rounds' ratios, and the lowest and the highest of these.

    Raises:
        ValueError: the rounds do not pair up, or one of ours took no time.
    """
    if len(others) != len(ours) or not ours or min(ours) <= 0:
        raise ValueError(f"{len(others)} and {len(ours)} rounds, each of which must have taken time")
    each = [b / a for b, a in zip(others, ours, strict=True)]
    return {
        "of_minima": min(others) / min(ours),
        "median": statistics.median(each),
        "lowest": min(each),
        "highest": max(each),
    }


def microseconds(answers: Sequence[Mapping[str, Any]]) -> list[float]:
    """Processor time per crystal of each answer in µs."""
    return [1e6 * answer["cpu_s"] / answer["n"] for answer in answers]


def by_stage(answers: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Processor time per crystal in µs of each stage: minimum and median of the answers; absent stages stay absent."""
    names = dict.fromkeys(name for answer in answers for name in answer["stages"])
    return {name: repeats([1e6 * a["stages"].get(name, 0.0) / a["n"] for a in answers]) for name in names}


def marginal(long: Mapping[str, float], short: Mapping[str, float], what: str) -> float:
    """Cost of one more crystal: that of a long run without that of a short one, over the difference of crystals.

    Raises:
        ValueError: the long run is not longer.
    """
    if long["n"] <= short["n"]:
        raise ValueError(f"a run of {long['n']:.0f} crystals is not longer than one of {short['n']:.0f}")
    return (long[what] - short[what]) / (long["n"] - short["n"])
