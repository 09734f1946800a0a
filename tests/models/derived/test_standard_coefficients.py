"""The largest coefficient that handbooks print: which ones are independent, invariance, published constants."""

from typing import Any

import numpy as np
import pytest

from models.derived.columns import derive_columns
from models.derived.piezoelectric import derive_piezoelectric
from models.derived.standard_coefficients import INDEPENDENT, IeeeFrames, derive_standard_coefficients
from models.derived.thermal import Densities
from models.quantities import Tensor
from models.reference.crystals import random_orthogonal
from models.tensors.positive_senses import SENSE_RULES
from models.tensors.rotate import rotate
from models.tensors.voigt import Floats, piezo_strain_to_voigt, voigt_to_piezo
from tests.models.derived.test_piezoelectric import _from_entries
from tests.models.tensors.test_positive_senses import admissible, allowed

IN_FRAME = np.eye(3)[None]


def published_tensors(published: dict[str, Any], name: str) -> tuple[Floats, Floats]:
    case = next(case for case in published["piezoelectric"] if case["name"] == name)
    e = voigt_to_piezo(_from_entries(case["e_c_per_m2"], 3))[None]
    return e, _from_entries(case["stiffness_gpa"], 6)[None]


def largest(e: Floats, c: Floats, rotation: Floats, point_group: str) -> tuple[float, str]:
    frames = IeeeFrames(rotation, np.array([point_group]))
    columns = derive_standard_coefficients(e, c, np.array([True]), frames)
    return float(columns["d_coefficient_max_pc_per_n"][0]), str(columns["d_coefficient_max_name"][0])


@pytest.mark.parametrize("point_group", SENSE_RULES)
def test_the_coefficients_of_a_class_determine_its_tensor_and_none_of_them_follows_from_others(
    point_group: str,
) -> None:
    samples = np.array([piezo_strain_to_voigt(allowed(point_group, seed)).ravel() for seed in range(20)])
    places = [6 * (int(name[1]) - 1) + int(name[2]) - 1 for name in INDEPENDENT[point_group]]
    dimension = np.linalg.matrix_rank(samples, tol=1e-3)
    assert np.linalg.matrix_rank(samples[:, places], tol=1e-3) == dimension == len(places)


@pytest.mark.parametrize("point_group", SENSE_RULES)
def test_the_senses_of_the_axes_do_not_matter(point_group: str) -> None:
    """Nor do axes that the class exchanges."""
    # an isotropic one, which obeys every class
    stiffness = (np.diag([100.0] * 3 + [50.0] * 3) + np.pad(np.full((3, 3), 20.0), (0, 3)))[None]
    e = allowed(point_group, 1)[None]
    sizes = [largest(e, stiffness, turn[None], point_group)[0] for turn in admissible(point_group)]
    assert np.allclose(sizes, sizes[0], rtol=1e-4) and sizes[0] > 0


@pytest.mark.parametrize(
    ("name", "point_group", "expected"), [("alpha-quartz", "32", (2.31, "d11")), ("ZnO", "6mm", (13.9, "d15"))]
)
def test_a_published_constant_comes_out_in_any_orientation(
    name: str, point_group: str, expected: tuple[float, str], published: dict[str, Any]
) -> None:
    e, c = published_tensors(published, name)
    rotation = random_orthogonal(np.random.default_rng(3))
    turned = rotate(Tensor.PIEZOELECTRIC, e, rotation), rotate(Tensor.ELASTIC, c, rotation)
    value, which = largest(*turned, rotation.T[None], point_group)
    assert (value, which) == (pytest.approx(expected[0], rel=0.01), expected[1])
    # negative control: in the axes of the cell as it lies the entries are others
    assert largest(*turned, IN_FRAME, point_group)[0] != pytest.approx(expected[0], rel=0.01)


def test_a_shear_coefficient_alone_counts_over_root_two_in_d_and_times_root_two_in_e() -> None:
    """What a reader of handbooks must know of `d_max_pc_per_n` and `e_max_c_per_m2`."""
    e15 = voigt_to_piezo(_from_entries({"15": 0.4}, 3))[None]
    stiffness = np.diag([100.0, 100.0, 100.0, 40.0, 40.0, 40.0])[None]
    columns = derive_piezoelectric(e15, stiffness, np.array([True]))
    d15, which = largest(e15, stiffness, IN_FRAME, "1")
    assert (d15, which) == (pytest.approx(10.0), "d15")
    assert columns["d_max_pc_per_n"][0] == pytest.approx(d15 / np.sqrt(2))
    assert columns["e_max_c_per_m2"][0] == pytest.approx(0.4 * np.sqrt(2))


def test_what_is_forbidden_is_zero_and_what_has_no_frame_or_compliance_is_unknown(published: dict[str, Any]) -> None:
    e, c = (np.repeat(tensors, 4, axis=0) for tensors in published_tensors(published, "ZnO"))
    c[1] *= -1
    rotation = np.repeat(IN_FRAME, 4, axis=0)
    rotation[2] = np.nan
    frames = IeeeFrames(rotation, np.array(["6mm"] * 4))
    columns = derive_standard_coefficients(e, c, np.array([True, True, True, False]), frames)
    assert columns["d_coefficient_max_name"].tolist() == ["d15", "", "", ""]
    assert np.isnan(columns["d_coefficient_max_pc_per_n"]).tolist() == [False, True, True, False]
    assert columns["d_coefficient_max_pc_per_n"][3] == 0.0
    # without frames, of stored results for instance, nothing is known
    tensors = {Tensor.PIEZOELECTRIC: e[:1], Tensor.ELASTIC: c[:1]}
    without = derive_columns(tensors, np.array(["hexagonal"]), np.array([True]), Densities(*np.ones((2, 1))))
    assert np.isnan(without["d_coefficient_max_pc_per_n"]).all()
