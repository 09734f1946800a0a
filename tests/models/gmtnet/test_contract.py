"""Every tensor model obeys the same laws: the default network, the published one, and the model without weights."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.crystals.crystal import CrystalBatch, Floats
from models.gmtnet.config import CONFIGS, GMTNET, GMTNET_PAPER, ProductKind
from models.gmtnet.predictor import GMTNetPredictor, denormals_flushed
from models.quantities import Tensor
from models.tensor_model import TensorModel
from models.testing.contract import ContractError, TensorModelContract, ToyTensorModel, textbook_crystals
from models.testing.model import ToyEnsemble
from tests.models.gmtnet.untrained import untrained

Law = Callable[[TensorModelContract], None]


class TestModelWithoutWeights(TensorModelContract):
    tolerance = 1e-12

    def make_model(self) -> TensorModel:
        return ToyTensorModel()


class TestDefaultNetwork(TensorModelContract):
    def make_model(self) -> TensorModel:
        return untrained(GMTNET)


class TestDefaultNetworkInDoublePrecision(TensorModelContract):
    tolerance = 1e-10
    continuity = 1e-4

    def make_model(self) -> TensorModel:
        return untrained(GMTNET, torch.float64)


class TestFusionNetwork(TensorModelContract):
    def make_model(self) -> TensorModel:
        return untrained(CONFIGS["gmtnet-fusion"])


class TestDirectedNetwork(TensorModelContract):
    def make_model(self) -> TensorModel:
        return untrained(CONFIGS["gmtnet-directed"])


class TestLongRangeNetwork(TensorModelContract):
    def make_model(self) -> TensorModel:
        return untrained(CONFIGS["gmtnet-long-range"])


@pytest.mark.slow  # looked at in single precision
class TestFusionNetworkInDoublePrecision(TensorModelContract):
    tolerance = 1e-10
    continuity = 1e-4

    def make_model(self) -> TensorModel:
        return untrained(CONFIGS["gmtnet-fusion"], torch.float64)


@pytest.mark.slow
class TestDirectedNetworkInDoublePrecision(TensorModelContract):
    tolerance = 1e-10
    continuity = 1e-4

    def make_model(self) -> TensorModel:
        return untrained(CONFIGS["gmtnet-directed"], torch.float64)


@pytest.mark.slow
class TestLongRangeNetworkInDoublePrecision(TensorModelContract):
    tolerance = 1e-8  # sums over reciprocal vectors end at 1e-8
    continuity = 1e-4

    def make_model(self) -> TensorModel:
        return untrained(CONFIGS["gmtnet-long-range"], torch.float64)


class TestPublishedNetwork(TensorModelContract):
    def make_model(self) -> TensorModel:
        return untrained(GMTNET_PAPER)


@pytest.mark.slow  # the default network is looked at in double precision, the published one in single
class TestPublishedNetworkInDoublePrecision(TensorModelContract):
    tolerance = 1e-10
    continuity = 1e-4

    def make_model(self) -> TensorModel:
        return untrained(GMTNET_PAPER, torch.float64)


def test_every_backbone_is_under_contract() -> None:
    models = [contract().make_model() for contract in TensorModelContract.__subclasses__()]
    tested = {model.config.product for model in models if isinstance(model, GMTNetPredictor)}
    assert tested == set(ProductKind)


class TestToyEnsemble(TensorModelContract):
    def make_model(self) -> TensorModel:
        return ToyEnsemble([0.8, 1.0, 1.3])


class _Broken(ToyTensorModel):
    """A model that breaks one law: the negative controls of the contract."""

    def __init__(self, break_law: Callable[[CrystalBatch, dict[Tensor, Floats]], None]) -> None:
        super().__init__()
        self.break_law = break_law

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        tensors = super().predict(crystals)
        self.break_law(crystals, tensors)
        return tensors


def _prefers_an_axis(crystals: CrystalBatch, tensors: dict[Tensor, Floats]) -> None:
    tensors[Tensor.DIELECTRIC_TOTAL][..., 0, 0] += 0.1


def _forgets_the_sign(crystals: CrystalBatch, tensors: dict[Tensor, Floats]) -> None:
    tensors[Tensor.PIEZOELECTRIC][:] = np.abs(tensors[Tensor.PIEZOELECTRIC])


def _is_handed(crystals: CrystalBatch, tensors: dict[Tensor, Floats]) -> None:
    tensors[Tensor.ELASTIC][:] *= (2.0 + np.sign(np.linalg.det(crystals.lattice)))[:, None, None]


def _sees_the_origin(crystals: CrystalBatch, tensors: dict[Tensor, Floats]) -> None:
    first = crystals.frac_coords[crystals.first_atom[:-1]]
    tensors[Tensor.ELASTIC][:] *= (1.0 + 0.1 * np.cos(first[:, 0]))[:, None, None]


def _counts_atoms(crystals: CrystalBatch, tensors: dict[Tensor, Floats]) -> None:
    tensors[Tensor.DIELECTRIC_ELECTRONIC][:] *= crystals.atoms_per_crystal[:, None, None]


def _sees_the_cell(crystals: CrystalBatch, tensors: dict[Tensor, Floats]) -> None:
    lengths = np.linalg.norm(crystals.lattice, axis=2).sum(axis=1)
    tensors[Tensor.DIELECTRIC_ELECTRONIC][:] *= lengths[:, None, None]


def _heeds_the_first_atom(crystals: CrystalBatch, tensors: dict[Tensor, Floats]) -> None:
    tensors[Tensor.ELASTIC][:] *= crystals.numbers[crystals.first_atom[:-1]][:, None, None]


def _normalises_over_the_batch(crystals: CrystalBatch, tensors: dict[Tensor, Floats]) -> None:
    tensors[Tensor.ELASTIC][:] /= np.linalg.norm(tensors[Tensor.ELASTIC])


def _rounds_distances(crystals: CrystalBatch, tensors: dict[Tensor, Floats]) -> None:
    last_digits = np.abs(crystals.frac_coords[crystals.first_atom[:-1]] * 1e7 % 1).sum(axis=1)
    tensors[Tensor.ELASTIC][:] *= (1 + last_digits)[:, None, None]


def _jumps_with_the_volume(crystals: CrystalBatch, tensors: dict[Tensor, Floats]) -> None:
    digits = np.abs(np.linalg.det(crystals.lattice)) * 1e6 % 1
    tensors[Tensor.ELASTIC][:] *= (1 + digits)[:, None, None]


def _is_single_precision(crystals: CrystalBatch, tensors: dict[Tensor, Floats]) -> None:
    tensors[Tensor.ELASTIC] = tensors[Tensor.ELASTIC].astype(np.float32)


def _divides_by_zero_for_one_atom(crystals: CrystalBatch, tensors: dict[Tensor, Floats]) -> None:
    tensors[Tensor.ELASTIC][:, crystals.atoms_per_crystal == 1] = np.nan


def _ignores_the_crystal(crystals: CrystalBatch, tensors: dict[Tensor, Floats]) -> None:
    tensors[Tensor.DIELECTRIC_TOTAL][:] = np.eye(3)


@pytest.mark.parametrize(
    ("break_law", "law"),
    [
        (_prefers_an_axis, TensorModelContract.test_rotating_the_crystal_rotates_every_tensor),
        (_forgets_the_sign, TensorModelContract.test_reflecting_the_crystal_reflects_every_tensor),
        (_is_handed, TensorModelContract.test_a_left_handed_cell_gives_the_same_tensors),
        (_sees_the_origin, TensorModelContract.test_the_choice_of_origin_does_not_matter),
        (_heeds_the_first_atom, TensorModelContract.test_the_order_of_the_atoms_does_not_matter),
        (_sees_the_cell, TensorModelContract.test_another_cell_of_the_same_lattice_gives_the_same_tensors),
        (_counts_atoms, TensorModelContract.test_a_supercell_gives_the_same_tensors),
        (_normalises_over_the_batch, TensorModelContract.test_the_other_crystals_of_a_batch_do_not_matter),
        (_rounds_distances, TensorModelContract.test_rounding_of_the_positions_does_not_matter),
        (_jumps_with_the_volume, TensorModelContract.test_rounding_of_the_lattice_does_not_matter),
        (_is_single_precision, TensorModelContract.test_every_tensor_has_its_shape_and_finite_float64_entries),
        (_divides_by_zero_for_one_atom, TensorModelContract.test_an_atom_alone_in_its_cell_has_tensors),
        (_ignores_the_crystal, TensorModelContract.test_different_crystals_have_different_tensors),
    ],
)
def test_the_contract_catches_a_model_that_breaks_a_law(
    break_law: Callable[[CrystalBatch, dict[Tensor, Floats]], None], law: Law
) -> None:
    class Contract(TensorModelContract):
        def make_model(self) -> TensorModel:
            return _Broken(break_law)

    with pytest.raises(ContractError):
        law(Contract())


def test_the_contract_catches_a_model_without_elements() -> None:
    class Nothing(ToyTensorModel):
        elements = frozenset()

    class Contract(TensorModelContract):
        def make_model(self) -> TensorModel:
            return Nothing()

    with pytest.raises(ContractError, match="no element"):
        Contract().test_the_model_declares_the_elements_it_knows()


def test_a_graph_that_compares_distances_exactly_breaks_equivariance() -> None:
    """The default network with its graph cut exactly at the k-th neighbour and no envelope: the published defect."""

    class Contract(TensorModelContract):
        def make_model(self) -> TensorModel:
            graph = replace(GMTNET.graph, reach=1.0)
            return GMTNetPredictor.untrained(replace(GMTNET, graph=graph, envelope=False))

    with pytest.raises(ContractError, match="rotation"):
        Contract().test_rotating_the_crystal_rotates_every_tensor()


def test_predicting_leaves_the_arithmetic_of_the_process_as_it_was() -> None:
    denormal = np.array([np.finfo(np.float64).tiny]) / 4.0
    with denormals_flushed():
        flushed = (denormal * 1.0)[0]
    assert flushed == 0.0, "negative control: inside, denormals are 0 (x86 and recent ARM)"
    untrained(GMTNET).predict(textbook_crystals().crystals.select([0]))
    assert (denormal * 1.0)[0] > 0.0


def test_one_network_that_breaks_a_law_is_found() -> None:
    class LastPrefersAnAxis(ToyEnsemble):
        def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
            tensors = super().predict(crystals)
            tensors[Tensor.DIELECTRIC_TOTAL][-1, :, 0, 0] += 0.1
            return tensors

    class Contract(TensorModelContract):
        def make_model(self) -> TensorModel:
            return LastPrefersAnAxis([1.0, 1.0])

    with pytest.raises(ContractError, match="rotation"):
        Contract().test_rotating_the_crystal_rotates_every_tensor()
