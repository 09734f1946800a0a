"""Optical class and sign of predictions: the class is that of the point group in all 32, never a coincidence."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmt_tasks.screening.derive import derived_columns
from gmt_tasks.sources.open import open_source
from models.crystals.crystal import CrystalBatch, Floats
from models.derived.thermal import Densities
from models.quantities import Tensor
from models.reference.crystals import CRYSTAL_CLASSES, class_operations
from models.symmetry.search import SymmetryBatch, find_symmetry
from models.testing.contract import crystals_of_all_classes

CLASSIFIED = crystals_of_all_classes(seed=9).crystals
SYMMETRY = find_symmetry(CLASSIFIED)
SYSTEMS = np.array(
    ["triclinic"] * 2 + ["monoclinic"] * 3 + ["orthorhombic"] * 3 + ["tetragonal"] * 7 + ["trigonal"] * 5
    + ["hexagonal"] * 7 + ["cubic"] * 5
)  # fmt: skip
CLASS_OF = dict.fromkeys(["tetragonal", "trigonal", "hexagonal"], "uniaxial") | {"cubic": "isotropic"}


def random_tensors(seed: int, n: int) -> Floats:
    """Positive definite symmetric tensors of no symmetry, [n, 3, 3]."""
    factors = np.random.default_rng(seed).normal(size=(n, 3, 3))
    return np.asarray(2 * np.eye(3) + factors @ factors.swapaxes(1, 2))


def optics(eps: Floats, symmetry: SymmetryBatch) -> tuple[Sequence[str], Sequence[str]]:
    columns = derived_columns({Tensor.DIELECTRIC_ELECTRONIC: eps}, symmetry, Densities(*np.ones((2, len(eps)))))
    return columns["optical_class"].tolist(), columns["optic_sign"].tolist()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_class_and_sign_of_random_tensors_in_all_32_classes(seed: int) -> None:
    eps = SYMMETRY.project(Tensor.DIELECTRIC_ELECTRONIC, random_tensors(seed, 32))
    classes, signs = optics(eps, SYMMETRY)
    assert classes == [CLASS_OF.get(system, "biaxial") for system in SYSTEMS]
    for k, symbol in enumerate(CRYSTAL_CLASSES):
        if classes[k] == "isotropic":
            assert signs[k] == ""
        elif classes[k] == "uniaxial":
            # the optic axis is the axis of the rotation of order 3, 4 or 6, found without the tensor
            basis = CLASSIFIED.lattice[k].T
            rotations = basis @ class_operations(symbol) @ np.linalg.inv(basis)
            proper = rotations * np.linalg.det(rotations)[:, None, None]
            turned = proper[np.isin(np.round(np.trace(proper, axis1=1, axis2=2)), [0, 1, 2])][0]
            axis = np.array([turned[2, 1] - turned[1, 2], turned[0, 2] - turned[2, 0], turned[1, 0] - turned[0, 1]])
            axis /= np.linalg.norm(axis)
            extraordinary = axis @ eps[k] @ axis
            ordinary = (np.trace(eps[k]) - extraordinary) / 2
            assert signs[k] == ("+" if extraordinary > ordinary else "-")
        else:
            assert signs[k] in {"+", "-"}


def test_accidentally_equal_principal_values_change_no_class() -> None:
    orthorhombic = np.flatnonzero(SYSTEMS == "orthorhombic")
    symmetry = SYMMETRY.select(orthorhombic)
    for principal in ((5.0, 5.0, 9.0), (5.0, 5.0, 5.0)):
        assert optics(np.tile(np.diag(principal), (3, 1, 1)), symmetry)[0] == ["biaxial"] * 3
    # control: the values of these tensors alone would be those of a uniaxial and of an isotropic crystal
    tetragonal = SYMMETRY.select(np.flatnonzero(SYSTEMS == "tetragonal"))
    assert optics(np.tile(np.diag((5.0, 5.0, 5.0)), (7, 1, 1)), tetragonal)[0] == ["uniaxial"] * 7


def test_several_networks_stand_one_after_the_other() -> None:
    eps = random_tensors(3, 32)
    once, twice = optics(eps, SYMMETRY), optics(np.concatenate([eps, eps]), SYMMETRY)
    assert twice == (once[0] * 2, once[1] * 2)


@pytest.mark.parametrize("text", ["reference", "prototypes:n=60"])
def test_no_crystal_of_the_sources_has_a_class_that_its_space_group_forbids(text: str) -> None:
    crystals = CrystalBatch.join(block.crystals for block in open_source(text).blocks())
    symmetry = find_symmetry(crystals)
    # equal principal values for all: what differs comes from the symmetry alone
    classes = np.array(optics(np.tile(3 * np.eye(3), (crystals.n_crystals, 1, 1)), symmetry)[0])
    assert set(classes) == {"isotropic", "uniaxial", "biaxial"}
    assert (symmetry.number[classes == "isotropic"] >= 195).all()
    assert ((symmetry.number[classes == "uniaxial"] >= 75) & (symmetry.number[classes == "uniaxial"] < 195)).all()
    assert (symmetry.number[classes == "biaxial"] < 75).all()
