"""Extremes over all directions of moduli and Poisson's ratios, a whole batch at a time.

Pulled along n, a crystal has Young's modulus 1 / S_nnnn, the reciprocal of a form of fourth degree
(`models.derived.extremes.sphere`); shear moduli and Poisson's ratios need a frame (`models.derived.extremes.frames`).
The linear compressibility is quadratic in n, so its extremes are eigenvalues.

Source: J. F. Nye, Physical Properties of Crystals (1985), ch. VIII.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

from models.derived.elastic import (
    GPA_INVERSE_IN_PER_TPA,
    Columns,
    Stiffness,
    StiffnessBatch,
    Unstable,
    compliance_voigt,
)
from models.derived.extremes.frames import UPPER, Entry, dyads, extreme_entries, products_of_dyads
from models.derived.extremes.sphere import Singles, best_two, half_sphere, largest_on_sphere
from models.tensors.voigt import (
    Floats,
    ShapeError,
    compliance_voigt_to_mandel,
    mandel_to_symmetric,
)

N_GRID = 1500
"""Directions from which the extremes of Young's modulus are sought; neighbours are about 3.7 degrees apart."""

_CHUNK = 32  # crystals whose values on the grid fit into the cache


def young_modulus_along(stiffness_voigt: ArrayLike, directions: ArrayLike) -> Floats:
    """Young's modulus of crystals pulled along given directions.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].
        directions: vectors of any length but zero, in the frame of the tensors, shape [n_directions, 3].

    Returns:
        E(n) in GPa, shape [n_crystals, n_directions].

    Raises:
        UnphysicalTensorError: some C_IJ is not positive definite; `.rows` names them.
        ShapeError: a direction is zero or not finite, or the array is not [n_directions, 3].
    """
    vectors = np.asarray(directions, dtype=np.float64)
    if vectors.ndim != 2 or vectors.shape[1] != 3:
        raise ShapeError(f"directions must have shape [n_directions, 3], got {list(vectors.shape)}.")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not ((lengths > 0) & np.isfinite(lengths)).all():
        raise ShapeError("Some directions are zero or not finite; a direction needs a length.")
    compliance = compliance_voigt_to_mandel(compliance_voigt(stiffness_voigt))
    along = dyads(vectors / lengths, vectors / lengths)
    return np.asarray(GPA_INVERSE_IN_PER_TPA / ((along @ compliance) * along).sum(axis=-1), dtype=np.float64)


def derive_directional(stiffness_voigt: Stiffness, unstable: Unstable = Unstable.RAISE) -> Columns:
    """Extremes over all directions of moduli, Poisson's ratios and the linear compressibility.

    Args:
        stiffness_voigt: C_IJ in GPa, shape [n_crystals, 6, 6].
        unstable: RAISE refuses the batch when a tensor is not positive definite, FLAG gives NaN there.

    Returns:
        `young_min_gpa`, `young_max_gpa`, `shear_min_gpa`, `shear_max_gpa`, `poisson_min`, `poisson_max`,
        `linear_compressibility_min_per_tpa`, `linear_compressibility_max_per_tpa`, each [n_crystals]. A negative
        compressibility is a crystal that expands along some axis under pressure, a negative Poisson's ratio one that
        widens along some axis when it is pulled along another.

    Raises:
        UnphysicalTensorError: `unstable` is RAISE and some C_IJ is not positive definite; `.rows` names them.
    """
    batch = StiffnessBatch.of(stiffness_voigt).checked(unstable)
    compliance = batch.compliance_mandel
    inverse_young, entries = _inverse_young_extremes(compliance), extreme_entries(compliance)
    inverse_shear, poisson = entries[:, Entry.INVERSE_SHEAR], entries[:, Entry.POISSON]
    shrinkage = np.linalg.eigvalsh(mandel_to_symmetric(compliance[:, :, :3].sum(axis=2)))  # S_ijkk
    columns: Columns = {
        "young_min_gpa": GPA_INVERSE_IN_PER_TPA / inverse_young[:, 1],
        "young_max_gpa": GPA_INVERSE_IN_PER_TPA / inverse_young[:, 0],
        "shear_min_gpa": GPA_INVERSE_IN_PER_TPA / inverse_shear[:, 1],
        "shear_max_gpa": GPA_INVERSE_IN_PER_TPA / inverse_shear[:, 0],
        "poisson_min": poisson[:, 0],
        "poisson_max": poisson[:, 1],
        "linear_compressibility_min_per_tpa": shrinkage[:, 0],
        "linear_compressibility_max_per_tpa": shrinkage[:, 2],
    }
    return {name: np.where(batch.stable, values, np.nan) for name, values in columns.items()}


@lru_cache(maxsize=1)
def _grid() -> tuple[Floats, Singles]:
    """Directions, and what makes S_nnnn along them, [21, N_GRID]."""
    directions = half_sphere(N_GRID)
    along = dyads(directions, directions)
    return directions, products_of_dyads((along, along))


@lru_cache(maxsize=1)
def _symmetric_part() -> Floats:
    """What makes the forms that `largest_on_sphere` wants of compliances in Mandel form, [36, 36]."""
    basis = mandel_to_symmetric(np.eye(6))
    tensors = np.einsum("aij,bkl->abijkl", basis, basis).reshape(36, 3, 3, 3, 3)
    total = (tensors + tensors.transpose(0, 1, 3, 2, 4) + tensors.transpose(0, 1, 4, 3, 2)) / 3
    first, second = np.array([0, 1, 2, 1, 0, 0]), np.array([0, 1, 2, 2, 2, 1])
    # a product of two different components stands for both orders
    forms = total[:, first, second][:, :, first, second] * np.where(first == second, 1.0, 2.0)
    return np.ascontiguousarray(forms.reshape(36, 36))


def _inverse_young_extremes(compliance: Floats) -> Floats:
    """Least and largest S_nnnn in 1/TPa of compliances in Mandel form, [n_crystals, 2]."""
    directions, products = _grid()
    forms = (compliance.reshape(-1, 36) @ _symmetric_part()).reshape(-1, 6, 6)
    # single precision is enough to choose where to start
    components = compliance[:, UPPER[0], UPPER[1]].astype(np.float32)
    place = np.empty((2, len(compliance), 2), dtype=np.int64)
    for first in range(0, len(compliance), _CHUNK):
        part = slice(first, first + _CHUNK)
        values = components[part] @ products
        place[0, part] = best_two(-values, directions, even=True)
        place[1, part] = best_two(values, directions, even=True)
    ends = np.concatenate([-forms, forms])
    largest = largest_on_sphere(ends, directions[place].reshape(-1, 2, 3))[0].reshape(2, -1)
    return np.stack([-largest[0], largest[1]], axis=1)
