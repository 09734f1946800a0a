"""The scales on which errors of derived numbers are alike: monotone, so an interval on a scale is one of the number.

A bulk modulus of 10 GPa and one of 300 GPa are predicted equally well in per cent, not in GPa; on the scale of their
logarithm the errors have one width. What may vanish or change its sign goes through asinh, which is linear near 0 and
a logarithm far from it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.error_scales import Scale, Transform

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ScaleRows:
    """Scales of one transform for the rows of a matrix of numbers, one quantity each.

    Attributes:
        transform: of all of them.
        unit, origin, lower, upper: as of `Scale`, each [n_rows, 1].
    """

    transform: Transform
    unit: Floats
    origin: Floats
    lower: Floats
    upper: Floats

    @staticmethod
    def of(scales: Sequence[Scale]) -> "ScaleRows":
        """The rows of scales that share their transform."""
        fields = np.array([(scale.unit, scale.origin, scale.lower, scale.upper) for scale in scales])
        return ScaleRows(scales[0].transform, *fields.T[:, :, None])


def by_transform(scales: Mapping[str, Scale | None]) -> Iterator[tuple[list[str], ScaleRows]]:
    """Names of quantities that share a transform, and their scales; those without a scale are left out."""
    for transform in Transform:
        chosen = {name: scale for name, scale in scales.items() if scale is not None and scale.transform is transform}
        if chosen:
            yield list(chosen), ScaleRows.of(list(chosen.values()))


def to_scale(scale: Scale | ScaleRows, values: Floats) -> Floats:
    """Numbers on their scale.

    Args:
        scale: of the quantity, or of each row of a matrix.
        values: in the quantity's unit, any shape.

    Returns:
        Dimensionless (in the unit for LINEAR), same shape; NaN where a logarithm does not exist.
    """
    values = np.asarray(values, dtype=np.float64)
    if scale.transform is Transform.LOG:
        above = values - scale.origin
        return np.log(above, out=np.full_like(above, np.nan), where=above > 0)
    return np.asarray(np.arcsinh(values / scale.unit) if scale.transform is Transform.ASINH else values / scale.unit)


def from_scale(scale: Scale | ScaleRows, places: Floats) -> Floats:
    """Inverse of `to_scale`; what is too large for a float becomes infinite."""
    with np.errstate(over="ignore"):
        if scale.transform is Transform.LOG:
            return np.asarray(np.exp(places) + scale.origin)
        in_units = np.sinh(places) if scale.transform is Transform.ASINH else places
        return np.asarray(in_units * scale.unit)


def interval_around(
    scale: Scale | ScaleRows, values: Floats, below: Floats, above: Floats | None = None
) -> tuple[Floats, Floats]:
    """The interval that reaches so far on the scale around each value, cut where physics is certain.

    Args:
        scale: of the quantity, or of each row of matrices [n_rows, n_crystals].
        values: predictions in the quantity's unit, [n_crystals].
        below: how far it reaches below the values on the scale, [n_crystals].
        above: how far above; as far as below where it is not given.

    Returns:
        Lower and upper ends in the unit with lower <= value <= upper, each [n_crystals]. A prediction outside the
        certain range stays inside its interval. Both are NaN where value or reach are not finite numbers.
    """
    above = below if above is None else above
    place = to_scale(scale, values)
    finite = np.isfinite(place) & np.isfinite(below) & np.isfinite(above)
    lower = np.maximum(from_scale(scale, place - np.where(finite, below, 0.0)), scale.lower)
    upper = np.minimum(from_scale(scale, place + np.where(finite, above, 0.0)), scale.upper)
    # rounding of the way there and back, and values that physics excludes, must not leave their own interval
    lower, upper = np.minimum(lower, values), np.maximum(upper, values)
    return np.where(finite, lower, np.nan), np.where(finite, upper, np.nan)
