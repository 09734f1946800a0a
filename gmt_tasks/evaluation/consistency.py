"""Consistency with the point group: do the zeros and equal entries of predicted tensors obey it, by crystal system.

The metric of the GMTNet paper (arXiv:2406.12888, "success rate"). It looks at entries in a standard frame; here the
operations themselves are applied, one by one, which says the same in any frame and covers relations that are no equal
entries, such as C66 = (C11 - C12) / 2. What a point group forbids must be exactly zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import Floats
from models.crystals.crystal_systems import CRYSTAL_SYSTEMS, crystal_systems
from models.quantities import Tensor
from models.symmetry.search import SymmetryBatch
from models.tensors.rotate import rotate
from models.tensors.voigt import to_components

TOLERANCE = 1e-6
"""Largest |R T - T| / |T| of a tensor that obeys its point group."""

SMALLEST = 1e-9
"""Norm in the tensor's unit against which smaller tensors are measured: they are rounding errors of terms that cancel,
as of a model whose piezoelectric tensor vanishes although its crystal would allow one."""


@dataclass(frozen=True)
class SystemConsistency:
    """How many tensors of the crystals of one system obey their point group.

    Attributes:
        quantity: which tensor.
        system: one of CRYSTAL_SYSTEMS, or "all".
        n: number of crystals.
        success: share that obeys it, in percent.
        worst: largest |R T - T| / |T|.
    """

    quantity: str
    system: str
    n: int
    success: float
    worst: float


def consistency(tensors: Mapping[Tensor, Floats], symmetry: SymmetryBatch) -> list[SystemConsistency]:
    """Success rates of every tensor, for each crystal system that occurs and for all crystals.

    Args:
        tensors: in the stored shape, in the frame of the symmetry, [n_crystals, ...] each.
        symmetry: of the same crystals, none without a group.
    """
    systems = crystal_systems(symmetry.number)
    rows = []
    # A forbidden tensor must be exactly 0: a relative residual cannot tell noise from it.
    for quantity, values in tensors.items():
        residual = point_group_residual(quantity, values, symmetry)
        obeys = (residual <= TOLERANCE) & ~forbidden_but_nonzero(quantity, values, symmetry)
        for system in (*CRYSTAL_SYSTEMS, "all"):
            chosen = (systems == system) | (system == "all")
            if chosen.any():
                success, worst = 100.0 * float(obeys[chosen].mean()), float(residual[chosen].max())
                rows.append(SystemConsistency(quantity.value, system, int(chosen.sum()), success, worst))
    return rows


def point_group_residual(quantity: Tensor, tensors: Floats, symmetry: SymmetryBatch) -> Floats:
    """Largest |R T - T| / max(|T|, SMALLEST) over the operations of each crystal's point group, [n_crystals]."""
    size = frobenius(quantity, tensors)
    owner = symmetry.crystal_of_op
    moved = frobenius(quantity, rotate(quantity, tensors[owner], symmetry.rotations) - tensors[owner])
    # Crystals have different numbers of operations, which lie one after the other.
    worst = np.zeros(len(tensors))
    np.maximum.at(worst, owner, moved)
    residual: Floats = worst / np.maximum(size, SMALLEST)
    return residual


def forbidden_but_nonzero(quantity: Tensor, tensors: Floats, symmetry: SymmetryBatch) -> NDArray[np.bool_]:
    """Piezoelectric tensors with an entry that is not exactly 0 although the point group forbids all, [n_crystals]."""
    if quantity is not Tensor.PIEZOELECTRIC:
        return np.zeros(len(tensors), dtype=bool)
    return np.asarray(~symmetry.piezo_allowed & (tensors != 0.0).any(axis=(1, 2, 3)))


def frobenius(quantity: Tensor, tensors: Floats) -> Floats:
    """Frobenius norm over all Cartesian entries in the tensor's unit, the same in every frame, [n_crystals]."""
    return np.asarray(np.linalg.norm(to_components(quantity, tensors), axis=-1))
