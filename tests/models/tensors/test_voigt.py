"""Voigt, Mandel and component forms: round trips, norms, meaning of the factors of 2, and pymatgen as an oracle."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from models.quantities import TENSORS, Tensor
from models.tensors import voigt

Floats = NDArray[np.float64]
Convert = Callable[[Floats], Floats]

ROUND_TRIPS: list[tuple[str, Convert, Convert, tuple[int, ...]]] = [
    ("stress", voigt.voigt_to_symmetric, voigt.symmetric_to_voigt, (6,)),
    ("strain", voigt.voigt_to_strain, voigt.strain_to_voigt, (6,)),
    ("e", voigt.voigt_to_piezo, voigt.piezo_to_voigt, (3, 6)),
    ("d", voigt.voigt_to_piezo_strain, voigt.piezo_strain_to_voigt, (3, 6)),
    ("C", voigt.voigt_to_stiffness, voigt.stiffness_to_voigt, (6, 6)),
    ("S", voigt.voigt_to_compliance, voigt.compliance_to_voigt, (6, 6)),
    ("rank-2 Mandel", voigt.mandel_to_symmetric, voigt.symmetric_to_mandel, (6,)),
    ("rank-3 Mandel", voigt.mandel_to_piezo, voigt.piezo_to_mandel, (3, 6)),
    ("C Mandel", voigt.mandel_to_stiffness_voigt, voigt.stiffness_voigt_to_mandel, (6, 6)),
    ("S Mandel", voigt.mandel_to_compliance_voigt, voigt.compliance_voigt_to_mandel, (6, 6)),
]


def _numbers(shape: tuple[int, ...]) -> st.SearchStrategy[Floats]:
    finite = st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False)
    return st.integers(0, 3).flatmap(lambda n: arrays(np.float64, (n, *shape), elements=finite))


@pytest.mark.parametrize(("name", "there", "back", "shape"), ROUND_TRIPS, ids=[row[0] for row in ROUND_TRIPS])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_every_voigt_conversion_is_undone_by_its_inverse(
    name: str, there: Convert, back: Convert, shape: tuple[int, ...], data: st.DataObject
) -> None:
    values = data.draw(_numbers(shape))
    np.testing.assert_allclose(back(there(values)), values, rtol=1e-14, atol=0)


@pytest.mark.parametrize("quantity", list(Tensor))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_components_and_stored_tensor_are_one_to_one(quantity: Tensor, data: st.DataObject) -> None:
    components = data.draw(_numbers((TENSORS[quantity].n_components,)))
    tensor = voigt.from_components(quantity, components)
    assert tensor.shape == (len(components), *TENSORS[quantity].shape)
    np.testing.assert_allclose(voigt.to_components(quantity, tensor), components, rtol=1e-13, atol=0)


def test_voigt_entries_are_the_cartesian_entries_they_are_named_after(stiffness: Floats, piezo: Floats) -> None:
    c, e = voigt.stiffness_to_voigt(stiffness), voigt.piezo_to_voigt(piezo)
    np.testing.assert_allclose(c[:, 0, 3], stiffness[:, 0, 0, 1, 2], rtol=1e-15)
    np.testing.assert_allclose(c[:, 4, 5], stiffness[:, 0, 2, 0, 1], rtol=1e-15)
    np.testing.assert_allclose(c[:, 5, 4], stiffness[:, 1, 0, 2, 0], rtol=1e-15)
    np.testing.assert_allclose(e[:, 2, 3], piezo[:, 2, 1, 2], rtol=1e-15)


def test_stiffness_without_major_symmetry_keeps_row_and_column_apart(rng: np.random.Generator) -> None:
    matrix = rng.normal(size=(2, 6, 6))
    full = voigt.voigt_to_stiffness(matrix)
    assert full[0, 0, 0, 1, 2] == matrix[0, 0, 3]
    np.testing.assert_allclose(voigt.stiffness_to_voigt(full), matrix, rtol=1e-15)


def test_component_norm_is_the_norm_of_the_full_cartesian_tensor(
    stiffness: Floats, piezo: Floats, dielectric: Floats
) -> None:
    stored = {Tensor.DIELECTRIC_TOTAL: dielectric, Tensor.PIEZOELECTRIC: piezo}
    stored[Tensor.ELASTIC] = voigt.stiffness_to_voigt(stiffness)
    for quantity, full in zip(stored, (dielectric, piezo, stiffness), strict=True):
        norm = np.linalg.norm(full.reshape(len(full), -1), axis=1)
        components = voigt.to_components(quantity, stored[quantity])
        np.testing.assert_allclose(np.linalg.norm(components, axis=1), norm, rtol=1e-13)


def test_plain_voigt_norm_is_not_the_cartesian_norm(stiffness: Floats) -> None:
    """Negative control: without Mandel's weights the norm law fails."""
    plain = np.linalg.norm(voigt.stiffness_to_voigt(stiffness), axis=(1, 2))
    full = np.linalg.norm(stiffness.reshape(len(stiffness), -1), axis=1)
    assert (np.abs(plain - full) > 0.05 * full).all()


def test_hookes_law_and_energy_agree_in_voigt_and_in_indices(stiffness: Floats, dielectric: Floats) -> None:
    stress = np.einsum("nijkl,nkl->nij", stiffness, dielectric)
    c, strain = voigt.stiffness_to_voigt(stiffness), voigt.strain_to_voigt(dielectric)
    np.testing.assert_allclose(np.einsum("nij,nj->ni", c, strain), voigt.symmetric_to_voigt(stress), atol=1e-12)
    energy = np.einsum("nij,nij->n", stress, dielectric)
    np.testing.assert_allclose(np.einsum("ni,nij,nj->n", strain, c, strain), energy, atol=1e-11)


def test_voigt_inverse_is_the_inverse_tensor(stiffness: Floats) -> None:
    compliance = voigt.voigt_to_compliance(np.linalg.inv(voigt.stiffness_to_voigt(stiffness)))
    product = np.einsum("nijkl,nklpq->nijpq", stiffness, compliance)
    delta = np.eye(3)
    identity = (np.einsum("ip,jq->ijpq", delta, delta) + np.einsum("iq,jp->ijpq", delta, delta)) / 2
    np.testing.assert_allclose(product, np.broadcast_to(identity, product.shape), atol=1e-9)


def test_inverse_read_without_the_factors_of_four_is_not_the_inverse_tensor(stiffness: Floats) -> None:
    """Negative control: compliance is not stiffness-like."""
    wrong = voigt.voigt_to_stiffness(np.linalg.inv(voigt.stiffness_to_voigt(stiffness)))
    product = np.einsum("nijkl,nklpq->nijpq", stiffness, wrong)
    assert (np.abs(product[:, 0, 1, 0, 1] - 0.5) > 0.01).all()


def test_direct_effect_of_d_in_voigt_is_the_index_formula(piezo: Floats, dielectric: Floats) -> None:
    polarization = np.einsum("nijk,njk->ni", piezo, dielectric)
    d = voigt.piezo_strain_to_voigt(piezo)
    got = np.einsum("nij,nj->ni", d, voigt.symmetric_to_voigt(dielectric))
    np.testing.assert_allclose(got, polarization, atol=1e-12)
    np.testing.assert_allclose(voigt.mandel_to_piezo_strain_voigt(voigt.piezo_to_mandel(piezo)), d, rtol=1e-14)


def test_compliance_mandel_is_the_inverse_of_stiffness_mandel(stiffness: Floats) -> None:
    c = voigt.stiffness_to_voigt(stiffness)
    product = voigt.compliance_voigt_to_mandel(np.linalg.inv(c)) @ voigt.stiffness_voigt_to_mandel(c)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(6), product.shape), atol=1e-9)


def test_unsymmetric_input_is_averaged_not_sampled() -> None:
    tensor = np.zeros((3, 3))
    tensor[0, 1], tensor[1, 0] = 1.0, 3.0
    assert voigt.symmetric_to_voigt(tensor)[5] == 2.0


def test_vasp_order_agrees_with_pymatgen(rng: np.random.Generator) -> None:
    from pymatgen.analysis.piezo import PiezoTensor

    vasp = rng.normal(size=(3, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        oracle = np.array(PiezoTensor.from_vasp_voigt(vasp))
    np.testing.assert_allclose(voigt.voigt_to_piezo(voigt.reorder_vasp_voigt(vasp)), oracle, rtol=1e-15)
    assert np.abs(voigt.voigt_to_piezo(vasp) - oracle).max() > 0.1  # control: the order does matter


def test_vasp_order_of_vectors_and_matrices() -> None:
    vasp = np.array([11, 22, 33, 12, 23, 31])
    assert voigt.reorder_vasp_voigt(vasp).tolist() == [11, 22, 33, 23, 31, 12]
    matrix = 100.0 * vasp[:, None] + vasp
    ours = voigt.reorder_vasp_voigt(matrix, n_voigt_axes=2)
    assert ours[3, 5] == 2312
    assert ours[4, 0] == 3111
    six_vectors = voigt.reorder_vasp_voigt(matrix)
    assert six_vectors[3, 5] == 1212  # rows untouched


@pytest.mark.parametrize("shape", [(5,), (6, 3), ()])
def test_a_wrong_shape_is_named_in_the_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(voigt.ShapeError, match="must end in shape"):
        voigt.piezo_to_voigt(np.zeros(shape))


def test_reordering_asks_for_one_or_two_voigt_axes() -> None:
    with pytest.raises(voigt.ShapeError, match="must be 1"):
        voigt.reorder_vasp_voigt(np.zeros((6, 6, 6)), n_voigt_axes=3)
