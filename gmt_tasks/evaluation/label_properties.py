"""What labels say of the derived numbers and tensors: the truth that calibration and coverage compare with.

A number is derived from the full tensor label where there is one, else taken from the invariants that are known of the
crystal (eigenvalues, means, moduli). What no label says is NaN, and is neither scored nor calibrated.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.files import LabelledCrystals
from gmt_tasks.labels.kinds import NUMBER_ARRAYS, TENSOR_VALUES
from gmt_tasks.labels.properties import DENSITIES
from models.crystals.masses import densities
from models.quantities import INTERVALS, Tensor
from models.tensors.voigt import from_components

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def label_properties(labels: LabelledCrystals, rows: Rows) -> dict[str, Floats]:
    """Derived numbers of the labels.

    Piezoelectric numbers are those that neither the overall sign of e nor a rotation of the crystal changes, so that
    labels of unproven sign count too. The strain tensor d = e C^-1 needs both tensors in one frame: it is known only
    where the frame of e is proven.

    Args:
        labels: labelled crystals.
        rows: the crystals asked for.

    Returns:
        Every name of `models.quantities.INTERVALS` -> [n_rows] in its unit, NaN where no label says it.
    """
    arrays: dict[str, NDArray[Any]] = {q: from_components(q, c[rows]) for q, c in labels.components.items()}
    arrays |= {name: getattr(labels, name)[rows] for name in (*NUMBER_ARRAYS, "proven_frame")}
    # what another code says with a noise of its own trains, and neither calibrates nor scores
    arrays["elastic"] = np.where(labels.elastic_noise[rows] > 0, np.nan, arrays["elastic"])
    arrays[DENSITIES] = np.stack(densities(labels.crystals.select(rows)), axis=1)
    columns = {name: np.full(len(rows), np.nan) for name in INTERVALS}
    # tensors first: what they give is not replaced; the two dielectric tensors share one function
    sources = [value.properties for value in TENSOR_VALUES.values()]
    sources += [array.properties for array in NUMBER_ARRAYS.values()]
    for derive in dict.fromkeys(source for source in sources if source is not None):
        derived = derive(arrays)
        for name in INTERVALS.keys() & derived.keys():
            columns[name] = np.where(np.isnan(columns[name]), derived[name], columns[name])
    return columns


def label_tensors(labels: LabelledCrystals, rows: Rows, quantity: Tensor) -> Floats:
    """Orthonormal components of the tensor labels whose frame and sign are proven, NaN elsewhere.

    Returns:
        [n_rows, n_components] in the tensor's unit.
    """
    components = labels.components[quantity][rows].copy()
    if TENSOR_VALUES[quantity].is_odd:
        components[labels.sign_unproven[rows] | ~labels.proven_frame[rows]] = np.nan
    return components
