"""What the names of literature values mean: a derived column, or a component of a tensor like `c13_gpa`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from models.quantities import Tensor
from models.tensors.voigt import to_printed

_COMPONENT = re.compile(
    r"^(?P<kind>c|e|eps_electronic_|eps_total_)(?P<row>[1-6])(?P<column>[1-6])(?P<sign>_abs)?(?:_gpa|_c_per_m2)?$"
)
_KINDS = {
    "c": Tensor.ELASTIC,
    "e": Tensor.PIEZOELECTRIC,
    "eps_electronic_": Tensor.DIELECTRIC_ELECTRONIC,
    "eps_total_": Tensor.DIELECTRIC_TOTAL,
}


@dataclass(frozen=True)
class Component:
    """A component of a tensor as it is printed (3x3, 3x6 or 6x6 Voigt), counted from 0, or its absolute value."""

    tensor: Tensor
    row: int
    column: int
    absolute: bool


def component_of(name: str) -> Component | None:
    """The tensor component that a literature name means; None for a derived column."""
    match = _COMPONENT.match(name)
    if match is None:
        return None
    return Component(_KINDS[match["kind"]], int(match["row"]) - 1, int(match["column"]) - 1, bool(match["sign"]))


def predicted_value(name: str, result: Mapping[str, Any]) -> float | None:
    """The predicted number that a literature name means: a tensor component like `c11_gpa`, or a derived column.

    Args:
        name: of the literature value.
        result: "tensors" by name in stored shape, and "derived" columns by name, of one crystal.
    """
    component = component_of(name)
    if component is None:
        value = result["derived"].get(name)
        return None if value is None else float(value)
    stored = result["tensors"].get(component.tensor.value)
    if stored is None:
        return None
    matrix = np.asarray(stored)
    matrix = to_printed(component.tensor, matrix)
    # A name like c13 with another kind of tensor would point outside of it.
    if component.row >= matrix.shape[0] or component.column >= matrix.shape[1]:
        return None
    value = float(matrix[component.row, component.column])
    return abs(value) if component.absolute else value
