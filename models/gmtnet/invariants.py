"""Invariants of predicted tensors, differentiable: the labels of crystals without a computed tensor.

All take independent orthonormal components (models/tensors/voigt.py): their Euclidean norm is the Frobenius norm.
"""

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor as TorchTensor

from models.quantities import TENSORS, IndexSymmetry, Tensor
from models.tensors.irreps import change_of_basis
from models.tensors.voigt import from_components, stiffness_voigt_to_mandel, symmetric_to_mandel

Floats = NDArray[np.float64]

VOIGT_MODULI: Floats = change_of_basis(Tensor.ELASTIC)[:2] / np.array([[3.0], [2.0 * 5.0**0.5]])
"""Rows that give K_V and G_V in GPa from the 21 orthonormal components of a stiffness, [2, 21]: its scalar irreps."""

_SOFTEST_GPA = 0.5  # compliances of softer predictions are not differentiated


def symmetric_matrix(components: TorchTensor) -> TorchTensor:
    """Matrices [n, 3, 3] from the six orthonormal components (11, 22, 33, √2·23, √2·13, √2·12) [n, 6]."""
    half = components[:, 3:] * 0.5**0.5
    xx, yy, zz = components[:, 0], components[:, 1], components[:, 2]
    yz, xz, xy = half[:, 0], half[:, 1], half[:, 2]
    return torch.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], dim=1).reshape(-1, 3, 3)


def mandel_rows(quantity: Tensor) -> Floats:
    """Orthonormal rows that turn components into a flat symmetric matrix: 3x3, or 6x6 in Mandel form for a stiffness.

    The Mandel matrix of a stiffness rotates with orthogonal matrices, and so do its exponential and its inverse.
    """
    matrices = from_components(quantity, np.eye(TENSORS[quantity].n_components))
    if TENSORS[quantity].index_symmetry is IndexSymmetry.STIFFNESS:
        matrices = stiffness_voigt_to_mandel(matrices)
    rows: Floats = matrices.reshape(len(matrices), -1)
    return rows


def elastic_invariants(components: TorchTensor) -> TorchTensor:
    """Rotation invariants of stiffnesses in the order of ELASTIC_INVARIANTS, [n, 12] from [n, 21] in GPa.

    Extremes are taken over fixed directions a few degrees apart, which is closer than DFT is to the truth. Stiffnesses
    with an eigenvalue below 0.5 GPa give constants: their compliances mean nothing.
    """
    rows, moduli, along, across = (torch.as_tensor(x).to(components) for x in _elastic_constants())
    stiffness = (components @ rows).view(-1, 6, 6)
    # soft and indefinite predictions keep a constant compliance: its gradient would lead the loss
    stiff = torch.linalg.eigvalsh(stiffness.detach())[:, 0] > _SOFTEST_GPA
    identity = torch.eye(6).to(components).expand_as(stiffness)
    compliance = torch.linalg.inv(torch.where(stiff[:, None, None], stiffness, identity))
    voigt = components @ moduli.T
    inverse = (compliance.flatten(1) @ rows.T) @ moduli.T
    reuss = 1.0 / (inverse * inverse.new_tensor([9.0, 4.0]))  # J::S = 1 / 3K, K::S = 5 / 2G for the isotropic part
    young = 1.0 / torch.einsum("da,nab,db->nd", along, compliance, along)
    shear = 0.5 / torch.einsum("da,nab,db->nd", across, compliance, across)
    linear = 1e3 * torch.einsum("da,na->nd", along, compliance[:, :, :3].sum(dim=2))
    hill = 0.5 * (voigt + reuss)
    return torch.stack(
        [
            voigt[:, 0], reuss[:, 0], hill[:, 0], voigt[:, 1], reuss[:, 1], hill[:, 1],
            young.amin(1), young.amax(1), shear.amin(1), shear.amax(1), linear.amin(1), linear.amax(1),
        ],
        dim=1,
    )  # fmt: skip


def largest_singular_value(components: TorchTensor, to_voigt: TorchTensor) -> TorchTensor:
    """Largest singular value of the 3x6 Voigt matrix of e in given axes, C/m², [n].

    Args:
        components: of e, [n, 18].
        to_voigt: per crystal the map from components to that matrix in its IEEE frame, [n, 18, 18].
    """
    matrices = torch.bmm(to_voigt, components[:, :, None]).view(-1, 3, 6)
    squares = torch.linalg.eigvalsh(matrices @ matrices.transpose(1, 2))[:, -1]
    values: TorchTensor = (squares + 1e-8).sqrt()
    return values


@cache
def _elastic_constants() -> tuple[Floats, Floats, Floats, Floats]:
    """Mandel rows, Voigt functionals, and Mandel vectors of n⊗n and √2 sym(n⊗m) over directions."""
    directions = _directions(200)
    along = symmetric_to_mandel(np.einsum("di,dj->dij", directions, directions))
    pairs = []
    for axis in _directions(60):
        # any vector normal to the axis; the least aligned cell axis gives one of good length
        first = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
        first /= np.linalg.norm(first)
        for angle in np.arange(8) * np.pi / 8:
            normal = np.cos(angle) * first + np.sin(angle) * np.cross(axis, first)
            pairs.append((np.outer(axis, normal) + np.outer(normal, axis)) / 2**0.5)
    return mandel_rows(Tensor.ELASTIC), VOIGT_MODULI, along, symmetric_to_mandel(np.array(pairs))


def _directions(n: int) -> Floats:
    """The cube's axes and diagonals, then a Fibonacci spiral over half a sphere; unit vectors [n + 13, 3]."""
    cube = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, -1, 0], [1, 0, -1],
                     [0, 1, -1], [1, 1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]], dtype=np.float64)  # fmt: skip
    height = (np.arange(n) + 0.5) / n
    angle = np.pi * (3.0 - 5.0**0.5) * np.arange(n)
    radius = np.sqrt(1.0 - height**2)
    spiral = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
    vectors: Floats = np.concatenate([cube / np.linalg.norm(cube, axis=1, keepdims=True), spiral])
    return vectors
