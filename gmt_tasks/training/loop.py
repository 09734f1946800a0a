"""The loop of a training on tensors: which crystals an epoch holds, and what their labels cost."""

import numpy as np
import torch

from gmt_tasks.training.data import Prepared, select_targets
from gmt_tasks.training.epochs import EpochLoop, WeightedLosses
from models.crystals.crystal import Ints
from models.gmtnet.loss import TypicalNorms, multi_task_loss
from models.gmtnet.network import GMTNet
from models.gmtnet.torch_graph import TorchGraph
from models.quantities import TENSORS, Scalar

MOST_REPEATS = 8
"""A handful of crystals that is seen more often per epoch is learned by heart."""

LOSS_WEIGHTS: dict[str, float] = {
    **{quantity: row.loss_weight for quantity, row in TENSORS.items()},
    "dielectric_electronic_mean": 1.2,
    "dielectric_total_mean": 2.0,
    "eps_principal": 2.0,
    "elastic_invariants": 3.0,
    "piezo_singular": 6.0,
    Scalar.BAND_GAP: 0.5,
    Scalar.METAL: 0.3,
    Scalar.FORMATION_ENERGY: 0.5,
    Scalar.EXPANSION: 0.12,
    Scalar.DISTORTION: 0.08,
}
"""Full tensors count most; the invariants and scalars that stand in for them count less."""


class TrainingLoop(EpochLoop[GMTNet]):
    """Epochs over labels of many kinds; trials of other recipes change a method."""

    def run_epoch(self, data: Prepared, typical: TypicalNorms) -> None:
        """One pass in an order that depends on seed and epoch only, so that a resumed run is the same run."""
        rng = self.epoch_rng()
        order = rng.permutation(self.order(data, rng))
        self.run_batches(order, data.atoms, lambda rows: self.weighted_losses(data, rows, typical))

    def order(self, data: Prepared, rng: np.random.Generator) -> Ints:
        """The crystals of an epoch, not yet mixed: scarce labels several times, candidates other ones each time."""
        config = self.config
        some = rng.permutation(data.candidates)[: config.candidates_per_epoch]
        some = np.concatenate([some, rng.permutation(data.computed)[: config.computed_per_epoch]])
        known = np.concatenate([data.labelled, *[data.scarce] * (config.piezo_repeat - 1)])
        return np.concatenate([known, *[data.new] * (repeats(known, data.new, config.new_share) - 1), some])

    def weighted_losses(self, data: Prepared, rows: Ints, typical: TypicalNorms) -> WeightedLosses:
        """Weight and loss of every kind of label in a batch."""
        graph = TorchGraph.from_graph(data.graph.select(rows), self.device, torch.float32)
        predicted = self.network(graph)
        for quantity, matrices in data.corrections.items():
            if quantity in predicted:
                picked = matrices[torch.as_tensor(rows)].to(self.device)
                predicted[quantity] = torch.einsum("nij,nj->ni", picked, predicted[quantity])
        losses = multi_task_loss(predicted, select_targets(data, rows, self.device), typical, self.config.loss)
        return {name: (LOSS_WEIGHTS[name], loss) for name, loss in losses.items()}


def repeats(known: Ints, new: Ints, share: float) -> int:
    """How often new crystals are seen per epoch so that they are a share of what is seen, at most MOST_REPEATS times.

    Args:
        known: crystals of an epoch, those with scarce labels several times, indices.
        new: which crystals are new, indices.
        share: of the new ones, 0 to 1.
    """
    n_new = int(np.isin(known, new).sum())
    if not n_new or not share:
        return 1
    return int(np.clip(round(share / (1.0 - share) * (len(known) - n_new) / n_new), 1, MOST_REPEATS))
