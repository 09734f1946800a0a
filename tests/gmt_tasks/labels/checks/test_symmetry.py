"""Residuals of labels, what they prove, and the names of the mistakes behind large ones."""

from typing import Any

import numpy as np
import pytest

from gmt_tasks.labels.checks.symmetry import diagnose, evidence, principal_residuals
from gmt_tasks.labels.kinds import TENSOR_VALUES
from gmt_tasks.labels.label_kind import MAX_RESIDUAL
from gmt_tasks.labels.reasons import LabelReason
from models.crystals.crystal import CrystalBatch
from models.quantities import Tensor
from models.reference.crystals import CRYSTAL_CLASSES, random_crystal, random_orthogonal
from models.symmetry.search import SymmetryBatch, find_symmetry
from models.tensors.frames import ieee_rotation, oriented_point_group
from models.tensors.rotate import rotate
from tests.gmt_tasks.labels.planted_faults import NOT_PIEZOELECTRIC, Row, good_rows, rotated, wrong_voigt_order

QUANTITY = {"elastic_stiffness": Tensor.ELASTIC, "piezo_e_total": Tensor.PIEZOELECTRIC}
KEY = {"elastic_stiffness": "tensor_voigt", "piezo_e_total": "tensor"}


def symmetry_of(row: Row) -> tuple[SymmetryBatch, Any]:
    lattice = np.array(row["lattice"])
    batch = CrystalBatch.from_arrays([lattice], [np.array(row["frac_coords"])], [np.array(row["species"])])
    return find_symmetry(batch), lattice


def why(row: Row, tensor: Any) -> tuple[LabelReason, str]:
    symmetry, lattice = symmetry_of(row)
    return diagnose(TENSOR_VALUES[QUANTITY[row["kind"]]], tensor, symmetry, lattice)


@pytest.mark.parametrize("kind", QUANTITY)
def test_right_labels_have_no_residual_and_a_wrong_order_or_frame_would_show(kind: str) -> None:
    for row in good_rows(10, kind=kind):
        symmetry, _ = symmetry_of(row)
        shown = evidence(TENSOR_VALUES[QUANTITY[kind]], np.array([row[KEY[kind]]]), symmetry)
        assert shown.residual[0] < 1e-6
        assert shown.order[0] and shown.frame[0]


@pytest.mark.parametrize("kind", QUANTITY)
def test_each_mistake_gets_its_name(kind: str) -> None:
    rows = good_rows(10, kind=kind)
    for good, reordered, misaligned in zip(rows, wrong_voigt_order(rows), rotated(rows), strict=True):
        assert why(good, np.array(reordered[KEY[kind]]))[0] is LabelReason.VOIGT_ORDER
        assert why(good, np.array(misaligned[KEY[kind]]))[0] is LabelReason.FRAME


@pytest.mark.parametrize("kind", QUANTITY)
def test_a_tensor_in_the_ieee_frame_is_named_so(kind: str) -> None:
    named = 0
    for row in good_rows(10, kind=kind):
        symmetry, _ = symmetry_of(row)
        frame = ieee_rotation(symmetry.conventional[0].T, oriented_point_group(int(symmetry.number[0])))
        reason, detail = why(row, rotate(QUANTITY[kind], np.array(row[KEY[kind]]), frame))
        assert reason is LabelReason.FRAME
        named += "the IEEE frame" in detail
    assert named == 10


def test_a_tensor_of_the_conventional_cell_is_named_so() -> None:
    # rhombohedral crystals: the conventional cell's a along x is not an axis of the primitive cell
    rng = np.random.default_rng(3)
    reasons = set()
    for row in good_rows(10):
        symmetry, _ = symmetry_of(row)
        cell = symmetry.conventional[0].T @ random_orthogonal(rng)
        x, z = cell[0], np.cross(cell[0], cell[1])
        frame = np.stack([v / np.linalg.norm(v) for v in (x, np.cross(z, x), z)])
        of_crystal = frame @ np.linalg.solve(symmetry.conventional[0].T, cell).T
        reasons.add(why(row, rotate(Tensor.ELASTIC, np.array(row["tensor_voigt"]), of_crystal))[0])
    assert reasons <= {LabelReason.CELL_SETTING, LabelReason.FRAME}


def test_a_factor_on_the_shear_columns_is_a_factor_of_units() -> None:
    named = set()
    for row in good_rows(10, kind="piezo_e_total", seed=2):
        voigt = np.array(row["tensor"])
        doubled = voigt * (2.0 - np.eye(3))  # entries with j = k stay
        symmetry, lattice = symmetry_of(row)
        if evidence(TENSOR_VALUES[Tensor.PIEZOELECTRIC], doubled[None], symmetry).residual[0] > MAX_RESIDUAL:
            reason, detail = diagnose(TENSOR_VALUES[Tensor.PIEZOELECTRIC], doubled, symmetry, lattice)
            named.add((reason, "factor 2" in detail))
    assert named == {(LabelReason.UNIT_FACTOR, True)}


def test_a_tensor_of_another_crystal_has_no_known_mistake() -> None:
    rows = good_rows(10)
    for row, other in zip(rows, rows[4:] + rows[:4], strict=True):
        symmetry, _ = symmetry_of(row)
        tensor = np.array(other["tensor_voigt"]) + np.diag([0.0, 120.0, -60.0, 40.0, 0.0, 90.0])
        if evidence(TENSOR_VALUES[Tensor.ELASTIC], tensor[None], symmetry).residual[0] > MAX_RESIDUAL:
            assert why(row, tensor)[0] is LabelReason.SYMMETRY_MISFIT


def test_isotropic_tensors_and_triclinic_crystals_prove_nothing() -> None:
    isotropic = 40.0 * np.eye(6) + 60.0 * np.pad(np.ones((3, 3)), (0, 3))
    isotropic[3:, 3:] /= 2
    row = good_rows(1)[0]
    assert not evidence(TENSOR_VALUES[Tensor.ELASTIC], isotropic[None], symmetry_of(row)[0]).frame[0]
    crystal = random_crystal("1", np.random.default_rng(0)).as_batch()
    any_tensor = np.array([good_rows(1)[0]["tensor_voigt"]])
    shown = evidence(TENSOR_VALUES[Tensor.ELASTIC], any_tensor, find_symmetry(crystal))
    assert (shown.residual[0], shown.order[0], shown.frame[0]) == (0.0, False, False)


@pytest.mark.parametrize("crystal_class", ["mmm", "m-3m"])
def test_no_order_of_the_shear_entries_disobeys_cubic_and_orthorhombic_symmetry(crystal_class: str) -> None:
    batch = random_crystal(crystal_class, np.random.default_rng(1)).as_batch()
    symmetry = find_symmetry(batch)
    stiffness = symmetry.project(Tensor.ELASTIC, np.array([good_rows(1)[0]["tensor_voigt"]]))
    frame = ieee_rotation(symmetry.conventional[0].T, oriented_point_group(int(symmetry.number[0])))
    along_axes = SymmetryBatch(
        symmetry.number,
        symmetry.hall_number,
        frame @ symmetry.conventional,
        symmetry.origin @ frame.T,
        frame @ symmetry.rotations @ frame.T,
        symmetry.crystal_of_op,
        symmetry.symprec,
    )
    shown = evidence(TENSOR_VALUES[Tensor.ELASTIC], rotate(Tensor.ELASTIC, stiffness, frame), along_axes)
    assert shown.residual[0] < 1e-6
    assert not shown.order[0]


def test_a_response_that_the_class_forbids_is_named() -> None:
    batch = random_crystal("m-3m", np.random.default_rng(1)).as_batch()
    reason, detail = diagnose(
        TENSOR_VALUES[Tensor.PIEZOELECTRIC], np.ones((3, 3, 3)), find_symmetry(batch), batch.lattice[0]
    )
    assert reason is LabelReason.FORBIDDEN
    assert "m-3m" in detail
    assert set(NOT_PIEZOELECTRIC).isdisjoint({"m-3m"})


def test_principal_values_must_be_degenerate_as_the_class_demands() -> None:
    rng = np.random.default_rng(0)
    classes = ("m-3m", "6mm", "mmm")
    symmetry = find_symmetry(CrystalBatch.join(random_crystal(c, rng).as_batch() for c in classes))
    assert set(classes) <= set(CRYSTAL_CLASSES)
    allowed = np.array([[5.0, 5.0, 5.0], [5.0, 7.0, 5.0], [5.0, 6.0, 7.0]])
    assert principal_residuals(allowed, symmetry).tolist() == [0.0, 0.0, 0.0]
    broken = principal_residuals(np.array([[4.0, 5.0, 6.0]] * 3), symmetry)
    assert (broken[:2] > 0.05).all()
    assert broken[2] == 0.0
