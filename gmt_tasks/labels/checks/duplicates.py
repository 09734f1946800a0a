"""The same label twice: duplicates teach once, and of two that contradict each other a stated rule says which teaches.

Two labels of one crystal and kind agree when their sizes differ by no more than `NOISE`, three times the median
difference between two codes or between two years of one database. Where they do not agree, the newer value of the same
source and id teaches; between different sources or ids the one that came first does, so that what was a test label
yesterday is the same test label today. Either way both are kept and marked.
"""

from collections.abc import Iterable, Mapping, Sequence, Set

import numpy as np

from db.labels.rows import Settlement, StoredLabel
from db.tables import LabelState
from gmt_tasks.labels.checks.unit_checks import power_of_ten
from gmt_tasks.labels.reasons import LabelReason

NOISE: dict[str, float] = {
    "eps_total": 3 * 0.038,
    "eps_electronic": 3 * 0.038,
    "k_gpa": 3 * 0.023,
    "g_gpa": 3 * 0.056,
    "e_norm": 3 * 0.05,
    "e_singular": 3 * 0.05,
}
"""Relative difference within which two labels say the same; e is about as uncertain as G."""

SAME_SIZE = {"eps_total": 0.1, "eps_electronic": 0.1, "k_gpa": 2.0, "g_gpa": 2.0, "e_norm": 0.03, "e_singular": 0.03}
"""Difference below which two labels say the same, in their units: rounding."""

SAME_POWER = 1.08
"""Two labels of one crystal whose ratio is within this of a power of ten differ by their unit."""


def settle_relatives(
    known: Iterable[StoredLabel], new: Sequence[StoredLabel], brought: Set[str] = frozenset()
) -> list[Settlement]:
    """How labels end that share crystal and kind with an earlier one.

    Args:
        known: labels that teach already, in the order in which they came.
        new: labels that were found good, in order; one with a reason was overruled before and comes again.
        brought: hashes of everything that came with them. What overruled a label goes on doing so when both come
            together; when the label comes again without it, it is the newer value.

    Returns:
        A settlement for each new label, and for each known one that is marked or superseded.
    """
    teaching: dict[tuple[str | None, str], StoredLabel] = {}
    earlier: set[str] = set()
    for label in known:
        teaching.setdefault((label.crystal_id, label.kind), label)
        earlier.add(label.hash)
    settled: dict[str, Settlement] = {}
    for label in new:
        place = (label.crystal_id, label.kind)
        other = teaching.get(place)
        if other is None:
            teaching[place], settled[label.hash] = label, Settlement(label.hash, LabelState.ACCEPTED)
            continue
        is_revision = other.hash in earlier and (other.source, other.source_id) == (label.source, label.source_id)
        name, difference = worst_difference(label.sizes, other.sizes)
        if not name:
            detail = f"the same as {other}"
            settled[label.hash] = Settlement(label.hash, LabelState.DUPLICATE, LabelReason.DUPLICATE, detail)
        elif label.reason and other.hash in brought:
            settled[label.hash] = Settlement(label.hash, LabelState.OVERRULED, label.reason, difference)
        elif is_revision:
            teaching[place] = label
            settled[label.hash] = Settlement(label.hash, LabelState.ACCEPTED, None, f"supersedes: {difference}")
            settled[other.hash] = Settlement(other.hash, LabelState.OVERRULED, LabelReason.SUPERSEDED, difference)
        else:
            settled |= {s.hash: s for s in _contradicting(label, other, name, difference)}
    return list(settled.values())


def worst_difference(first: Mapping[str, float], second: Mapping[str, float]) -> tuple[str, str]:
    """The size in which two labels differ most beyond noise, and a text with both values; empty where they agree."""
    worst, name = 1.0, ""
    for size, noise in NOISE.items():
        if size in first and size in second:
            apart = abs(first[size] - second[size])
            allowed = max(SAME_SIZE[size], noise * min(abs(first[size]), abs(second[size])))
            if apart / allowed > worst:
                worst, name = apart / allowed, size
    if not name:
        return "", ""
    share = 100 * abs(first[name] - second[name]) / max(abs(second[name]), 1e-12)
    return name, f"{name} {first[name]:.4g} against {second[name]:.4g} ({share:.0f} %)"


def _contradicting(label: StoredLabel, other: StoredLabel, size: str, difference: str) -> list[Settlement]:
    """A later label that contradicts an earlier one, and the earlier one, which goes on teaching with a mark."""
    ratio = abs(label.sizes[size] / other.sizes[size]) if other.sizes[size] and label.sizes[size] else np.inf
    mine, theirs = f"{difference}, {other} said", f"contradicted by {label}: {difference}"
    if np.isfinite(ratio) and power_of_ten(ratio, SAME_POWER):
        refused = Settlement(label.hash, LabelState.REFUSED, LabelReason.UNIT_FACTOR, mine)
        return [refused, Settlement(other.hash, LabelState.ACCEPTED, LabelReason.CONTRADICTION, theirs)]
    overruled = Settlement(label.hash, LabelState.OVERRULED, LabelReason.CONTRADICTION, mine)
    return [overruled, Settlement(other.hash, LabelState.ACCEPTED, LabelReason.CONTRADICTION, theirs)]
