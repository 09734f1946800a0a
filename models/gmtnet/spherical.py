"""Spherical harmonics to l = 4, Wigner 3j symbols and products of irreps, number for number as e3nn computes them.

e3nn imports a computer algebra system and torch's compiler, which take as long as torch itself; every worker and every
`gmtscreen predict` would pay. The published layers (published.py) still use e3nn's tensor products, and tests compare
everything here with e3nn.

Source: M. Geiger and T. Smidt, arXiv:2207.09453 (e3nn 0.6).
"""

import re
from fractions import Fraction
from functools import cache
from math import factorial, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor as TorchTensor

Floats = NDArray[np.float64]

_IRREP = re.compile(r"(?:(\d+)x)?(\d+[eo])")
_HIGHEST_DEGREE = 4


def read_irreps(text: str) -> dict[str, int]:
    """{"0e": 32, "1o": 16} of "32x0e+16x1o"."""
    channels: dict[str, int] = {}
    for part in text.split("+"):
        match = _IRREP.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part!r} is no irrep: write for example 16x1o")
        channels[match[2]] = channels.get(match[2], 0) + int(match[1] or 1)
    return channels


def degree_of(irrep: str) -> int:
    """Degree l of an irrep such as "2e"."""
    return int(irrep[:-1])


def irreps_in_product(a: str, b: str) -> list[str]:
    """Irreps in a ⊗ b, by ascending degree."""
    parity = "e" if a[-1] == b[-1] else "o"
    degrees = range(abs(degree_of(a) - degree_of(b)), degree_of(a) + degree_of(b) + 1)
    return [f"{degree}{parity}" for degree in degrees]


def spherical_harmonics(l_max: int, vectors: TorchTensor) -> TorchTensor:
    """Real spherical harmonics of directions, of all degrees up to `l_max`, each of norm sqrt(2l + 1).

    Args:
        l_max: highest degree, at most 4.
        vectors: of any length, [n, 3].

    Returns:
        Polar axis y, m from -l to l, [n, (l_max + 1)²].

    Raises:
        ValueError: `l_max` is too high.
    """
    if l_max > _HIGHEST_DEGREE:
        raise ValueError(f"spherical harmonics are written out to l = {_HIGHEST_DEGREE}, not to {l_max}")
    x, y, z = torch.nn.functional.normalize(vectors, dim=-1).unbind(-1)
    rows = [torch.ones_like(x), sqrt(3) * x, sqrt(3) * y, sqrt(3) * z]
    if l_max >= 2:
        rows += _degree_2(x, y, z)
    if l_max >= 3:
        rows += _degree_3(x, y, z, rows[4:])
    if l_max >= 4:
        rows += _degree_4(x, y, z, rows[9:])
    return torch.stack(rows[: (l_max + 1) ** 2], dim=-1)


def _degree_2(x: TorchTensor, y: TorchTensor, z: TorchTensor) -> list[TorchTensor]:
    x2z2 = x.pow(2) + z.pow(2)
    return [
        sqrt(15) * x * z,
        sqrt(15) * x * y,
        sqrt(5) * (y.pow(2) - (1 / 2) * x2z2),
        sqrt(15) * y * z,
        (1 / 2) * sqrt(15) * (z.pow(2) - x.pow(2)),
    ]


def _degree_3(x: TorchTensor, y: TorchTensor, z: TorchTensor, d: list[TorchTensor]) -> list[TorchTensor]:
    """From the five of degree 2."""
    y2, x2z2 = y.pow(2), x.pow(2) + z.pow(2)
    return [
        (1 / 6) * sqrt(42) * (d[0] * z + d[4] * x),
        sqrt(7) * d[0] * y,
        (1 / 8) * sqrt(168) * (4.0 * y2 - x2z2) * x,
        (1 / 2) * sqrt(7) * y * (2.0 * y2 - 3.0 * x2z2),
        (1 / 8) * sqrt(168) * z * (4.0 * y2 - x2z2),
        sqrt(7) * d[4] * y,
        (1 / 6) * sqrt(42) * (d[4] * z - d[0] * x),
    ]


def _degree_4(x: TorchTensor, y: TorchTensor, z: TorchTensor, d: list[TorchTensor]) -> list[TorchTensor]:
    """From the seven of degree 3."""
    return [
        (3 / 4) * sqrt(2) * (d[0] * z + d[6] * x),
        (3 / 4) * d[0] * y + (3 / 8) * sqrt(6) * d[1] * z + (3 / 8) * sqrt(6) * d[5] * x,
        -3 / 56 * sqrt(14) * d[0] * z
        + (3 / 14) * sqrt(21) * d[1] * y
        + (3 / 56) * sqrt(210) * d[2] * z
        + (3 / 56) * sqrt(210) * d[4] * x
        + (3 / 56) * sqrt(14) * d[6] * x,
        -3 / 56 * sqrt(42) * d[1] * z
        + (3 / 28) * sqrt(105) * d[2] * y
        + (3 / 28) * sqrt(70) * d[3] * x
        + (3 / 56) * sqrt(42) * d[5] * x,
        -3 / 28 * sqrt(42) * d[2] * x + (3 / 7) * sqrt(7) * d[3] * y - 3 / 28 * sqrt(42) * d[4] * z,
        -3 / 56 * sqrt(42) * d[1] * x
        + (3 / 28) * sqrt(70) * d[3] * z
        + (3 / 28) * sqrt(105) * d[4] * y
        - 3 / 56 * sqrt(42) * d[5] * z,
        -3 / 56 * sqrt(14) * d[0] * x
        - 3 / 56 * sqrt(210) * d[2] * x
        + (3 / 56) * sqrt(210) * d[4] * z
        + (3 / 14) * sqrt(21) * d[5] * y
        - 3 / 56 * sqrt(14) * d[6] * z,
        -3 / 8 * sqrt(6) * d[1] * x + (3 / 8) * sqrt(6) * d[5] * z + (3 / 4) * d[6] * y,
        (3 / 4) * sqrt(2) * (-d[0] * x + d[6] * z),
    ]


@cache
def wigner_3j(l1: int, l2: int, l3: int) -> TorchTensor:
    """The invariant coupling of three real irreps, of norm 1, float64.

    Args:
        l1: degree of the first irrep, from |l2 - l3| to l2 + l3,
        l2: of the second,
        l3: of the third.

    Returns:
        [2 l1 + 1, 2 l2 + 1, 2 l3 + 1]; shared between calls, so do not change it.
    """
    complex_basis = _clebsch_gordan(l1, l2, l3).to(torch.complex128)
    bases = _complex_of_real(l1), _complex_of_real(l2), torch.conj(_complex_of_real(l3).T)
    symbol = torch.einsum("ij,kl,mn,ikn->jlm", *bases, complex_basis).real
    normalized: TorchTensor = symbol / torch.linalg.vector_norm(symbol)
    return normalized


@cache
def _complex_of_real(degree: int) -> TorchTensor:
    """Complex spherical harmonics in terms of real ones, times (-i)^l, which makes couplings real."""
    basis = np.zeros((2 * degree + 1, 2 * degree + 1), dtype=np.complex128)
    basis[degree, degree] = 1
    for m in range(1, degree + 1):
        plus, minus = degree + m, degree - m
        basis[minus, plus], basis[minus, minus] = 1 / 2**0.5, -1j / 2**0.5
        basis[plus, plus], basis[plus, minus] = (-1) ** m / 2**0.5, 1j * (-1) ** m / 2**0.5
    return torch.from_numpy((-1j) ** degree * basis)


def _clebsch_gordan(l1: int, l2: int, l3: int) -> TorchTensor:
    """Clebsch-Gordan coefficients <l1 m1 l2 m2 | l3 m1+m2>, [2 l1 + 1, 2 l2 + 1, 2 l3 + 1]."""
    coefficients = torch.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1), dtype=torch.float64)
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -l3 - m1), min(l2, l3 - m1) + 1):
            coefficients[l1 + m1, l2 + m2, l3 + m1 + m2] = _coefficient((l1, m1), (l2, m2), (l3, m1 + m2))
    return coefficients


def _coefficient(first: tuple[int, int], second: tuple[int, int], third: tuple[int, int]) -> float:
    """Racah's formula, exact but for the last square root."""
    f = factorial
    (j1, m1), (j2, m2), (j3, m3) = first, second, third
    triangle = f(j3 + j1 - j2) * f(j3 - j1 + j2) * f(j1 + j2 - j3) * f(j3 + m3) * f(j3 - m3)
    others = f(j1 + j2 + j3 + 1) * f(j1 - m1) * f(j1 + m1) * f(j2 - m2) * f(j2 + m2)
    total = Fraction(0)
    for v in range(max(-j1 + j2 + m3, -j1 + m1, 0), min(j2 + j3 + m1, j3 - j1 + j2, j3 + m3) + 1):
        numerator = (-1) ** (v + j2 + m2) * f(j2 + j3 + m1 - v) * f(j1 - m1 + v)
        total += Fraction(numerator, f(v) * f(j3 - j1 + j2 - v) * f(j3 + m3 - v) * f(v + j1 - j2 - m3))
    return float(((2.0 * j3 + 1.0) * Fraction(triangle, others)) ** 0.5 * total)


def _rotation_points() -> tuple[Floats, Floats]:
    """Directions on a spiral over half of a sphere, [12, 3], and pseudo-inverses of each degree's harmonics there."""
    height = (np.arange(12) + 0.5) / 12
    angle = np.pi * (3.0 - 5.0**0.5) * np.arange(12)
    radius = np.sqrt(1.0 - height**2)
    directions = np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
    values = spherical_harmonics(_HIGHEST_DEGREE, torch.tensor(directions)).numpy()
    blocks = [np.linalg.pinv(values[:, degree**2 : (degree + 1) ** 2]).T for degree in range(_HIGHEST_DEGREE + 1)]
    return directions, np.ascontiguousarray(np.concatenate(blocks, axis=1))


ROTATION_POINTS = _rotation_points()
"""Directions [12, 3] and pseudo-inverses of the harmonics there, [12, 25]: a rotation's matrices are the harmonics of
the rotated directions times these."""


def rotation_matrices(rotations: TorchTensor) -> TorchTensor:
    """Matrices of l = 1 to 4 that rotate components, as `models.tensors.irreps.wigner_matrices`, flat, then det R.

    Args:
        rotations: orthogonal, [n, 3, 3].

    Returns:
        [n, 165].
    """
    directions, inverses = _constants(rotations.device, rotations.dtype)
    points = (directions @ rotations.transpose(1, 2)).flatten(0, 1)
    values = spherical_harmonics(_HIGHEST_DEGREE, points).view(len(rotations), len(directions), -1).transpose(1, 2)
    blocks = [slice(degree**2, (degree + 1) ** 2) for degree in range(1, _HIGHEST_DEGREE + 1)]
    flat = [(values[:, block] @ inverses[:, block]).flatten(1) for block in blocks]
    x, y, z = rotations.unbind(1)
    return torch.cat([*flat, (torch.linalg.cross(x, y) * z).sum(dim=1, keepdim=True)], dim=1)


@cache
def _constants(device: torch.device, dtype: torch.dtype) -> tuple[TorchTensor, TorchTensor]:
    """ROTATION_POINTS on a device."""
    directions, inverses = ROTATION_POINTS
    with torch.inference_mode(mode=False):  # kept, so whoever comes first must not decide what they are good for
        return torch.tensor(directions, device=device, dtype=dtype), torch.tensor(inverses, device=device, dtype=dtype)
