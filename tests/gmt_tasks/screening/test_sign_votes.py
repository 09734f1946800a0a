"""The overall sign of the piezoelectric tensor is a vote of the networks; a warning says how it went."""

import numpy as np

from gmt_tasks.screening.average import average
from gmt_tasks.screening.derive import derive
from gmt_tasks.screening.infer import infer
from gmt_tasks.screening.screener import warnings_of
from gmt_tasks.screening.symmetrize import SymmetrizedPrediction, symmetrize
from gmt_tasks.screening.symmetry_analysis import analyse_symmetry
from models.crystals.crystal import CrystalBatch, Floats
from models.quantities import Tensor
from models.reference.crystals import crystals_of_all_classes
from models.symmetry.search import SIGN_FREE_CLASSES
from models.testing.contract import ToyTensorModel

PIEZO = Tensor.PIEZOELECTRIC


class Undecided(ToyTensorModel):
    """Three networks that agree on everything but the sign of e."""

    def predict(self, crystals: CrystalBatch) -> dict[Tensor, Floats]:
        """Toy tensors three times, e of the last one turned round."""
        tensors = super().predict(crystals)
        return {q: np.concatenate([t, t, -t if q is PIEZO else t]) for q, t in tensors.items()}


def symmetrized(model: ToyTensorModel) -> SymmetrizedPrediction:
    crystals = crystals_of_all_classes().crystals
    analysis = analyse_symmetry(crystals, 1e-2)
    return symmetrize(average(infer(model, crystals), analysis.symmetry), analysis)


def test_the_majority_decides_and_nothing_cancels() -> None:
    torn, alone = symmetrized(Undecided()), symmetrized(ToyTensorModel())
    assert np.allclose(torn.tensors[PIEZO], alone.tensors[PIEZO], atol=1e-12)
    assert np.linalg.norm(alone.tensors[PIEZO]) > 1.0
    assert (alone.sign_votes == 1.0).all()


def test_votes_count_only_where_the_sign_has_a_meaning() -> None:
    torn = symmetrized(Undecided())
    symmetry = torn.analysis.symmetry
    meaningless = np.isin(symmetry.point_group, list(SIGN_FREE_CLASSES)) | ~symmetry.piezo_allowed
    assert 0 < meaningless.sum() < len(meaningless)
    assert (torn.sign_votes[meaningless] == 1.0).all()
    size = np.linalg.norm(torn.tensors[PIEZO].reshape(len(meaningless), -1), axis=1)
    assert np.allclose(torn.sign_votes[~meaningless & (size > 1e-9)], 2 / 3)


def test_a_split_vote_is_said_to_the_reader() -> None:
    torn = symmetrized(Undecided())
    said = np.array(["2 of 3 networks agree" in " ".join(texts) for texts in warnings_of(derive(torn))])
    assert np.array_equal(said, torn.sign_votes < 1.0)
    assert said.any()
