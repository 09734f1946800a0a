"""Tensors for the tests of derived numbers, made without the code under test."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7411)


@pytest.fixture
def stable(rng: np.random.Generator) -> Floats:
    """1,000 positive definite C_IJ of no symmetry in GPa, condition numbers up to some hundreds."""
    factors = rng.normal(size=(1000, 6, 6))
    return np.asarray(10.0 * factors @ np.swapaxes(factors, 1, 2) + 5.0 * np.eye(6))


@pytest.fixture
def piezo(rng: np.random.Generator) -> Floats:
    """1,000 tensors e_ijk in C/m^2, symmetric in j and k."""
    full = rng.normal(size=(1000, 3, 3, 3))
    return np.asarray(full + full.transpose(0, 1, 3, 2))


@pytest.fixture(scope="session")
def published() -> dict[str, Any]:
    """Measured tensors and what the literature prints beside them."""
    path = Path(__file__).parents[2] / "golden" / "derived_published.json"
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
