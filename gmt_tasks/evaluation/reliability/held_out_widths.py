"""Errors of one quantity on held-out crystals, and the widths of intervals that they give.

Floor and factors of a width are chosen on the crystals that give its quantile, so intervals of fresh crystals miss more
often than promised, the more so the fewer labels there are. Therefore formulas are left out in turn, fold by fold: in
half widths that the others give, the errors of those left out would have a quantile of 1 if nothing had been fitted to
them; what they have is the factor by which all widths are stretched.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.uncertainty.conformal import (
    ALPHA,
    ConformalWidth,
    calibrate_skewed_width,
    calibrate_width,
    finite_sample_quantile,
)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

N_FOLDS, N_DRAWS = 5, 5
"""Folds of formulas that are left out in turn, and how often they are drawn."""


@dataclass(frozen=True)
class HeldOutErrors:
    """Errors of one quantity on labelled crystals.

    Attributes:
        error: on the scale of the quantity, for a tensor relative to its norm; NaN where there is no label or no
            prediction, and where symmetry makes the quantity 0. [n_crystals]
        spread: of the networks, in the same measure, [n_crystals].
        system: crystal systems, or what `width_groups` gives in their place, [n_crystals].
        is_below: whether the label lies below the prediction, [n_crystals]; used where errors are skewed.
        mean_width: of a quantity with skewed errors, see `calibrate_skewed_width`; None for all others.
        formula: number of each crystal's formula, [n_crystals]; without it nothing is left out.
    """

    error: Floats
    spread: Floats
    system: NDArray[np.str_]
    is_below: Bools | None = None
    mean_width: Callable[[Floats, Floats], float] | None = None
    formula: Ints | None = None

    def width(self, alpha: float = ALPHA) -> ConformalWidth:
        """The widths that these errors give, stretched to what crystals of other formulas need."""
        width, stretch = self._fitted(alpha), self._stretch(alpha)
        below = None if width.quantile_below is None else width.quantile_below * stretch
        return replace(width, quantile=width.quantile * stretch, quantile_below=below)

    def inside(self, width: ConformalWidth) -> Bools:
        """Whether the labels lie inside intervals of these widths, [n_crystals]."""
        return np.asarray(self.error <= self.reach(width))

    def reach(self, width: ConformalWidth) -> Floats:
        """How far intervals reach on the side of the label, [n_crystals]."""
        below, above = width.reaches(self.spread, self.system)
        return above if self.is_below is None else np.where(self.is_below, below, above)

    def _fitted(self, alpha: float) -> ConformalWidth:
        """Widths whose floor, factors and quantile come from the same crystals."""
        if self.mean_width is None or self.is_below is None:
            return calibrate_width(self.error, self.spread, self.system, alpha=alpha)
        signed = np.where(self.is_below, -self.error, self.error)
        return calibrate_skewed_width(signed, self.spread, self.system, self.mean_width, alpha=alpha)

    def _stretch(self, alpha: float) -> float:
        """At least 1; 1 where a fold leaves too few crystals for a width."""
        known = np.isfinite(self.error) & np.isfinite(self.spread)
        if self.formula is None or not known.any():
            return 1.0
        stretches = []
        for draw in range(N_DRAWS):
            fold = (np.random.default_rng(draw).permutation(int(self.formula.max()) + 1) % N_FOLDS)[self.formula]
            in_half_widths = np.full(len(self.error), np.nan)
            for k in range(N_FOLDS):
                others = replace(self, error=np.where(fold == k, np.nan, self.error))
                reach = self.reach(others._fitted(alpha))
                in_half_widths[fold == k] = (self.error / np.maximum(reach, 1e-300))[fold == k]
            stretches.append(finite_sample_quantile(in_half_widths[known], alpha))
        # folds are drawn by lot: the median of some draws depends little on it
        stretch = float(np.median(stretches))
        return max(stretch, 1.0) if 0.0 < stretch < math.inf else 1.0
