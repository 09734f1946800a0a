"""pymatgen's IEEE frame undone where that is well defined, refused with a reason where it is not."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.core.tensors import Tensor as PymatgenTensor

from gmt_tasks.labels.label_kind import RefusedRowError
from gmt_tasks.labels.readers.pymatgen_frame import _monoclinic_rotations, ieee_rotation, in_frame_of_structure
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.sources.json_records import parse_record
from gmt_tasks.sources.parsed import ParsedCrystal, as_batch
from models.quantities import Tensor
from models.symmetry.search import find_symmetry
from tests.gmt_tasks.sources.remote.materials_project_server import turned

TILTED = np.array([[5.0, 0.0, 1.2], [0.0, 4.0, 0.0], [1.2, 0.0, 6.0]])
PLAIN = np.diag([5.0, 4.0, 6.0])


def monoclinic(beta: float = 90.0, lengths: tuple[float, float, float] = (4.0, 5.0, 6.0)) -> Structure:
    """A crystal of class 2 whose angles may all be right ones to the last digit."""
    a, b, c = lengths
    cell = Lattice(np.diag(lengths)) if beta == 90 else Lattice.from_parameters(a, b, c, 90, beta, 90)
    sites = [[0.1, 0, 0.2], [-0.1, 0, -0.2], [0.3, 0.4, 0.15], [-0.3, 0.4, -0.15]]
    return Structure(cell, ["Mg", "Mg", "O", "O"], sites)


def crystal_of(structure: Structure) -> ParsedCrystal:
    return parse_record(structure.as_dict())


def allowed(crystal: ParsedCrystal, quantity: Tensor, tensor: NDArray[np.float64]) -> NDArray[np.float64]:
    return find_symmetry(as_batch([crystal])).project(quantity, tensor[None])[0]


def published(tensor: NDArray[np.float64], structure: Structure) -> NDArray[np.float64]:
    """As a builder publishes it that calculated with a structure of which pymatgen has a rotation."""
    return np.array(PymatgenTensor(tensor).convert_to_ieee(structure, initial_fit=False))


def test_pymatgen_has_no_rotation_for_a_monoclinic_cell_with_right_angles() -> None:
    """The premise; when pymatgen mends it, the undoing here stays right."""
    with pytest.raises(StopIteration):
        ieee_rotation(crystal_of(monoclinic()))


@pytest.mark.parametrize("beta", [84.0, 89.5, 90.05, 112.0])
@pytest.mark.parametrize("lengths", [(4.0, 5.0, 6.0), (6.0, 5.0, 4.0), (4.0, 7.0, 4.5)])
def test_where_the_angle_decides_the_rotation_is_pymatgens(beta: float, lengths: tuple[float, float, float]) -> None:
    crystal = crystal_of(turned(monoclinic(beta, lengths))[0])
    (rotation,) = _monoclinic_rotations(crystal)
    np.testing.assert_allclose(rotation, ieee_rotation(crystal), atol=1e-6)


@pytest.mark.parametrize("quantity", [Tensor.DIELECTRIC_TOTAL, Tensor.PIEZOELECTRIC])
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_with_right_angles_a_tensor_that_shows_its_axis_comes_back(quantity: Tensor, angle: float) -> None:
    structure, _ = turned(monoclinic(), angle) if angle else (monoclinic(), None)
    builder = turned(monoclinic(90.01), angle)[0] if angle else monoclinic(90.01)
    crystal = crystal_of(structure)
    raw = np.random.default_rng(3).normal(size=(3,) * (2 if quantity is Tensor.DIELECTRIC_TOTAL else 3))
    tensor = allowed(crystal, quantity, raw + np.swapaxes(raw, -1, -2) + (4 * np.eye(3) if raw.ndim == 2 else 0))
    found = in_frame_of_structure(crystal, "2", {quantity: published(tensor, builder)})
    np.testing.assert_allclose(found[quantity], tensor, atol=5e-3)
    assert np.linalg.norm(published(tensor, builder) - tensor) > 0.1, "the control: there was something to undo"


def test_with_right_angles_a_tensor_that_fits_several_axes_is_refused() -> None:
    crystal = crystal_of(monoclinic())
    with pytest.raises(RefusedRowError, match="which of 3 rotations") as refused:
        in_frame_of_structure(crystal, "2", {Tensor.DIELECTRIC_TOTAL: PLAIN})
    assert refused.value.reason is LabelReason.FRAME
    spherical = {Tensor.DIELECTRIC_TOTAL: 3 * np.eye(3)}
    assert np.allclose(in_frame_of_structure(crystal, "2", spherical)[Tensor.DIELECTRIC_TOTAL], 3 * np.eye(3))


def test_both_tensors_of_a_document_must_fit_by_the_same_rotation() -> None:
    """The electronic one is plain and says nothing; the total one shows the axis of both."""
    crystal = crystal_of(monoclinic())
    pair = {Tensor.DIELECTRIC_TOTAL: TILTED, Tensor.DIELECTRIC_ELECTRONIC: PLAIN}
    sent = {quantity: published(tensor, monoclinic(90.01)) for quantity, tensor in pair.items()}
    found = in_frame_of_structure(crystal, "2", sent)
    for quantity, tensor in pair.items():
        np.testing.assert_allclose(found[quantity], tensor, atol=5e-3)


def test_a_tensor_that_fits_no_axis_is_refused() -> None:
    crystal = crystal_of(monoclinic())
    tensor = 4 * np.eye(3) + 1
    with pytest.raises(RefusedRowError, match="none gives it") as refused:
        in_frame_of_structure(crystal, "2", {Tensor.DIELECTRIC_TOTAL: tensor})
    assert refused.value.reason is LabelReason.FRAME


def test_equal_lengths_leave_the_third_axis_open() -> None:
    crystal = crystal_of(monoclinic(97.0, (4.0, 5.0, 4.0)))
    assert len(_monoclinic_rotations(crystal)) == 2
    with pytest.raises(RefusedRowError, match="which of 2 rotations"):
        in_frame_of_structure(crystal, "2", {Tensor.DIELECTRIC_TOTAL: TILTED})


def test_a_cell_for_which_pymatgen_raises_anything_else_is_refused() -> None:
    """Two equal lengths of an orthorhombic cell, which pymatgen cannot sort."""
    sites = [[0, 0, 0], [0.31, 0.5, 0.5], [-0.31, 0.5, 0.5]]
    crystal = crystal_of(Structure(np.diag([4.0, 5.0, 4.0]), ["Mg", "O", "O"], sites))
    assert find_symmetry(as_batch([crystal])).point_group == ["mmm"]
    with pytest.raises(RefusedRowError, match=r"no IEEE rotation .*ValueError") as refused:
        in_frame_of_structure(crystal, "mmm", {Tensor.DIELECTRIC_TOTAL: PLAIN})
    assert refused.value.reason is LabelReason.FRAME
