"""Labels are doubted for what they say themselves, and each reason is named."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gmt_tasks.evaluation.reliability.doubtful_labels import label_doubts
from models.quantities import ELASTIC_INVARIANTS, TENSORS, Tensor
from models.tensors.voigt import to_components
from models.testing.contract import textbook_crystals

TEXTBOOK = textbook_crystals()
N = TEXTBOOK.crystals.n_crystals


def labels(**arrays: Any) -> Any:
    """Labels of the textbook crystals; what is not given is unknown."""
    known = {
        "crystals": TEXTBOOK.crystals,
        "components": {q: np.full((N, row.n_components), np.nan) for q, row in TENSORS.items()},
        "elastic": np.full((N, len(ELASTIC_INVARIANTS)), np.nan),
        "eps_mean": np.full((N, 2), np.nan),
        "proven_frame": np.ones(N, dtype=bool),
    }
    return SimpleNamespace(**known | arrays)


def isotropic(bulk: float, shear: float) -> np.ndarray:
    """Stiffness of an isotropic solid in GPa, [6, 6]."""
    stiffness = np.diag([2 * shear] * 3 + [shear] * 3).astype(float)
    stiffness[:3, :3] += bulk - 2 * shear / 3
    return stiffness


@pytest.mark.parametrize(
    ("stiffness", "doubt"),
    [
        (isotropic(100.0, 60.0), ""),
        (isotropic(100.0, -5.0), "not positive definite: lowest eigenvalue -10 GPa"),
        (isotropic(100.0, 0.9), "nearly unstable: lowest eigenvalue 1.8 GPa"),
        (
            isotropic(100.0, 60.0) - np.diag([0, 0, 0, 58.0, 58.0, 58.0]),
            "nearly singular: G_Voigt 25 GPa, G_Reuss 3 GPa",
        ),
    ],
)
def test_a_stiffness_is_doubted_for_its_eigenvalues(stiffness: np.ndarray, doubt: str) -> None:
    given = labels()
    given.components[Tensor.ELASTIC][2] = to_components(Tensor.ELASTIC, stiffness[None])[0]
    doubts = label_doubts(given, np.arange(N), Tensor.ELASTIC)
    assert doubts.tolist() == [doubt if row == 2 else "" for row in range(N)]


@pytest.mark.parametrize(("other", "is_doubted"), [(105.0, False), (160.0, True), (60.0, True)])
def test_two_sources_of_one_crystal_that_contradict_each_other_are_doubted(other: float, is_doubted: bool) -> None:
    given = labels()
    given.components[Tensor.ELASTIC][:] = to_components(Tensor.ELASTIC, isotropic(100.0, 60.0)[None])
    given.elastic[3, ELASTIC_INVARIANTS.index("k_vrh")] = other
    doubts = label_doubts(given, np.arange(N), Tensor.ELASTIC)
    assert (doubts[3] == f"K is 100 GPa here and {other:.0f} GPa in another source") is is_doubted
    assert (doubts != "").sum() == is_doubted


def test_a_total_dielectric_tensor_below_the_electronic_one_is_doubted() -> None:
    given = labels()
    given.components[Tensor.DIELECTRIC_ELECTRONIC][:2] = to_components(
        Tensor.DIELECTRIC_ELECTRONIC, 4 * np.eye(3)[None]
    )
    given.components[Tensor.DIELECTRIC_TOTAL][0] = to_components(Tensor.DIELECTRIC_TOTAL, 3 * np.eye(3)[None])[0]
    given.components[Tensor.DIELECTRIC_TOTAL][1] = to_components(Tensor.DIELECTRIC_TOTAL, 9 * np.eye(3)[None])[0]
    doubts = label_doubts(given, np.arange(N), Tensor.DIELECTRIC_TOTAL)
    assert doubts[0] == "lowest constant 3 below the electronic one, 4"
    assert not any(doubts[1:])


def test_axes_that_nothing_proves_are_doubted_in_group_1_alone() -> None:
    given = labels(proven_frame=np.zeros(N, dtype=bool))
    given.components[Tensor.PIEZOELECTRIC][:] = 1.0
    doubts = label_doubts(given, np.arange(N), Tensor.PIEZOELECTRIC)
    assert {name for name, doubt in zip(TEXTBOOK.names, doubts, strict=True) if "group 1" in doubt} == {
        "triclinic GaNO"
    }
    assert not any(label_doubts(labels(), np.arange(N), Tensor.PIEZOELECTRIC))
