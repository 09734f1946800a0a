"""Voigt and Mandel forms of tensors, and their independent components; every factor of 2 of gmtscreen lives here.

Voigt order is 11, 22, 33, 23, 13, 12. Voigt's notation is the one people read; it is not orthonormal, so a sum over
Voigt entries is no contraction. Mandel's form puts sqrt(2) on the shear entries instead: norms, eigenvalues and
rotations of the 6-vectors and 6x6 matrices are then those of the Cartesian tensors, and a product of matrices is a
contraction of tensors. Arithmetic is done in Mandel form, reading and storing in Voigt's.

All functions take any leading axes and return new float64 arrays. Cartesian tensors that break the index symmetry are
projected on it (the mean over the equivalent entries), never sampled at one of them.

Source: J. F. Nye, Physical Properties of Crystals (1985), ch. VII and VIII; M. M. Mehrabadi and S. C. Cowin,
Q. J. Mech. Appl. Math. 43, 15 (1990).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.errors import GmtError
from models.quantities import TENSORS, IndexSymmetry, Tensor

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

VOIGT_PAIRS: tuple[tuple[int, int], ...] = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""Cartesian index pair (0-based) of each Voigt index: 11, 22, 33, 23, 13, 12."""

_ROW = np.array([pair[0] for pair in VOIGT_PAIRS])
_COL = np.array([pair[1] for pair in VOIGT_PAIRS])
_VOIGT_INDEX = np.array([[0, 5, 4], [5, 1, 3], [4, 3, 2]])  # Voigt index of each Cartesian pair
_FROM_VASP = np.array([0, 1, 2, 4, 5, 3])  # where our 11, 22, 33, 23, 13, 12 stand in 11, 22, 33, 12, 23, 31
_SHEAR: Floats = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])  # how many Cartesian entries a Voigt index stands for
_MANDEL: Floats = np.sqrt(_SHEAR)
_UPPER = np.triu_indices(6)
_UPPER_WEIGHT = np.where(_UPPER[0] == _UPPER[1], 1.0, np.sqrt(2.0))


class ShapeError(GmtError, ValueError):
    """An array does not have the shape of the tensor it is said to be."""


def _checked(array: ArrayLike, trailing: tuple[int, ...], name: str) -> Floats:
    """The array as float64, once its last axes have the sizes that the tensor needs."""
    values = np.asarray(array, dtype=np.float64)
    if values.shape[values.ndim - len(trailing) :] != trailing or values.ndim < len(trailing):
        raise ShapeError(f"{name} must end in shape {list(trailing)}, got {list(values.shape)}; check the axis order.")
    return values


def symmetric_to_voigt(tensor: ArrayLike) -> Floats:
    """Symmetric rank-2 tensor as a stress-like Voigt vector (no factor 2).

    Args:
        tensor: symmetric in its two indices, shape [..., 3, 3].

    Returns:
        Entries 11, 22, 33, 23, 13, 12, shape [..., 6].
    """
    values = _checked(tensor, (3, 3), "a rank-2 tensor")
    voigt: Floats = (values[..., _ROW, _COL] + values[..., _COL, _ROW]) / 2
    return voigt


def voigt_to_symmetric(voigt: ArrayLike) -> Floats:
    """Inverse of `symmetric_to_voigt`: shape [..., 6] -> [..., 3, 3]."""
    return _checked(voigt, (6,), "a Voigt vector")[..., _VOIGT_INDEX]


def strain_to_voigt(strain: ArrayLike) -> Floats:
    """Symmetric rank-2 tensor as a strain-like Voigt vector (engineering shear, 2 on entries 23, 13, 12).

    Args:
        strain: tensor strain (or any tensor conjugate to a stress), shape [..., 3, 3].

    Returns:
        Entries 11, 22, 33, 2*23, 2*13, 2*12, shape [..., 6].
    """
    return symmetric_to_voigt(strain) * _SHEAR


def voigt_to_strain(voigt: ArrayLike) -> Floats:
    """Inverse of `strain_to_voigt`: engineering shear is halved, shape [..., 6] -> [..., 3, 3]."""
    return voigt_to_symmetric(_checked(voigt, (6,), "a Voigt vector") / _SHEAR)


def piezo_to_voigt(piezo: ArrayLike) -> Floats:
    """Piezoelectric stress tensor e_ijk as e_iJ (no factor 2).

    Args:
        piezo: e_ijk in C/m^2, symmetric in j and k, shape [..., 3, 3, 3].

    Returns:
        e_iJ in C/m^2, shape [..., 3, 6].
    """
    return symmetric_to_voigt(_checked(piezo, (3, 3, 3), "a piezoelectric tensor"))


def voigt_to_piezo(piezo_voigt: ArrayLike) -> Floats:
    """Inverse of `piezo_to_voigt`: e_iJ, shape [..., 3, 6] -> e_ijk, shape [..., 3, 3, 3]."""
    return voigt_to_symmetric(_checked(piezo_voigt, (3, 6), "a piezoelectric Voigt matrix"))


def piezo_strain_to_voigt(piezo_strain: ArrayLike) -> Floats:
    """Piezoelectric strain tensor d_ijk as d_iJ, with 2 on the shear columns so that strain_J = d_iJ E_i.

    Args:
        piezo_strain: d_ijk in pC/N, symmetric in j and k, shape [..., 3, 3, 3].

    Returns:
        d_iJ in pC/N, shape [..., 3, 6].
    """
    return piezo_to_voigt(piezo_strain) * _SHEAR


def voigt_to_piezo_strain(piezo_strain_voigt: ArrayLike) -> Floats:
    """Inverse of `piezo_strain_to_voigt`: d_iJ, shape [..., 3, 6] -> d_ijk, shape [..., 3, 3, 3]."""
    return voigt_to_piezo(_checked(piezo_strain_voigt, (3, 6), "a piezoelectric Voigt matrix") / _SHEAR)


def stiffness_to_voigt(stiffness: ArrayLike) -> Floats:
    """Stiffness tensor C_ijkl as C_IJ (no factor 2).

    Args:
        stiffness: C_ijkl in GPa with the minor symmetries, shape [..., 3, 3, 3, 3].

    Returns:
        C_IJ in GPa, shape [..., 6, 6]; C_IJ = C_JI only as far as the input has the major symmetry.
    """
    rows = symmetric_to_voigt(_checked(stiffness, (3, 3, 3, 3), "a stiffness tensor"))
    return np.swapaxes(symmetric_to_voigt(np.moveaxis(rows, -1, -3)), -1, -2)


def voigt_to_stiffness(stiffness_voigt: ArrayLike) -> Floats:
    """Inverse of `stiffness_to_voigt`: C_IJ, shape [..., 6, 6] -> C_ijkl, shape [..., 3, 3, 3, 3]."""
    values = _checked(stiffness_voigt, (6, 6), "a Voigt matrix")
    return values[..., _VOIGT_INDEX[:, :, None, None], _VOIGT_INDEX[None, None]]


def compliance_to_voigt(compliance: ArrayLike) -> Floats:
    """Compliance tensor S_ijkl as S_IJ, with 2 on entries with one shear index and 4 on those with two.

    Args:
        compliance: S_ijkl in 1/TPa with the minor symmetries, shape [..., 3, 3, 3, 3].

    Returns:
        S_IJ in 1/TPa, the matrix inverse of C_IJ, shape [..., 6, 6].
    """
    return stiffness_to_voigt(compliance) * np.outer(_SHEAR, _SHEAR)


def voigt_to_compliance(compliance_voigt: ArrayLike) -> Floats:
    """Inverse of `compliance_to_voigt`: S_IJ, shape [..., 6, 6] -> S_ijkl, shape [..., 3, 3, 3, 3]."""
    return voigt_to_stiffness(_checked(compliance_voigt, (6, 6), "a Voigt matrix") / np.outer(_SHEAR, _SHEAR))


def reorder_vasp_voigt(array: ArrayLike, n_voigt_axes: int = 1) -> Floats:
    """Voigt order of VASP and JARVIS (11, 22, 33, 12, 23, 31) to ours (11, 22, 33, 23, 13, 12).

    Args:
        array: 6-vectors [..., 6] or piezoelectric matrices [..., 3, 6] (one Voigt axis), or stiffness matrices
            [..., 6, 6] (two). The number of axes is asked for because six 6-vectors look like one matrix.
        n_voigt_axes: how many of the last axes are Voigt indices, 1 or 2.

    Returns:
        The same numbers in our order, same shape.

    Raises:
        ShapeError: the last axes are not of size 6, or `n_voigt_axes` is neither 1 nor 2.
    """
    if n_voigt_axes not in (1, 2):
        raise ShapeError(f"n_voigt_axes must be 1 (vectors, 3x6) or 2 (6x6), got {n_voigt_axes}.")
    values = _checked(array, (6,) * n_voigt_axes, "an array in VASP's Voigt order")[..., _FROM_VASP]
    return values if n_voigt_axes == 1 else values[..., _FROM_VASP, :]


def symmetric_to_mandel(tensor: ArrayLike) -> Floats:
    """Symmetric rank-2 tensor, shape [..., 3, 3], as a Mandel vector of the same norm, shape [..., 6]."""
    return symmetric_to_voigt(tensor) * _MANDEL


def mandel_to_symmetric(mandel: ArrayLike) -> Floats:
    """Inverse of `symmetric_to_mandel`: shape [..., 6] -> [..., 3, 3]."""
    return voigt_to_symmetric(_checked(mandel, (6,), "a Mandel vector") / _MANDEL)


def piezo_to_mandel(piezo: ArrayLike) -> Floats:
    """Rank-3 tensor e_ijk or d_ijk, shape [..., 3, 3, 3], as a Mandel matrix of the same norm, shape [..., 3, 6]."""
    return piezo_to_voigt(piezo) * _MANDEL


def mandel_to_piezo(piezo_mandel: ArrayLike) -> Floats:
    """Inverse of `piezo_to_mandel`: shape [..., 3, 6] -> [..., 3, 3, 3]."""
    return voigt_to_piezo(_checked(piezo_mandel, (3, 6), "a piezoelectric Mandel matrix") / _MANDEL)


def mandel_to_piezo_strain_voigt(piezo_strain_mandel: ArrayLike) -> Floats:
    """Mandel matrix of d_ijk, shape [..., 3, 6], as d_iJ with 2 on the shear columns, shape [..., 3, 6]."""
    return _checked(piezo_strain_mandel, (3, 6), "a piezoelectric Mandel matrix") * _MANDEL


def stiffness_voigt_to_mandel(stiffness_voigt: ArrayLike) -> Floats:
    """C_IJ in Voigt form as a Mandel matrix, shape [..., 6, 6].

    The Frobenius norm of the result is that of C_ijkl, its eigenvalues are the six Kelvin moduli of the crystal.
    """
    return _checked(stiffness_voigt, (6, 6), "a Voigt matrix") * np.outer(_MANDEL, _MANDEL)


def mandel_to_stiffness_voigt(stiffness_mandel: ArrayLike) -> Floats:
    """Inverse of `stiffness_voigt_to_mandel`, shape [..., 6, 6]."""
    return _checked(stiffness_mandel, (6, 6), "a Mandel matrix") / np.outer(_MANDEL, _MANDEL)


def compliance_voigt_to_mandel(compliance_voigt: ArrayLike) -> Floats:
    """S_IJ in Voigt form (with its 2 and 4) as a Mandel matrix, shape [..., 6, 6]."""
    return _checked(compliance_voigt, (6, 6), "a Voigt matrix") / np.outer(_MANDEL, _MANDEL)


def mandel_to_compliance_voigt(compliance_mandel: ArrayLike) -> Floats:
    """Inverse of `compliance_voigt_to_mandel`, shape [..., 6, 6]."""
    return _checked(compliance_mandel, (6, 6), "a Mandel matrix") * np.outer(_MANDEL, _MANDEL)


def to_components(quantity: Tensor, tensor: ArrayLike) -> Floats:
    """Orthonormal independent components of a tensor: their Euclidean norm is the norm of the full Cartesian tensor.

    A symmetric rank-2 tensor: the Mandel vector. Piezoelectric: the 3x6 Mandel matrix, row by row. A stiffness: the
    upper triangle of the 6x6 Mandel matrix, row by row, with sqrt(2) on its off-diagonal entries.

    Args:
        quantity: which tensor it is.
        tensor: in its stored shape, [..., *TENSORS[quantity].shape], in its unit.

    Returns:
        Components in the same unit, shape [..., n_components].

    Raises:
        ShapeError: the last axes are not those of the quantity.
    """
    symmetry = TENSORS[quantity].index_symmetry
    if symmetry is IndexSymmetry.SYMMETRIC:
        return symmetric_to_mandel(tensor)
    if symmetry is IndexSymmetry.PIEZOELECTRIC:
        mandel = piezo_to_mandel(tensor)
        return mandel.reshape(*mandel.shape[:-2], 18)
    mandel = stiffness_voigt_to_mandel(tensor)
    mean = (mandel + np.swapaxes(mandel, -1, -2)) / 2
    return mean[..., _UPPER[0], _UPPER[1]] * _UPPER_WEIGHT


def from_components(quantity: Tensor, components: ArrayLike) -> Floats:
    """Inverse of `to_components`: shape [..., n_components] -> [..., *TENSORS[quantity].shape]."""
    values = _checked(components, (TENSORS[quantity].n_components,), f"the components of {quantity}")
    symmetry = TENSORS[quantity].index_symmetry
    if symmetry is IndexSymmetry.SYMMETRIC:
        return mandel_to_symmetric(values)
    if symmetry is IndexSymmetry.PIEZOELECTRIC:
        return mandel_to_piezo(values.reshape(*values.shape[:-1], 3, 6))
    mandel = np.zeros((*values.shape[:-1], 6, 6))
    mandel[..., _UPPER[0], _UPPER[1]] = values / _UPPER_WEIGHT
    mandel[..., _UPPER[1], _UPPER[0]] = values / _UPPER_WEIGHT
    return mandel_to_stiffness_voigt(mandel)


def to_printed(quantity: Tensor, tensor: ArrayLike) -> Floats:
    """The matrix in which people write a tensor: 3x3, or 3x6 and 6x6 in Voigt form.

    Args:
        quantity: which tensor it is.
        tensor: in its stored shape, [..., *TENSORS[quantity].shape], in its unit.

    Returns:
        Shape [..., 3, 3], [..., 3, 6] or [..., 6, 6], same unit.
    """
    if TENSORS[quantity].index_symmetry is IndexSymmetry.PIEZOELECTRIC:
        return piezo_to_voigt(tensor)
    return _checked(tensor, TENSORS[quantity].shape, f"a tensor {quantity}")


def from_printed(quantity: Tensor, matrix: ArrayLike) -> Floats:
    """Inverse of `to_printed`."""
    if TENSORS[quantity].index_symmetry is IndexSymmetry.PIEZOELECTRIC:
        return voigt_to_piezo(matrix)
    return _checked(matrix, TENSORS[quantity].shape, f"a tensor {quantity}")
