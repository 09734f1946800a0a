"""Moduli and stability: laws, pymatgen as an oracle, published numbers, unstable crystals."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.derived import elastic
from models.derived.elastic import Unstable, derive_elastic
from models.errors import UnphysicalTensorError
from models.quantities import DERIVED, ColumnKind, Tensor
from models.tensors.rotate import rotate
from models.tensors.voigt import ShapeError

Floats = NDArray[np.float64]

UNSTABLE = np.diag([100.0, 100.0, 100.0, 40.0, 40.0, -14.0])


def _isotropic(bulk: float, shear: float) -> Floats:
    c = np.diag([2.0, 2, 2, 1, 1, 1]) * shear
    c[:3, :3] += bulk - 2 * shear / 3
    return c


def _cubic(c11: float, c12: float, c44: float) -> Floats:
    c = np.diag([c11 - c12] * 3 + [c44] * 3)
    c[:3, :3] += c12
    return c


def _from_entries(entries: dict[str, float]) -> Floats:
    c = np.zeros((6, 6))
    for key, value in entries.items():
        c[int(key[0]) - 1, int(key[1]) - 1] = c[int(key[1]) - 1, int(key[0]) - 1] = value
    return c


def test_columns_are_exactly_the_registered_ones_in_order(stable: Floats) -> None:
    columns = derive_elastic(stable)
    assert list(columns) == [name for name in DERIVED if name in columns]
    for name, values in columns.items():
        assert values.shape == (1000,)
        assert values.dtype == (np.bool_ if DERIVED[name].kind is ColumnKind.FLAG else np.float64)


def test_random_crystals_agree_with_pymatgen(stable: Floats) -> None:
    from pymatgen.analysis.elasticity.elastic import ElasticTensor

    stable = stable[::20]  # pymatgen takes 25 ms for each
    columns = derive_elastic(stable)
    names = {
        "k_voigt_gpa": "k_voigt", "k_reuss_gpa": "k_reuss", "k_vrh_gpa": "k_vrh", "g_voigt_gpa": "g_voigt",
        "g_reuss_gpa": "g_reuss", "g_vrh_gpa": "g_vrh", "universal_anisotropy": "universal_anisotropy",
        "poisson_vrh": "homogeneous_poisson",
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensors = [ElasticTensor.from_voigt(c) for c in stable]
        for ours, theirs in names.items():
            expected = np.array([getattr(tensor, theirs) for tensor in tensors])
            np.testing.assert_allclose(columns[ours], expected, rtol=1e-9, atol=1e-12, err_msg=ours)
        young = np.array([tensor.y_mod for tensor in tensors]) / 1e9  # pymatgen prints this one in Pa
    np.testing.assert_allclose(columns["young_vrh_gpa"], young, rtol=1e-9)


def test_each_function_gives_its_column(stable: Floats) -> None:
    columns = derive_elastic(stable)
    functions = {
        "k_voigt_gpa": elastic.bulk_modulus_voigt, "k_reuss_gpa": elastic.bulk_modulus_reuss,
        "g_voigt_gpa": elastic.shear_modulus_voigt, "g_reuss_gpa": elastic.shear_modulus_reuss,
        "universal_anisotropy": elastic.universal_anisotropy, "mechanically_stable": elastic.mechanically_stable,
        "elastic_min_eigenvalue_gpa": elastic.min_eigenvalue,
    }  # fmt: skip
    for name, function in functions.items():
        np.testing.assert_allclose(np.asarray(function(stable)), columns[name], rtol=1e-12, atol=1e-12, err_msg=name)


def test_reuss_is_never_above_voigt_and_hill_lies_between(stable: Floats) -> None:
    c = derive_elastic(stable)
    for modulus in ("k", "g"):
        reuss, hill, voigt = (c[f"{modulus}_{kind}_gpa"] for kind in ("reuss", "vrh", "voigt"))
        assert ((reuss < hill) & (hill < voigt)).all()
    assert (c["universal_anisotropy"] > 0).all()


@settings(max_examples=50, deadline=None)
@given(st.floats(1.0, 1000.0), st.floats(1.0, 1000.0))
def test_an_isotropic_body_gives_back_the_moduli_it_was_made_of(bulk: float, shear: float) -> None:
    c = derive_elastic(_isotropic(bulk, shear)[None])
    for kind in ("voigt", "reuss", "vrh"):
        assert c[f"k_{kind}_gpa"][0] == pytest.approx(bulk, rel=1e-9)
        assert c[f"g_{kind}_gpa"][0] == pytest.approx(shear, rel=1e-9)
    assert c["universal_anisotropy"][0] == pytest.approx(0.0, abs=1e-8)
    assert c["pugh_ratio"][0] == pytest.approx(bulk / shear, rel=1e-9)
    assert c["elastic_min_eigenvalue_gpa"][0] == pytest.approx(min(3 * bulk, 2 * shear), rel=1e-9)
    young, poisson = c["young_vrh_gpa"][0], c["poisson_vrh"][0]
    assert young == pytest.approx(3 * bulk * (1 - 2 * poisson), rel=1e-9, abs=1e-9)
    assert young == pytest.approx(2 * shear * (1 + poisson), rel=1e-9)


def test_a_cubic_crystal_has_the_anisotropy_that_zeners_ratio_gives() -> None:
    """Ranganathan and Ostoja-Starzewski, PRL 101, 055504 (2008): A^U = 6/5 (sqrt(A) - 1/sqrt(A))^2."""
    zener = 2 * 75.4 / (168.4 - 121.4)
    expected = 1.2 * (np.sqrt(zener) - 1 / np.sqrt(zener)) ** 2
    assert derive_elastic(_cubic(168.4, 121.4, 75.4)[None])["universal_anisotropy"][0] == pytest.approx(
        expected, rel=1e-9
    )


def test_every_column_is_unchanged_by_rotation(stable: Floats, rng: np.random.Generator) -> None:
    rotation, _ = np.linalg.qr(rng.normal(size=(1000, 3, 3)))
    before, after = derive_elastic(stable), derive_elastic(rotate(Tensor.ELASTIC, stable, rotation))
    for name in before:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-8, atol=1e-10, err_msg=name)
    assert np.abs(rotate(Tensor.ELASTIC, stable, rotation)[:, 0, 0] - stable[:, 0, 0]).mean() > 1  # control: C11 is not


def test_the_lowest_eigenvalue_is_the_softest_strain_and_not_voigts(stable: Floats, rng: np.random.Generator) -> None:
    strain = rng.normal(size=(5000, 3, 3))
    strain = strain + np.swapaxes(strain, 1, 2)
    strain /= np.linalg.norm(strain, axis=(1, 2))[:, None, None]
    engineering = np.stack(
        [
            *(strain[:, 0, 0], strain[:, 1, 1], strain[:, 2, 2]),
            *(2 * strain[:, 1, 2], 2 * strain[:, 0, 2], 2 * strain[:, 0, 1]),
        ],
        axis=1,
    )
    for c in stable[:20]:
        stiffness = np.einsum("ni,ij,nj->n", engineering, c, engineering)
        lowest = elastic.min_eigenvalue(c[None])[0]
        assert lowest <= stiffness.min() * (1 + 1e-12)
        assert stiffness.min() < lowest + 0.2 * stiffness.max()
    plain = np.linalg.eigvalsh(stable)[:, 0]
    assert np.abs(plain - elastic.min_eigenvalue(stable)).max() > 1  # control: Voigt eigenvalues mean nothing


def test_compliance_times_stiffness_is_one_in_voigt_form(stable: Floats) -> None:
    product = elastic.compliance_voigt(stable) @ stable / 1000.0
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(6), product.shape), atol=1e-9)


def test_published_moduli_follow_from_published_constants(published: dict[str, Any]) -> None:
    for case in published["elastic"]:
        columns = derive_elastic(_from_entries(case["stiffness_gpa"])[None])
        for name in ("k_vrh_gpa", "g_vrh_gpa"):
            if name in case:
                assert columns[name][0] == pytest.approx(case[name], rel=case["tolerance"]), (case["name"], name)


def test_an_unstable_crystal_is_refused_by_name(stable: Floats) -> None:
    batch = stable[:5].copy()
    batch[1], batch[3] = UNSTABLE, np.diag([1.0, 1, 1, 1, 1, -0.5])
    with pytest.raises(UnphysicalTensorError, match=r"2 of 5 .* worst is row 1 with lowest eigenvalue -28 GPa") as info:
        derive_elastic(batch)
    assert info.value.rows == [1, 3]
    for function in (elastic.bulk_modulus_reuss, elastic.shear_modulus_reuss, elastic.compliance_voigt):
        with pytest.raises(UnphysicalTensorError):
            function(batch)
    with pytest.raises(UnphysicalTensorError):
        elastic.universal_anisotropy(batch)


def test_a_flagged_crystal_keeps_what_needs_no_compliance_and_leaves_the_others_alone(stable: Floats) -> None:
    batch = stable[:5].copy()
    batch[1] = UNSTABLE
    columns, alone = derive_elastic(batch, unstable=Unstable.FLAG), derive_elastic(stable[:5])
    assert columns["mechanically_stable"].tolist() == [True, False, True, True, True]
    kept = {"k_voigt_gpa", "g_voigt_gpa", "elastic_min_eigenvalue_gpa", "mechanically_stable"}
    for name, values in columns.items():
        np.testing.assert_array_equal(np.delete(values, 1), np.delete(alone[name], 1), err_msg=name)
        assert (name in kept) != bool(np.isnan(values[1])), name
    assert columns["elastic_min_eigenvalue_gpa"][1] == pytest.approx(-28.0, rel=1e-12)


def test_a_tensor_with_nan_is_flagged_and_spoils_no_other_row(stable: Floats) -> None:
    batch = stable[:3].copy()
    batch[2, 0, 1] = np.nan
    columns = derive_elastic(batch, unstable=Unstable.FLAG)
    assert columns["mechanically_stable"].tolist() == [True, True, False]
    for name, values in columns.items():
        if name != "mechanically_stable":
            assert np.isnan(values).tolist() == [False, False, True], name
    with pytest.raises(UnphysicalTensorError, match="worst is row 2"):
        derive_elastic(batch)


def test_a_singular_stiffness_is_not_stable_whatever_rounding_says(rng: np.random.Generator) -> None:
    factors = rng.normal(size=(50, 6, 5))
    singular = 100.0 * factors @ np.swapaxes(factors, 1, 2)
    assert not elastic.mechanically_stable(singular).any()


def test_an_empty_batch_gives_empty_columns() -> None:
    assert all(values.shape == (0,) for values in derive_elastic(np.zeros((0, 6, 6))).values())


def test_a_single_matrix_is_refused_with_its_shape() -> None:
    with pytest.raises(ShapeError, match=r"\[n_crystals, 6, 6\], got \[6, 6\]"):
        derive_elastic(np.eye(6))
