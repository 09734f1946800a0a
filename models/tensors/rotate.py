"""Rotation of Cartesian tensors, batched, as products of small matrices.

Convention: active, T'_ij... = R_ia R_jb ... T_ab..., for proper and improper R. A rotation to a frame whose axes are
the rows of R gives the tensor's entries in that frame. In Mandel form a rotation of a symmetric pair of indices is one
orthogonal 6x6 matrix, so that even a rank-4 tensor takes two matrix products instead of four contractions.
"""

import numpy as np
from numpy.typing import ArrayLike

from models.errors import GmtError
from models.quantities import TENSORS, IndexSymmetry, Tensor
from models.tensors.voigt import (
    VOIGT_PAIRS,
    Floats,
    from_components,
    mandel_to_piezo,
    mandel_to_stiffness_voigt,
    piezo_to_mandel,
    stiffness_voigt_to_mandel,
    to_components,
)

_ROW = np.array([pair[0] for pair in VOIGT_PAIRS])
_COL = np.array([pair[1] for pair in VOIGT_PAIRS])
_WEIGHT = np.where(_ROW == _COL, 1.0, np.sqrt(2.0))
_HALF_WEIGHTS = np.outer(_WEIGHT, _WEIGHT) / 2
_SMALLEST_RATIO = 1e-6  # a matrix flatter than this has no meaningful nearest rotation


def mandel_rotation(rotation: ArrayLike) -> Floats:
    """Rotation of a Mandel 6-vector; orthogonal where R is.

    Args:
        rotation: R, shape [..., 3, 3].

    Returns:
        M with symmetric_to_mandel(R s R^T) = M symmetric_to_mandel(s), shape [..., 6, 6].

    Source: M. M. Mehrabadi and S. C. Cowin, Q. J. Mech. Appl. Math. 43, 15 (1990).
    """
    r = np.asarray(rotation, dtype=np.float64)
    first, second = r[..., _ROW, :], r[..., _COL, :]
    straight = first[..., _ROW] * second[..., _COL]
    crossed = first[..., _COL] * second[..., _ROW]
    return (straight + crossed) * _HALF_WEIGHTS


def rotate(quantity: Tensor, tensor: ArrayLike, rotation: ArrayLike) -> Floats:
    """Tensor after a rotation, T'_ij... = R_ia R_jb ... T_ab...

    Args:
        quantity: which tensor it is.
        tensor: in its stored shape, [..., *TENSORS[quantity].shape]; index-symmetric.
        rotation: orthogonal R, proper or improper, shape [..., 3, 3]; leading axes broadcast with those of `tensor`.

    Returns:
        The rotated tensor in its stored shape and unit.
    """
    r = np.asarray(rotation, dtype=np.float64)
    symmetry = TENSORS[quantity].index_symmetry
    if symmetry is IndexSymmetry.PIEZOELECTRIC:
        return mandel_to_piezo(r @ piezo_to_mandel(tensor) @ np.swapaxes(mandel_rotation(r), -1, -2))
    if symmetry is IndexSymmetry.STIFFNESS:
        m = mandel_rotation(r)
        return mandel_to_stiffness_voigt(m @ stiffness_voigt_to_mandel(tensor) @ np.swapaxes(m, -1, -2))
    rotated: Floats = r @ np.asarray(tensor, dtype=np.float64) @ np.swapaxes(r, -1, -2)
    return rotated


def component_rotation(quantity: Tensor, rotation: ArrayLike) -> Floats:
    """Matrix of a rotation on the independent components; orthogonal where R is.

    The mean of these matrices over a point group is the projector on the tensors that the group allows.

    Args:
        quantity: which tensor.
        rotation: R, shape [..., 3, 3].

    Returns:
        D with to_components(rotate(T, R)) = D to_components(T), shape [..., n_components, n_components].
    """
    r = np.asarray(rotation, dtype=np.float64)
    units = from_components(quantity, np.eye(TENSORS[quantity].n_components))
    # every unit component is rotated: what becomes of it is a column
    columns = to_components(quantity, rotate(quantity, units, r.reshape(*r.shape[:-2], 1, 3, 3)))
    return np.swapaxes(columns, -1, -2)


def nearest_rotation(matrix: ArrayLike) -> Floats:
    """Orthogonal matrix nearest to a given one in the Frobenius norm (polar factor), proper or improper as it is.

    Symmetry operations of a cell known to finite precision deviate from rotations by up to 3e-3; averaging a tensor
    over them as they are would not be a projection.

    Args:
        matrix: near-orthogonal, shape [..., 3, 3].

    Returns:
        Orthogonal matrices with the sign of the determinants of the input, shape [..., 3, 3].

    Raises:
        GmtError: a matrix is not finite or so flat that no rotation is nearest.

    Source: N. J. Higham, SIAM J. Sci. Stat. Comput. 7, 1160 (1986).
    """
    values = np.asarray(matrix, dtype=np.float64)
    if not np.isfinite(values).all():
        raise GmtError("Some matrices are not finite and have no nearest rotation; check the lattice they come from.")
    left, singular, right = np.linalg.svd(values)
    flat = singular[..., 2] <= _SMALLEST_RATIO * np.maximum(singular[..., 0], np.finfo(np.float64).tiny)
    if flat.any():
        raise GmtError(
            f"{int(flat.sum())} of {flat.size} matrices are singular and have no nearest rotation; "
            f"first at index {int(np.flatnonzero(flat)[0])}. Check the lattice they come from."
        )
    nearest: Floats = left @ right
    return nearest
