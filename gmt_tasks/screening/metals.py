"""Numbers that a metal does not have are left out: nobody should rank by them.

The tensors themselves stay in the result, so that a crystal that was taken for a metal by mistake can be looked at.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.screening.derive import DerivedProperties
from gmt_tasks.screening.reliability import STATIC_RESPONSE
from models.quantities import DERIVED, INTERVALS, TENSORS

Bools = NDArray[np.bool_]

BY_SYMMETRY = ("piezo_allowed", "optical_class")
"""What the point group alone says holds for metals too."""

WITHHELD: tuple[str, ...] = tuple(
    name for name, row in DERIVED.items() if set(row.from_tensors) & set(STATIC_RESPONSE) and name not in BY_SYMMETRY
)
"""Derived columns that a metal does not have."""


def without_static_response(
    derived: DerivedProperties, intervals: dict[str, NDArray[np.float64]], is_metal: Bools
) -> tuple[DerivedProperties, dict[str, NDArray[np.float64]]]:
    """Derived columns, intervals and error radii without those that metals do not have.

    Args:
        derived: of a batch.
        intervals: by the names of `models.quantities.UNCERTAINTY_COLUMNS`, [n_crystals] each.
        is_metal: [n_crystals].
    """
    if not is_metal.any():
        return derived, intervals
    columns = dict(derived.columns)
    for name in WITHHELD:
        values = columns[name]
        # texts are unknown where they are empty
        is_text = values.dtype == object or values.dtype.kind in "US"
        columns[name] = np.where(is_metal, "" if is_text else np.nan, values).astype(values.dtype if is_text else float)
    ends = [end for name in WITHHELD for end in INTERVALS.get(name, ())]
    bounds = [*ends, *(TENSORS[tensor].error_column for tensor in STATIC_RESPONSE)]
    blanked = {name: np.where(is_metal, np.nan, intervals[name]) for name in bounds}
    return replace(derived, columns=columns), intervals | blanked
