"""On which scale the errors of each kind of derived number are alike: what its 90 % interval is symmetric on."""

import math
from dataclasses import dataclass
from enum import StrEnum


class Transform(StrEnum):
    """How a number is transformed before its error is measured; all are monotone."""

    LOG = "log"
    ASINH = "asinh"
    LINEAR = "linear"


@dataclass(frozen=True)
class Scale:
    """The scale on which errors of a derived number are alike, and the range that physics makes certain.

    Attributes:
        transform: LOG for what is above its origin, ASINH for what spans decades but may vanish or change its sign.
        unit: for ASINH, the size below which the scale is linear, in the number's unit.
        origin: for LOG, the value that is subtracted before the logarithm, in the number's unit.
        lower, upper: certain bounds in the number's unit; a number with the lower bound 0 is one that is positive in
            every stable crystal.
        skewed: large values are mostly predicted too small: the two ends of an interval are calibrated apart, each for
            half of the misses, or all misses would be values above it.
    """

    transform: Transform
    unit: float = 1.0
    origin: float = 0.0
    lower: float = -math.inf
    upper: float = math.inf
    skewed: bool = False


# Units and origins are those at which held-out errors of small and large values are alike.
# Positive moduli are cut at 0 rather than measured by their logarithm: the same coverage, intervals 6 to 46 % shorter.
BULK = Scale(Transform.ASINH, 80.0, lower=0.0)
SHEAR = Scale(Transform.ASINH, 20.0, lower=0.0)
YOUNG = Scale(Transform.ASINH, 60.0, lower=0.0)
POISSON = Scale(Transform.LINEAR, lower=-1.0, upper=0.5)
ANISOTROPY = Scale(Transform.ASINH, 0.5, lower=0.0)
RATIO = Scale(Transform.LOG, lower=0.0)
EIGENVALUE = Scale(Transform.ASINH, 30.0)  # no bound: below 0 in a crystal that is unstable
STRESS_RESPONSE = Scale(Transform.ASINH, 1.0, lower=0.0, skewed=True)
STRAIN_RESPONSE = Scale(Transform.ASINH, 5.0, lower=0.0, skewed=True)
EPSILON = Scale(Transform.LOG, origin=1.0, lower=1.0)
BIREFRINGENCE = Scale(Transform.ASINH, 0.05, lower=0.0)
DIRECTIONAL_POISSON = Scale(Transform.ASINH, 0.2)  # no bound: a soft crystal can have any
COMPRESSIBILITY = Scale(Transform.ASINH, 3.0)
POSITIVE = Scale(Transform.LOG, lower=0.0)
HARDNESS_CHEN = Scale(Transform.ASINH, 5.0, lower=-3.0)  # not clipped: a fit that crosses 0, ever -3 or more
HARDNESS_TIAN = Scale(Transform.ASINH, 5.0, lower=0.0)
COUPLING = Scale(Transform.LINEAR, lower=0.0, upper=1.0)
VOLTAGE_RESPONSE = Scale(Transform.ASINH, 20.0, lower=0.0)
ENERGY_RESPONSE = Scale(Transform.ASINH, 0.1, lower=0.0)
