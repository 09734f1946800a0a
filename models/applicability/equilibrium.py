"""How far a crystal is from its relaxed cell, and what that makes of intervals.

A screened prototype is a guess: what is predicted for a wrong cell is not what a relaxed sample has. The network says
how far it thinks a crystal is (`Scalar.EXPANSION`, `Scalar.DISTORTION`); here is from where on that counts.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FAR_EXPANSION = 0.07
"""|ln V / V0| above which a crystal is off its equilibrium.

V0 is that of semilocal DFT: measured cells are 2 to 6 % smaller, and they are not meant. With FAR_DISTORTION 2 % of 444
val crystals are flagged as they are, 64 to 68 % at ln V / V0 = ±0.10 and 90 to 96 % at ±0.18; 4 % of 70 measured
reference crystals. Of measured cells, which start compressed, expansion is found later than compression: of 57 that are
expanded or compressed by 0.10 5 and 60 % are flagged.
"""

FAR_DISTORTION = 0.2
"""Root of the energy above equilibrium in sqrt(eV per atom), likewise: 0.2 is 40 meV per atom."""

FITTED_EXPANSION = 0.2
"""Predicted |ln V / V0| up to which intervals widen: farther out no strained copy was calibrated on."""

EXPANSION_UNIT = 0.1
"""|ln V / V0| beyond FAR_EXPANSION at which a widening of 1 doubles an interval."""


def width_factor(expansion: Floats, widening: float | Floats) -> Floats:
    """Factor of the half widths of crystals away from their equilibrium, 1 for all others, [n_crystals].

    Args:
        expansion: predicted ln V / V0, NaN where unknown, [n_crystals].
        widening: from `fit_widening`; of several quantities, [n, 1], it gives as many rows.
    """
    factor: Floats = 1.0 + widening * np.nan_to_num(_excess(expansion))
    return factor


def fit_widening(expansion: Floats, reach: Floats, miss: Floats, alpha: float) -> float:
    """The widening with which intervals of strained crystals hold the label of the relaxed one, 0 or more.

    Whoever screens a crystal that is not relaxed wants the numbers of the relaxed one.

    Args:
        expansion: predicted ln V / V0 of strained copies of labelled crystals, [n].
        reach: half width of the interval at the copy's prediction, towards the label, [n].
        miss: |label - prediction| on the same scale, [n].
        alpha: share of misses.
    """
    excess = _excess(expansion)
    usable = (excess > 0.02) & np.isfinite(reach) & np.isfinite(miss) & (reach > 0)
    if not usable.any():
        return 0.0
    needed = (miss[usable] / reach[usable] - 1.0) / excess[usable]
    return max(0.0, float(np.quantile(needed, 1.0 - alpha)))


def _excess(expansion: Floats) -> Floats:
    """How far |ln V / V0| lies beyond what relaxed crystals are predicted at, in units, [n_crystals]."""
    return np.maximum(np.minimum(np.abs(expansion), FITTED_EXPANSION) - FAR_EXPANSION, 0.0) / EXPANSION_UNIT
