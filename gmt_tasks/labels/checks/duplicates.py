"""The same label twice: duplicates count once, and of two that contradict each other a stated rule says which is kept.

Two labels of one crystal and kind agree when their sizes differ by no more than the noise of each (`Size.noise`). Where
they do not agree, the newer value of the same source and id is accepted; between different sources or ids the one that
came first is, so that what was a test label yesterday is the same test label today. Either way both are stored and
marked.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace

import numpy as np

from db.labels.rows import Resolution, StoredLabel
from db.tables import LabelState
from gmt_tasks.labels.checks.unit_checks import power_of_ten
from gmt_tasks.labels.kinds import SIZES
from gmt_tasks.labels.reasons import LabelReason

SAME_POWER = 1.08
"""Two labels of one crystal whose ratio is within this of a power of ten differ by their unit."""


def resolve_duplicates(
    accepted: Iterable[StoredLabel], new: Sequence[StoredLabel], brought: Set[str] = frozenset()
) -> list[Resolution]:
    """How labels end that share crystal and kind with an earlier one.

    Args:
        accepted: labels that were accepted earlier, in the order in which they came.
        new: labels that passed all other checks, in order; one with a reason was overruled before and comes again.
        brought: hashes of everything that came with them. What overruled a label goes on doing so when both come
            together; when the label comes again without it, it is the newer value.

    Returns:
        A resolution for each new label, and for each accepted one that is marked or superseded.
    """
    kept: dict[tuple[str | None, str], StoredLabel] = {}
    earlier: set[str] = set()
    for label in accepted:
        kept.setdefault((label.crystal_id, label.kind), label)
        earlier.add(label.hash)
    resolutions: dict[str, Resolution] = {}
    for label in new:
        place = (label.crystal_id, label.kind)
        other = kept.get(place)
        if other is None:
            kept[place], resolutions[label.hash] = label, Resolution(label.hash, LabelState.ACCEPTED)
            continue
        is_revision = other.hash in earlier and (other.source, other.source_id) == (label.source, label.source_id)
        name, difference = worst_difference(label.sizes, other.sizes)
        if not name:
            detail = f"the same as {other}"
            end = Resolution(label.hash, LabelState.DUPLICATE, LabelReason.DUPLICATE, detail, decided_by=other.hash)
            resolutions[label.hash] = end
        elif label.reason and other.hash in brought:
            end = Resolution(label.hash, LabelState.OVERRULED, label.reason, difference, decided_by=other.hash)
            resolutions[label.hash] = end
        elif is_revision:
            kept[place] = label
            resolutions[label.hash] = Resolution(label.hash, LabelState.ACCEPTED, None, f"supersedes: {difference}")
            end = Resolution(other.hash, LabelState.OVERRULED, LabelReason.SUPERSEDED, difference)
            resolutions[other.hash] = replace(end, decided_by=label.hash)
        else:
            detail = f"{difference}, {other} said"
            ratio = abs(label.sizes[name] / other.sizes[name]) if other.sizes[name] and label.sizes[name] else np.inf
            state, reason = LabelState.OVERRULED, LabelReason.CONTRADICTION
            if np.isfinite(ratio) and power_of_ten(ratio, SAME_POWER):
                state, reason = LabelState.REFUSED, LabelReason.UNIT_FACTOR
            resolutions[label.hash] = Resolution(label.hash, state, reason, detail, decided_by=other.hash)
            # the earlier one stays accepted, with a mark
            mark = f"contradicted by {label}: {difference}"
            marked = Resolution(other.hash, LabelState.ACCEPTED, LabelReason.CONTRADICTION, mark)
            resolutions[other.hash] = replace(marked, decided_by=label.hash)
    return list(resolutions.values())


def worst_difference(first: Mapping[str, float], second: Mapping[str, float]) -> tuple[str, str]:
    """The size in which two labels differ most beyond noise, and a text with both values; empty where they agree."""
    worst, name = 1.0, ""
    for size in SIZES.values():
        if size.name in first and size.name in second:
            one, other = first[size.name], second[size.name]
            # of small values rounding is the larger part of the noise
            excess = abs(one - other) / max(size.rounding, size.noise * min(abs(one), abs(other)))
            if excess > worst:
                worst, name = excess, size.name
    if not name:
        return "", ""
    share = 100 * abs(first[name] - second[name]) / max(abs(second[name]), 1e-12)
    return name, f"{name} {first[name]:.4g} against {second[name]:.4g} ({share:.0f} %)"
