"""Piezoelectric strain tensors and their invariants: laws, published numbers, forbidden and unstable crystals."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.derived.piezoelectric import derive_piezoelectric, piezoelectric_strain_voigt
from models.errors import UnphysicalTensorError
from models.quantities import DERIVED, Tensor
from models.tensors.rotate import rotate
from models.tensors.voigt import ShapeError, piezo_to_voigt, voigt_to_piezo, voigt_to_piezo_strain

Floats = NDArray[np.float64]
ALLOWED = np.ones(1000, dtype=np.bool_)


def _from_entries(entries: dict[str, float], n_rows: int) -> Floats:
    matrix = np.zeros((n_rows, 6))
    for key, value in entries.items():
        matrix[int(key[0]) - 1, int(key[1]) - 1] = value
        if n_rows == 6:
            matrix[int(key[1]) - 1, int(key[0]) - 1] = value
    return matrix


def test_d_times_stiffness_is_e(piezo: Floats, stable: Floats) -> None:
    d = piezoelectric_strain_voigt(piezo, stable)
    np.testing.assert_allclose(d @ stable / 1000.0, piezo_to_voigt(piezo), rtol=1e-8, atol=1e-9)


def test_d_without_the_factor_two_on_shear_is_not_e_over_c(piezo: Floats, stable: Floats) -> None:
    """Negative control: the law above sees the convention of the shear columns."""
    d = piezoelectric_strain_voigt(piezo, stable).copy()
    d[:, :, 3:] /= 2
    assert np.abs(d @ stable / 1000.0 - piezo_to_voigt(piezo)).max() > 0.1


def test_published_strain_constants_follow_from_published_stress_constants(published: dict[str, Any]) -> None:
    for case in published["piezoelectric"]:
        c = _from_entries(case["stiffness_gpa"], 6)[None]
        e = voigt_to_piezo(_from_entries(case["e_c_per_m2"], 3))[None]
        expected = _from_entries(case["d_pc_per_n"], 3)
        scale = np.abs(expected).max()
        got = piezoelectric_strain_voigt(e, c)[0]
        np.testing.assert_allclose(got, expected, rtol=case["tolerance"], atol=1e-9 * scale, err_msg=case["name"])


def test_hydrostatic_response_of_zno_is_the_sum_that_its_symmetry_leaves(published: dict[str, Any]) -> None:
    case = next(case for case in published["piezoelectric"] if case["name"] == "ZnO")
    d = _from_entries(case["d_pc_per_n"], 3)
    e, c = voigt_to_piezo(_from_entries(case["e_c_per_m2"], 3))[None], _from_entries(case["stiffness_gpa"], 6)[None]
    got = derive_piezoelectric(e, c, np.array([True]))["d_hydrostatic_pc_per_n"][0]
    assert got == pytest.approx(abs(d[2, 2] + 2 * d[2, 0]), abs=0.1)


def test_columns_are_exactly_the_registered_ones_in_order(piezo: Floats, stable: Floats) -> None:
    columns = derive_piezoelectric(piezo, stable, ALLOWED)
    tensors = {Tensor.PIEZOELECTRIC, Tensor.ELASTIC}
    rows = {name: set(row.from_tensors) for name, row in DERIVED.items() if Tensor.PIEZOELECTRIC in row.from_tensors}
    # what is printed in the IEEE frame needs more than the tensors
    expected = [name for name, needed in rows.items() if needed <= tensors and not name.startswith("d_coefficient")]
    assert list(columns) == expected


def test_norms_are_those_of_the_cartesian_tensors(piezo: Floats, stable: Floats) -> None:
    columns = derive_piezoelectric(piezo, stable, ALLOWED)
    d = voigt_to_piezo_strain(piezoelectric_strain_voigt(piezo, stable))
    np.testing.assert_allclose(columns["e_norm_c_per_m2"], np.sqrt((piezo**2).sum(axis=(1, 2, 3))), rtol=1e-12)
    np.testing.assert_allclose(columns["d_norm_pc_per_n"], np.sqrt((d**2).sum(axis=(1, 2, 3))), rtol=1e-9)
    hydrostatic = np.linalg.norm(np.einsum("nijj->ni", d), axis=1)
    np.testing.assert_allclose(columns["d_hydrostatic_pc_per_n"], hydrostatic, rtol=1e-8)


def test_e_max_is_the_largest_polarization_that_a_unit_strain_can_make(
    piezo: Floats, stable: Floats, rng: np.random.Generator
) -> None:
    e_max = derive_piezoelectric(piezo, stable, ALLOWED)["e_max_c_per_m2"][:10]
    strain = rng.normal(size=(20000, 3, 3))
    strain = strain + np.swapaxes(strain, 1, 2)
    strain /= np.linalg.norm(strain, axis=(1, 2))[:, None, None]
    reached = np.linalg.norm(np.einsum("nijk,mjk->nmi", piezo[:10], strain), axis=2).max(axis=1)
    assert (reached <= e_max * (1 + 1e-12)).all()
    assert (reached > 0.85 * e_max).all()


def test_every_column_is_unchanged_by_rotation_and_reflection(
    piezo: Floats, stable: Floats, rng: np.random.Generator
) -> None:
    rotation, _ = np.linalg.qr(rng.normal(size=(1000, 3, 3)))
    before = derive_piezoelectric(piezo, stable, ALLOWED)
    rotated = rotate(Tensor.PIEZOELECTRIC, piezo, rotation)
    after = derive_piezoelectric(rotated, rotate(Tensor.ELASTIC, stable, rotation), ALLOWED)
    for name in before:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-7, err_msg=name)
    one_sided = derive_piezoelectric(rotated, stable, ALLOWED)  # control: e and C must rotate together
    assert np.abs(one_sided["d_norm_pc_per_n"] / before["d_norm_pc_per_n"] - 1).max() > 0.05


def test_a_forbidden_effect_is_exactly_zero_even_with_noise_and_without_stability(
    piezo: Floats, stable: Floats
) -> None:
    c = stable[:3].copy()
    c[1] = -np.eye(6)
    allowed = np.array([False, False, True])
    columns = derive_piezoelectric(1e-3 * piezo[:3], c, allowed)
    for name, values in columns.items():
        assert values[0] == 0.0
        assert values[1] == 0.0
        assert values[2] > 0, name
    assert columns["piezo_allowed"].tolist() == allowed.tolist()


def test_an_unstable_crystal_keeps_e_and_has_no_d(piezo: Floats, stable: Floats) -> None:
    c = stable[:3].copy()
    c[1] = np.diag([1.0, 1, 1, 1, 1, -1])
    columns = derive_piezoelectric(piezo[:3], c, ALLOWED[:3])
    for name, values in columns.items():
        expected = [False, name.startswith("d_"), False]
        assert np.isnan(values.astype(np.float64)).tolist() == expected, name
    with pytest.raises(UnphysicalTensorError, match="1 of 3") as info:
        piezoelectric_strain_voigt(piezo[:3], c)
    assert info.value.rows == [1]


def test_a_piezo_tensor_with_nan_spoils_no_other_row(piezo: Floats, stable: Floats) -> None:
    e = piezo[:3].copy()
    e[0, 0, 0, 0] = np.nan
    columns = derive_piezoelectric(e, stable[:3], ALLOWED[:3])
    for name in set(columns) - {"piezo_allowed"}:
        assert np.isnan(columns[name]).tolist() == [True, False, False], name


def test_different_numbers_of_crystals_are_refused(piezo: Floats, stable: Floats) -> None:
    with pytest.raises(ShapeError, match="of the same crystals"):
        derive_piezoelectric(piezo[:2], stable[:3], ALLOWED[:2])
    with pytest.raises(ShapeError, match="one flag per crystal"):
        derive_piezoelectric(piezo[:2], stable[:2], ALLOWED[:3])


def test_an_empty_batch_gives_empty_columns() -> None:
    columns = derive_piezoelectric(np.zeros((0, 3, 3, 3)), np.zeros((0, 6, 6)), np.zeros(0, dtype=np.bool_))
    assert all(values.shape == (0,) for values in columns.values())
