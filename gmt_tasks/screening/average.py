"""average: RawPrediction -> AveragedPrediction, one raw tensor per crystal from those of the networks.

Networks may disagree about the overall sign of the piezoelectric tensor, so before they are averaged their signs are
made the same, and the norm of the mean is made that of the networks (models/uncertainty/ensemble.py). Signs and norms
are those of the part that the point group allows: the rest is an error of each network and says nothing.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.screening.infer import RawPrediction
from models.crystals.crystal import CrystalBatch
from models.quantities import Tensor
from models.symmetry.projector import without_rounding
from models.symmetry.search import SIGN_FREE_CLASSES, SymmetryBatch
from models.uncertainty.ensemble import common_signs, norm_correction, scaled, with_signs

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class AveragedPrediction:
    """Raw tensors of the ensemble, not yet symmetrized.

    Attributes:
        crystals: n_crystals of them.
        tensors: mean of the networks, in unit and stored shape, input frame, [n_crystals, ...].
        projections: the parts of these means that the point groups allow, likewise.
        by_network: symmetrized tensors of the networks with common signs, whose spread tells how far they agree,
            [n_networks, n_crystals, ...].
        sign_votes: share of the networks that agree on the overall sign of the piezoelectric tensor, 1 where its class
            leaves the sign open or forbids the tensor, [n_crystals].
        spreads: of a distilled network, see RawPrediction.
    """

    crystals: CrystalBatch
    tensors: dict[Tensor, Floats]
    projections: dict[Tensor, Floats]
    by_network: dict[Tensor, Floats]
    sign_votes: Floats
    spreads: dict[str, Floats]


def average(prediction: RawPrediction, symmetry: SymmetryBatch) -> AveragedPrediction:
    """The mean of the networks with common signs and a corrected norm.

    Args:
        prediction: of every network.
        symmetry: of the same crystals.

    Raises:
        SymmetryError: a crystal has no space group; `.rows` names them.
    """
    tensors, projections, by_network = {}, {}, {}
    votes = np.ones(prediction.crystals.n_crystals)
    for quantity, raw in prediction.tensors.items():
        projected = symmetry.project(quantity, raw)
        signs = common_signs(quantity, projected)
        by_network[quantity] = with_signs(projected, signs)
        factors = norm_correction(quantity, by_network[quantity])
        tensors[quantity] = scaled(with_signs(raw, signs).mean(axis=0), factors)
        # the projection of a mean is the mean of the projections
        projections[quantity] = without_rounding(quantity, scaled(by_network[quantity].mean(axis=0), factors))
        if quantity is Tensor.PIEZOELECTRIC:
            # in these classes an operation outside the class changes the sign, so that no vote counts
            open_sign = np.isin(symmetry.point_group, list(SIGN_FREE_CLASSES)) | ~symmetry.piezo_allowed
            votes = np.where(open_sign, 1.0, (signs > 0).mean(axis=0))
    return AveragedPrediction(prediction.crystals, tensors, projections, by_network, votes, prediction.spreads)
