"""Labels that no model should be judged by, named with the reason.

The rules look at labels alone, never at a prediction. A stiffness that is not positive definite is that of a crystal
which would not stay in the structure it was calculated for; one with G_Voigt far above G_Reuss is next to that. Where
two sources of one crystal contradict each other nobody knows which one is right.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.files import LabelledCrystals
from models.derived.elastic import Unstable, derive_elastic, min_eigenvalue
from models.quantities import ELASTIC_INVARIANTS, Tensor
from models.symmetry.search import find_symmetry
from models.tensors.voigt import from_components

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

LOWEST_STIFFNESS_GPA = 2.0
"""Labels are rounded to 1 GPa: an eigenvalue below this may be that of an unstable crystal."""

MOST_SHEAR_RATIO = 3.0
"""G_Voigt over G_Reuss above which a tensor is nearly singular or mistaken."""

MOST_CONFLICT = {"K": 1.5, "G": 1.5}
"""Factor between the moduli of two sources of one crystal above which one of them is wrong: releases differ by 22 and
28 % at the 90th percentile."""

MOST_DIELECTRIC_CONFLICT = {Tensor.DIELECTRIC_ELECTRONIC: 1.25, Tensor.DIELECTRIC_TOTAL: 1.5}
"""The same for mean dielectric constants: two codes differ by 4 % in the median."""

_SYMPREC_ANGSTROM = 1e-2
_MM2 = range(25, 47)


@dataclass(frozen=True)
class DoubtfulLabel:
    """One label that is kept apart from the scores.

    Attributes:
        quantity: tensor.
        split: "val" or "test".
        id: of the label row.
        formula: reduced.
        reason: why.
        error: of the prediction, in the tensor's unit.
    """

    quantity: str
    split: str
    id: str
    formula: str
    reason: str
    error: float


def label_doubts(labels: LabelledCrystals, rows: Rows, quantity: Tensor) -> NDArray[np.object_]:
    """Why the tensor label of each crystal is doubtful; the empty text where it is not or there is none, [n_rows].

    Args:
        labels: labelled crystals.
        rows: the crystals asked for.
        quantity: which tensor.
    """
    doubts = np.full(len(rows), "", dtype=object)
    known = np.flatnonzero(~np.isnan(labels.components[quantity][rows, 0]))
    if not len(known):
        return doubts
    tensors = from_components(quantity, labels.components[quantity][rows[known]])
    if quantity is Tensor.ELASTIC:
        doubts[known] = _stiffness_doubts(tensors, labels.elastic[rows[known]])
    elif quantity is Tensor.PIEZOELECTRIC:
        doubts[known] = _frame_doubts(labels, rows[known])
    elif quantity in MOST_DIELECTRIC_CONFLICT:
        doubts[known] = _dielectric_doubts(labels, rows[known], quantity, tensors)
    return doubts


def _stiffness_doubts(stiffness: Floats, invariants: Floats) -> list[str]:
    """Of stiffnesses [n, 6, 6] and moduli of other sources [n, 12], in GPa."""
    lowest = min_eigenvalue(stiffness)
    moduli = derive_elastic(stiffness, Unstable.FLAG)
    other = {name: invariants[:, ELASTIC_INVARIANTS.index(f"{name.lower()}_vrh")] for name in MOST_CONFLICT}
    doubts = []
    for k in range(len(stiffness)):
        voigt, reuss = moduli["g_voigt_gpa"][k], moduli["g_reuss_gpa"][k]
        doubt = ""
        for name, most in MOST_CONFLICT.items():
            own, others = moduli[f"{name.lower()}_vrh_gpa"][k], other[name][k]
            if own > 0 and others > 0 and not 1 / most <= own / others <= most:
                doubt = f"{name} is {own:.0f} GPa here and {others:.0f} GPa in another source"
        if voigt > MOST_SHEAR_RATIO * reuss:
            doubt = f"nearly singular: G_Voigt {voigt:.0f} GPa, G_Reuss {reuss:.0f} GPa"
        if lowest[k] < LOWEST_STIFFNESS_GPA:
            doubt = f"nearly unstable: lowest eigenvalue {lowest[k]:.1f} GPa"
        if lowest[k] <= 0:
            doubt = f"not positive definite: lowest eigenvalue {lowest[k]:.0f} GPa"
        doubts.append(doubt)
    return doubts


def _frame_doubts(labels: LabelledCrystals, rows: Rows) -> list[str]:
    """Of piezoelectric labels whose axes nothing proves."""
    number = find_symmetry(labels.crystals.select(rows), _SYMPREC_ANGSTROM).number
    doubts = []
    for space_group, is_proven in zip(number, labels.proven_frame[rows], strict=True):
        doubt = ""
        if space_group == 1 and not is_proven:
            doubt = "group 1: nothing says whether axes of tensor and cell agree"
        elif space_group in _MM2 and not is_proven:
            doubt = "class mm2: the first two axes may be interchanged"
        doubts.append(doubt)
    return doubts


def _dielectric_doubts(labels: LabelledCrystals, rows: Rows, quantity: Tensor, tensors: Floats) -> list[str]:
    """Of dielectric tensors [n, 3, 3]."""
    is_electronic = quantity is Tensor.DIELECTRIC_ELECTRONIC
    values = np.linalg.eigvalsh(tensors)
    other = labels.eps_mean[rows, 0 if is_electronic else 1]
    electronic = labels.components[Tensor.DIELECTRIC_ELECTRONIC][rows]
    least = np.linalg.eigvalsh(np.nan_to_num(from_components(Tensor.DIELECTRIC_ELECTRONIC, electronic)))[:, 0]
    most = MOST_DIELECTRIC_CONFLICT[quantity]
    doubts = []
    for k, constants in enumerate(values):
        mean, doubt = float(constants.mean()), ""
        if other[k] > 0 and not 1 / most <= mean / other[k] <= most:
            doubt = f"mean {mean:.3g} here and {other[k]:.3g} in another source"
        if not is_electronic and constants[0] < 0.98 * least[k]:
            doubt = f"lowest constant {constants[0]:.3g} below the electronic one, {least[k]:.3g}"
        if constants[0] < 1.0:
            doubt = f"lowest constant {constants[0]:.3g}, below that of the vacuum"
        doubts.append(doubt)
    return doubts
