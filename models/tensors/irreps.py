"""The constant change of basis between independent tensor components and irreps of O(3).

Networks give irreps, the database holds tensors; one orthogonal matrix per quantity turns one into the other. It is
built once from harmonic polynomials, exactly.

Order, sign and polar axis are e3nn's: l = 1 is (x, y, z), the polar axis is y, m runs from -l to l with
Im (z + ix)^|m| for m < 0 and Re (z + ix)^m for m > 0, no Condon-Shortley phase.

Copies of the same irrep differ by what they mean:

* piezoelectric, 1o: the first is the hydrostatic response e_ijj / sqrt(3), the second is orthogonal to it;
* elastic, 0e: the first is 3 K_Voigt, the second 2 sqrt(5) G_Voigt, both in GPa;
* elastic, 2e: the first couples volume and shear (delta_ij h_kl + h_ij delta_kl), the second is purely deviatoric.

Source: M. Geiger and T. Smidt, arXiv:2207.09453 (e3nn); S. Forte and M. Vianello, J. Elast. 43, 81 (1996).
"""

from functools import cache, reduce
from itertools import permutations

import numpy as np
from numpy.polynomial import Legendre, Polynomial
from numpy.typing import NDArray

from models.quantities import TENSORS, IndexSymmetry, Tensor
from models.tensors.voigt import Floats, from_components, stiffness_to_voigt, to_components

_DELTA = np.eye(3)
_LEVI_CIVITA = np.zeros((3, 3, 3))
_LEVI_CIVITA[[0, 1, 2], [1, 2, 0], [2, 0, 1]] = 1.0
_LEVI_CIVITA[[0, 2, 1], [2, 1, 0], [1, 0, 2]] = -1.0

_POLAR = np.array([0.0, 1.0, 0.0], dtype=np.complex128)  # y
_AZIMUTH = np.array([1.0j, 0.0, 1.0], dtype=np.complex128)  # z + ix
_SQUARE = _DELTA.astype(np.complex128)  # r^2

Complex = NDArray[np.complex128]


def _solid_harmonic(degree: int, order: int) -> Complex:
    """Symmetric traceless tensor of (z + ix)^m r^(l - m) P_l^(m)(y / r); P_l^(m) is the m-th derivative, m >= 0."""
    legendre = Legendre.basis(degree).convert(kind=Polynomial).deriv(order)
    # a polynomial does not know the order of its factors: its tensor is the mean over all orders of the indices
    orders = list(permutations(range(degree)))
    total = np.zeros((3,) * degree, dtype=np.complex128)
    for power, coefficient in enumerate(legendre.coef):
        if coefficient != 0.0:
            factors = [_AZIMUTH] * order + [_POLAR] * power + [_SQUARE] * ((degree - order - power) // 2)
            product: Complex = reduce(np.multiply.outer, factors, np.ones((), dtype=np.complex128))
            mean = np.asarray(sum(np.transpose(product, axes) for axes in orders) / len(orders), dtype=np.complex128)
            total = total + coefficient * mean
    return total


@cache
def harmonic_tensors(degree: int) -> Floats:
    """Orthonormal symmetric traceless tensors of degree l in e3nn's order.

    Args:
        degree: l, 0 to 4 in practice (the cost grows as l!).

    Returns:
        T_lm with m = -l ... l, shape [2l + 1, 3, ..., 3] (l Cartesian axes); read-only.
    """
    harmonics = [(m, _solid_harmonic(degree, abs(m))) for m in range(-degree, degree + 1)]
    rows = [harmonic.imag if m < 0 else harmonic.real for m, harmonic in harmonics]
    tensors = np.stack([row / np.linalg.norm(row) for row in rows])
    tensors.flags.writeable = False
    return tensors


def _copies(symmetry: IndexSymmetry) -> list[list[Floats]]:
    """For each kind of irrep its copies, each a basis of Cartesian tensors: [2l + 1, 3, ..., 3]."""
    vector, matrix = harmonic_tensors(1), harmonic_tensors(2)
    if symmetry is IndexSymmetry.SYMMETRIC:
        return [[_DELTA[None]], [matrix]]
    if symmetry is IndexSymmetry.PIEZOELECTRIC:
        hydrostatic = np.einsum("mi,jk->mijk", vector, _DELTA)
        shear = np.einsum("mj,ik->mijk", vector, _DELTA) + np.einsum("mk,ij->mijk", vector, _DELTA)
        # The antisymmetric symbol is invariant only up to det R: that sign makes the second-degree part odd (2o).
        twist = np.einsum("ija,mak->mijk", _LEVI_CIVITA, matrix) + np.einsum("ika,maj->mijk", _LEVI_CIVITA, matrix)
        return [[hydrostatic, shear], [twist], [harmonic_tensors(3)]]
    volume = np.einsum("ij,kl->ijkl", _DELTA, _DELTA)
    identity = np.einsum("ik,jl->ijkl", _DELTA, _DELTA) + np.einsum("il,jk->ijkl", _DELTA, _DELTA)
    coupling = np.einsum("ij,mkl->mijkl", _DELTA, matrix) + np.einsum("mij,kl->mijkl", matrix, _DELTA)
    pairs = (("ik", "jl"), ("il", "jk"), ("jk", "il"), ("jl", "ik"))
    deviatoric = np.asarray(sum(np.einsum(f"{pair},m{rest}->mijkl", _DELTA, matrix) for pair, rest in pairs))
    return [[volume[None], identity[None]], [coupling, deviatoric], [harmonic_tensors(4)]]


def _orthonormal_rows(quantity: Tensor, copies: list[Floats]) -> list[Floats]:
    """Gram-Schmidt between copies of one irrep.

    By Schur's lemma the overlap of two copies is a multiple of the identity, so one number per pair makes them
    orthogonal for all m at once and equivariance is kept.
    """
    rows: list[Floats] = []
    for copy in copies:
        # a stiffness is stored as C_IJ
        stiffness = TENSORS[quantity].index_symmetry is IndexSymmetry.STIFFNESS
        row = to_components(quantity, stiffness_to_voigt(copy) if stiffness else copy)
        for earlier in rows:
            row = row - np.vdot(earlier, row) / len(row) * earlier
        rows.append(row * np.sqrt(len(row)) / np.linalg.norm(row))
    return rows


@cache
def change_of_basis(quantity: Tensor) -> Floats:
    """Orthogonal matrix Q that turns independent components into irreps: irreps = Q @ components.

    Args:
        quantity: which tensor.

    Returns:
        Q, shape [n_components, n_components], rows in the order of `TENSORS[quantity].irreps`, columns in the order
        of `to_components`; float64, dimensionless, read-only. The inverse is its transpose.
    """
    copies = _copies(TENSORS[quantity].index_symmetry)
    basis = np.concatenate([row for same in copies for row in _orthonormal_rows(quantity, same)])
    basis.flags.writeable = False
    return basis


def tensor_to_irreps(quantity: Tensor, tensor: Floats) -> Floats:
    """Tensor in its stored shape, [..., *shape], as irreps, shape [..., n_components], same unit and norm."""
    return to_components(quantity, tensor) @ change_of_basis(quantity).T


def irreps_to_tensor(quantity: Tensor, irreps: Floats) -> Floats:
    """Inverse of `tensor_to_irreps`: shape [..., n_components] -> [..., *shape]."""
    return from_components(quantity, np.asarray(irreps, dtype=np.float64) @ change_of_basis(quantity))


def wigner_matrices(degree: int, rotation: Floats) -> Floats:
    """Matrices that rotate the components of an irrep of natural parity (1o, 2e, 3o, 4e) under a rotation of space.

    Args:
        degree: l.
        rotation: orthogonal, proper or improper, shape [n, 3, 3].

    Returns:
        D with Y(R x) = D Y(x) for e3nn's harmonics, shape [n, 2l + 1, 2l + 1]. For an irrep of the other parity it is
        det(R) D.
    """
    harmonics = harmonic_tensors(degree)
    rotated = np.broadcast_to(harmonics, (len(rotation), *harmonics.shape)).reshape(len(rotation), len(harmonics), -1)
    for _ in range(degree):  # rotate the last index, then make it the first one
        parts = rotated.reshape(len(rotation), len(harmonics), -1, 3) @ np.swapaxes(rotation, -1, -2)[:, None]
        rotated = np.moveaxis(parts, -1, 2).reshape(len(rotation), len(harmonics), -1)
    matrices: Floats = np.einsum("ma,nka->nmk", harmonics.reshape(len(harmonics), -1), rotated)
    return matrices
