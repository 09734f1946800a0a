"""Labels of crystals that have labels already: one factor between all of them, and how many would be superseded.

Two calculations of one crystal differ, and not by the same share for every crystal: between codes and functionals the
logarithms of the ratios scatter by 0.03 to 0.06 around a median within 0.03 of 0. A whole group of labels that is
the same factor away from what is known, to within rounding, was multiplied by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from db.labels.rows import Resolution, StoredLabel
from gmt_tasks.labels.checks.factors import factor_name
from gmt_tasks.labels.kinds import KINDS, SIZES
from gmt_tasks.labels.label_kind import Floats
from gmt_tasks.labels.reasons import LabelReason

LEAST_FACTOR = 0.02
"""|ln| of a factor that is looked for."""

SAME_FACTOR, ROUNDED_FACTOR = 0.004, 0.012
"""|ln| within which ratios are the same factor, and are where whole numbers were rounded after it."""

AROUND = 0.04
DENSER = 4.0
"""Ratios at one factor must be this many times as dense as those around it."""

MIN_REPEATS, MIN_PROPORTIONAL = 8, 3
"""Labels that must share a factor; fewer do where two sizes of each, K and G say, have it."""

MAX_REPLACED, MAX_REPLACED_SHARE = 5, 0.05
"""Superseded labels of a part up to which nobody is asked: a corrected calculation or two. A new release of a
database changes K by more than the noise for about every fifth id; that is for a person to see."""

_SHOWN = 4


@dataclass(frozen=True)
class ConstantFactor:
    """Labels that are one factor away from known labels of the same crystals.

    Attributes:
        factor: new over known.
        hashes: of the labels.
        n_repeats: labels that could be compared.
        unit: of the quantity.
    """

    factor: float
    hashes: frozenset[str]
    n_repeats: int
    unit: str

    def __str__(self) -> str:
        return (
            f"{len(self.hashes)} of {self.n_repeats} labels of crystals with known labels are {self.factor:.4g} times "
            f"the known ones ({factor_name(self.factor, self.unit)})"
        )


def constant_factor(part: Sequence[StoredLabel], accepted: Mapping[str, Mapping[str, float]]) -> ConstantFactor | None:
    """One factor between labels and known labels of the same crystals; None where there is none.

    Args:
        part: labels of one kind.
        accepted: sizes of known labels by crystal.
    """
    logs: dict[str, float] = {}
    proportional: dict[str, bool] = {}
    sizes = KINDS[part[0].kind].sizes
    for label in part:
        known = accepted.get(label.crystal_id or "", {})
        pairs = [(label.sizes.get(size.name, 0.0), known.get(size.name, 0.0)) for size in sizes]
        ratios = [float(np.log(new / old)) for new, old in pairs if new > 0 and old > 0]
        if ratios:
            logs[label.hash] = ratios[0]
            proportional[label.hash] = len(ratios) > 1 and max(ratios) - min(ratios) < SAME_FACTOR
    values = np.array(list(logs.values()))
    centre = _spike(values, MIN_REPEATS)
    if centre is None and len(values) < MIN_REPEATS:
        # few: then each must be one factor in all that is known of it
        centre = _spike(np.array([x for name, x in logs.items() if proportional[name]]), MIN_PROPORTIONAL)
    if centre is None:
        return None
    shared = frozenset(name for name, x in logs.items() if abs(x - centre) < ROUNDED_FACTOR)
    return ConstantFactor(float(np.exp(centre)), shared, len(logs), sizes[0].unit)


def _spike(logs: Floats, least: int) -> float | None:
    """Where many logarithms coincide away from 0, denser than around that place; None where they do not."""
    # values that were merely copied say nothing about the scatter
    ordered = np.sort(logs[np.abs(logs) > SAME_FACTOR])
    if len(ordered) < least:
        return None
    inside, around = (
        np.searchsorted(ordered, ordered + width, "right") - np.searchsorted(ordered, ordered - width)
        for width in (SAME_FACTOR, AROUND)
    )
    background = (around - inside) * SAME_FACTOR / (AROUND - SAME_FACTOR)
    is_spike = (inside >= least) & (inside > DENSER * background) & (np.abs(ordered) > LEAST_FACTOR)
    if not is_spike.any():
        return None
    best = ordered[np.argmax(np.where(is_spike, inside, 0))]
    return float(np.median(ordered[np.abs(ordered - best) <= SAME_FACTOR]))


def replaced_too_many(
    part: Sequence[StoredLabel], resolutions: Sequence[Resolution], earlier: Mapping[str, StoredLabel]
) -> str:
    """What would change where a part takes the place of many accepted labels; empty where it does not.

    Args:
        part: its labels.
        resolutions: how they and earlier labels would end.
        earlier: accepted labels by hash.
    """
    new = {label.hash: label for label in part}
    pairs = [
        (earlier[end.hash], new[end.decided_by])
        for end in resolutions
        if end.reason == LabelReason.SUPERSEDED and end.hash in earlier and end.decided_by in new
    ]
    if len(pairs) <= max(MAX_REPLACED, MAX_REPLACED_SHARE * len(part)):
        return ""
    changes: list[tuple[float, str]] = []
    for old, label in pairs:
        for size in SIZES.values():
            before, after = old.sizes.get(size.name, 0.0), label.sizes.get(size.name, 0.0)
            if before > 0 and after > 0:
                changes.append(
                    (float(np.log(after / before)), f"{label.source_id}: {size.name} {before:.4g} -> {after:.4g}")
                )
    worst = "; ".join(text for _, text in sorted(changes, key=lambda change: -abs(change[0]))[:_SHOWN])
    median = f"{np.exp(np.median([log for log, _ in changes])):.3g}" if changes else "unknown"
    return (
        f"{len(pairs)} accepted labels would be superseded by {len(part)} rows; new over old is {median} in the "
        f"median; largest changes: {worst}"
    )
