"""How far a crystal is from the training data, as a number between 0 and 1 that a reader can act on.

Distance is the mean over the three nearest training crystals in the space of descriptor.py, plus a term for
elements that training hardly had. The score is the share of held-out crystals of the same kind as the training
data that are nearer: 0.5 is as usual as usual can be, above 0.95 a crystal is called out of distribution.
Source: the kind of score follows J. P. Janet et al., Chem. Sci. 10, 7913 (2019), with descriptors for features.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from models.applicability.descriptor import STRUCTURE_FEATURES, feature_names
from models.applicability.kernels.nearest import mean_of_smallest
from models.crystals.crystal import MAX_ATOMIC_NUMBER, CrystalBatch
from models.errors import ModelError

Floats = NDArray[np.float64]

N_NEAREST = 3
COMPOSITION_WEIGHT = 0.5
"""Of composition against structure: from 0 to 1 errors on val rank about equally well, and more knows more elements."""

RARITY_WEIGHT = 0.3
RARE_COUNT = 5.0
"""An element in this many training crystals adds half of what an unseen one adds. The median of val is 0.33."""

OOD_SCORE = 0.95
"""Crystals above this score are flagged: only 5 % of held-out crystals are as far from the training data."""

FEWEST_HELD_OUT = 40
"""Of fewer held-out crystals a 5 % tail is unknown."""

SAME_POINT = 5e-3
"""Distance below which two training crystals are one: stored points are rounded to half precision."""

_CLIP = 6.0
_LEVELS = np.linspace(0.0, OOD_SCORE, 96)
_CHUNK = 32


@dataclass(frozen=True)
class TrainingReference:
    """The training data of a model as its distance score uses them.

    Attributes:
        center: mean descriptor of the training crystals, [n_features].
        scale: their standard deviation, [n_features].
        points: training descriptors, centred, scaled, clipped and weighted, [n_train, n_features] float32.
        element_counts: training crystals that hold an element, by atomic number, [119].
        quantiles: distance of held-out crystals at the shares 0, 0.01, ... 0.95; empty before
            `calibrated`, [96] or [0].
        tail: mean excess of the farthest 5 % over the last quantile; the score approaches 1 at this rate.
    """

    center: Floats
    scale: Floats
    points: NDArray[np.float32]
    element_counts: Floats
    quantiles: Floats
    tail: float = 0.0

    @cached_property
    def _squared(self) -> NDArray[np.float32]:
        """Norms of the points, squared, [n_train]."""
        return np.asarray((self.points**2).sum(axis=1))

    def distance(self, descriptors: Floats, crystals: CrystalBatch) -> Floats:
        """Distance to the training data, no unit, [n_crystals].

        Args:
            descriptors: from `describe`, [n_crystals, n_features].
            crystals: what they describe.
        """
        points = _placed(descriptors, self.center, self.scale)
        nearest = _nearest(points, self.points, self._squared, min(N_NEAREST, len(self.points)))
        if not crystals.n_crystals:
            return nearest
        # 1 for an element that training never had, near 0 for frequent ones; the rarest of a crystal counts
        rarity = 1.0 / (1.0 + self.element_counts / RARE_COUNT)
        rarest: Floats = np.maximum.reduceat(rarity[crystals.numbers], crystals.first_atom[:-1])
        return nearest + RARITY_WEIGHT * rarest

    def score(self, distance: Floats) -> Floats:
        """Share of held-out crystals that are nearer to the training data, 0 to 1, [n_crystals].

        Raises:
            ModelError: the reference was never calibrated.
        """
        if not len(self.quantiles):
            raise ModelError("The distance score has no calibration. Fit its reference again on labelled data.")
        inside = np.interp(distance, self.quantiles, _LEVELS)
        excess = np.maximum(distance - self.quantiles[-1], 0.0) / max(self.tail, 1e-9)
        beyond = 1.0 - (1.0 - OOD_SCORE) * np.exp(-excess)
        scores: Floats = np.where(distance > self.quantiles[-1], beyond, inside)
        return scores

    def calibrated(self, held_out: Floats) -> "TrainingReference":
        """The same reference with scores that refer to held-out crystals.

        Args:
            held_out: distances of crystals like the training data that are not among them, [n].

        Raises:
            ModelError: fewer than FEWEST_HELD_OUT of them.
        """
        if len(held_out) < FEWEST_HELD_OUT:
            raise ModelError(
                f"{len(held_out)} held-out crystals cannot calibrate a distance score; give {FEWEST_HELD_OUT} or more."
            )
        quantiles = np.quantile(held_out, _LEVELS)
        excess = held_out[held_out > quantiles[-1]] - quantiles[-1]
        tail = float(excess.mean()) if len(excess) else 0.0
        return TrainingReference(self.center, self.scale, self.points, self.element_counts, quantiles, tail)

    def extended(self, descriptors: Floats, crystals: CrystalBatch) -> "TrainingReference":
        """The reference of a model that was trained further, not yet calibrated.

        Args:
            descriptors: of the later training crystals, [n, n_features].
            crystals: the later training crystals; those that are here already add nothing.
        """
        points = _placed(descriptors, self.center, self.scale)
        is_new = _nearest(points, self.points, self._squared, 1) > SAME_POINT
        new = np.flatnonzero(is_new)
        counts = self.element_counts + _element_counts(crystals.select(new))
        return TrainingReference(
            self.center, self.scale, np.concatenate([self.points, points[new]]), counts, np.zeros(0)
        )


def _nearest(
    points: NDArray[np.float32], reference: NDArray[np.float32], squared: NDArray[np.float32], n_nearest: int
) -> Floats:
    """Mean distance of points to their nearest points of a reference, whose squared norms are given, [n_points]."""
    nearest = np.zeros(len(points))
    # as differences of squares: one matrix product instead of all differences
    for start in range(0, len(points), _CHUNK):
        rows = points[start : start + _CHUNK]
        own = (rows**2).sum(axis=1)
        mean_of_smallest(rows @ reference.T, squared, own, n_nearest, nearest[start : start + _CHUNK])
    return nearest


def _element_counts(crystals: CrystalBatch) -> Floats:
    """Number of crystals that hold an element, by atomic number, [119]."""
    pairs = np.unique(crystals.crystal_of_atom * (MAX_ATOMIC_NUMBER + 1) + crystals.numbers)
    counts = np.bincount(pairs % (MAX_ATOMIC_NUMBER + 1), minlength=MAX_ATOMIC_NUMBER + 1)
    return counts.astype(np.float64)


def reference_of(descriptors: Floats, crystals: CrystalBatch) -> TrainingReference:
    """The reference that training crystals make, not yet calibrated.

    Args:
        descriptors: of the training crystals, [n_train, n_features].
        crystals: the training crystals.

    Raises:
        ModelError: no training crystals.
    """
    if not len(descriptors):
        raise ModelError("A distance to no training data has no meaning; give at least one training crystal.")
    center = descriptors.mean(axis=0)
    scale = np.maximum(descriptors.std(axis=0), 1e-6)
    return TrainingReference(center, scale, _placed(descriptors, center, scale), _element_counts(crystals), np.zeros(0))


def as_points(descriptors: Floats) -> NDArray[np.float32]:
    """Crystals as points in the space of distances, scaled by their own mean and spread.

    Args:
        descriptors: from `describe`, [n_crystals, n_features].

    Returns:
        [n_crystals, n_features]; distances between them are comparable with those to training data.
    """
    if not len(descriptors):
        return descriptors.astype(np.float32)
    return _placed(descriptors, descriptors.mean(axis=0), np.maximum(descriptors.std(axis=0), 1e-6))


def _placed(descriptors: Floats, center: Floats, scale: Floats) -> NDArray[np.float32]:
    """Points in the space of distances; no feature counts for more than six standard deviations."""
    deviations = np.clip((descriptors - center) / scale, -_CLIP, _CLIP)
    # composition and structure each share their weight evenly among their features
    n_structure = len(STRUCTURE_FEATURES)
    n_composition = len(feature_names()) - n_structure
    shares = [COMPOSITION_WEIGHT * n_composition**-0.5, n_structure**-0.5]
    return (np.repeat(shares, [n_composition, n_structure]) * deviations).astype(np.float32)
