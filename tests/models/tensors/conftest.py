"""Rotations and tensors for the tensor tests, made without the code under test."""

import numpy as np
import pytest
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240612)


@pytest.fixture
def rotations(rng: np.random.Generator) -> Floats:
    """Orthogonal matrices, proper and improper in turn, shape [40, 3, 3]."""
    q, r = np.linalg.qr(rng.normal(size=(40, 3, 3)))
    q *= np.sign(np.einsum("nii->ni", r))[:, None, :]
    wanted = np.where(np.arange(40) % 2, -1.0, 1.0)
    q[:, :, 0] *= (wanted * np.linalg.det(q))[:, None]
    return q


@pytest.fixture
def stiffness(rng: np.random.Generator) -> Floats:
    """C_ijkl with all index symmetries, shape [40, 3, 3, 3, 3]."""
    full = rng.normal(size=(40, 3, 3, 3, 3))
    full = full + full.transpose(0, 2, 1, 3, 4)
    full = full + full.transpose(0, 1, 2, 4, 3)
    return np.asarray(full + full.transpose(0, 3, 4, 1, 2))


@pytest.fixture
def piezo(rng: np.random.Generator) -> Floats:
    """e_ijk symmetric in j and k, shape [40, 3, 3, 3]."""
    full = rng.normal(size=(40, 3, 3, 3))
    return np.asarray(full + full.transpose(0, 1, 3, 2))


@pytest.fixture
def dielectric(rng: np.random.Generator) -> Floats:
    """Symmetric eps_ij, shape [40, 3, 3]."""
    full = rng.normal(size=(40, 3, 3))
    return np.asarray(full + full.transpose(0, 2, 1))
