"""Distillation: one network that answers as an ensemble does, tensors, scalars and spread.

The networks of an ensemble cost as much as there are of them, and a network that is asked to give their mean gives most
of what they gain together: it sees their answers on many more crystals than have labels. How far they are apart on a
crystal becomes a number that it predicts as well, so that intervals stay as wide as they were where the ensemble
disagreed. Its answers are taken where no label was seen: on what they were trained on networks agree too well.

Source: G. Hinton, O. Vinyals, J. Dean, arXiv:1503.02531 (2015); spreads: A. Malinin, B. Mlodozeniec, M. Gales,
"Ensemble Distribution Distillation", ICLR (2020).
"""

from pathlib import Path

import numpy as np
import torch

from gmt_tasks.labels.files import LabelledCrystals
from gmt_tasks.screening.screener import Screener
from gmt_tasks.training.candidate_columns import read_table
from gmt_tasks.training.config import TrainingConfig
from gmt_tasks.training.data import Prepared, prepare_answered, select_targets, usable_candidates
from gmt_tasks.training.distillation.altered_crystals import N_SUBSTITUTED, off_equilibrium_copies, substituted_copies
from gmt_tasks.training.distillation.ensemble_answers import MOST_CANDIDATES, EnsembleAnswers, ask
from gmt_tasks.training.epochs import Report
from gmt_tasks.training.evaluated_formulas import evaluated_formulas
from gmt_tasks.training.loop import LOSS_WEIGHTS, TrainingLoop
from models.crystals.crystal import CrystalBatch, Ints
from models.errors import ModelError
from models.gmtnet.card import find_checkpoint
from models.gmtnet.loss import TypicalNorms, multi_task_loss
from models.gmtnet.network import SPREADS, GMTNet
from models.gmtnet.torch_graph import TorchGraph
from models.gmtnet.training_data.split_table import load_split_table
from models.quantities import SCALAR_UNIT, Scalar, Tensor

LABEL_SHARE = 0.3
"""Weight of labels beside the answers of the ensemble, which is a better target than one label."""

BEND = 0.01
"""Relative error of a tensor below which its cost is quadratic: a tenth of that for labels, which have noise."""

_WEIGHTS = {
    Tensor.DIELECTRIC_ELECTRONIC: 4.0,
    Tensor.DIELECTRIC_TOTAL: 3.0,
    Tensor.PIEZOELECTRIC: 4.0,
    Tensor.ELASTIC: 4.0,
}
_FLOORS = {quantity: 0.1 if quantity is Tensor.PIEZOELECTRIC else 0.3 for quantity in Tensor}
"""Norms, as shares of the typical one, below which errors count as absolute ones. Small tensors e are ranked too."""

_NORM_WEIGHT, _SPREAD_WEIGHT, _SCALAR_WEIGHT = 3.0, 0.3, 0.5


def set_spread_constants(network: GMTNet, answers: EnsembleAnswers) -> None:
    """Gives the head of spreads the mean and the width of each logarithm."""
    if network.spread is None:
        return
    values = answers.log_spreads.numpy()
    network.spread.mean.copy_(torch.as_tensor(np.nanmean(values, axis=0)))
    network.spread.scale.copy_(torch.as_tensor(np.nanstd(values, axis=0)))


def prepare_distillation(
    data: LabelledCrystals, rows: Ints, config: TrainingConfig, out: Path, report: Report
) -> tuple[Prepared, EnsembleAnswers]:
    """The crystals of a distillation, and what the ensemble says of them.

    Args:
        data: labelled crystals.
        rows: of its train part.
        config: with a teacher and a file of candidates.
        out: folder of the run, where answers are kept.
        report: receives one line per event.

    Raises:
        ModelError: no file of candidates is named.
    """
    if not config.candidates:
        raise ModelError("A distillation needs crystals without labels: name a file of candidates.")
    screener, folder = Screener.load(config.teacher, device="cpu"), Path(config.data)
    batch, _ = read_table(folder / config.candidates, ())
    split = load_split_table(find_checkpoint(config.teacher))
    held_back = evaluated_formulas(folder, data)
    usable = usable_candidates(batch, held_back, split)
    chosen = np.random.default_rng(config.seed).permutation(np.flatnonzero(usable))[:MOST_CANDIDATES]
    near = CrystalBatch.join([data.crystals.select(rows), batch.select(np.sort(chosen))])
    substituted = substituted_copies(near, N_SUBSTITUTED, config.seed)
    substituted = substituted.select(np.flatnonzero(usable_candidates(substituted, held_back, split)))
    crystals = CrystalBatch.join([near, off_equilibrium_copies(near, config.seed), substituted])
    answers = ask(screener, crystals, len(rows), out / "answers", report)
    return prepare_answered(data, rows, crystals, config), answers


class DistillationLoop(TrainingLoop):
    """Epochs over crystals that the ensemble has answered: those with labels, and as many others as a run asks for.

    Attributes:
        answers: of the ensemble, in the order of the prepared crystals.
    """

    answers: EnsembleAnswers

    def __init__(self, network: GMTNet, config: TrainingConfig, out: Path, report: Report, device: str) -> None:
        set_spread_constants(network, self.answers)
        super().__init__(network, config, out, report, device)
        self.answers = self.answers.to(device)

    def order(self, data: Prepared, rng: np.random.Generator) -> Ints:
        """Other ones of the crystals without labels each time; scarce labels as often as in a training on labels."""
        others = rng.permutation(data.candidates)[: self.config.candidates_per_epoch or None]
        return np.concatenate([data.labelled, others, *[data.scarce] * (self.config.piezo_repeat - 1)])

    def weighted_losses(
        self, data: Prepared, rows: Ints, typical: TypicalNorms
    ) -> dict[str, tuple[float, torch.Tensor]]:
        """Weight and loss of every kind of answer, and of labels where there are some."""
        losses, predicted = self.label_losses(data, rows, typical)
        weighted = {name: (LABEL_SHARE * weight, loss) for name, (weight, loss) in losses.items()}
        chosen = torch.as_tensor(rows, device=self.device)
        for quantity, components in self.answers.components.items():
            answer = components[chosen]
            usable = ~torch.isnan(answer[:, 0])
            if not usable.any():
                continue
            given, answer, norm = predicted[quantity][usable], answer[usable], typical.norms[quantity]
            floor = _FLOORS[quantity] * norm
            error = _error(given - answer, answer, norm, floor)
            if quantity is Tensor.PIEZOELECTRIC:
                # where the networks do not agree about a sign, the mean of both signs would be a tensor of no size
                opposite = torch.minimum(error, _error(given + answer, answer, norm, floor))
                error = torch.where(self.answers.sign_unsure[chosen][usable], opposite, error)
                sizes = [x.square().sum(dim=1, keepdim=True).add(1e-8).sqrt() for x in (given, answer)]
                of_norm = _error(sizes[0] - sizes[1], answer, norm, floor)
                weighted["answer e norm"] = _NORM_WEIGHT, of_norm.sum() / len(rows)
            weighted[f"answer {quantity.value}"] = _WEIGHTS[quantity], error.sum() / len(rows)
        values = torch.cat([predicted[scalar] for scalar in Scalar], dim=1) - self.answers.scalars[chosen]
        units = values.new_tensor([SCALAR_UNIT[scalar] for scalar in Scalar])
        weighted["answer scalars"] = _SCALAR_WEIGHT, _mean_huber(values / units)
        if SPREADS in predicted and self.network.spread is not None:
            error = (predicted[SPREADS] - self.answers.log_spreads[chosen]) / self.network.spread.scale
            weighted[SPREADS] = _SPREAD_WEIGHT, _mean_huber(error)
        return weighted

    def label_losses(
        self, data: Prepared, rows: Ints, typical: TypicalNorms
    ) -> tuple[dict[str, tuple[float, torch.Tensor]], dict[str, torch.Tensor]]:
        """Weights and losses of labels, and what the network predicts."""
        predicted = self.network(TorchGraph.from_graph(data.graph.select(rows), self.device, torch.float32))
        known = {name: value for name, value in predicted.items() if name != SPREADS}
        losses = multi_task_loss(known, select_targets(data, rows, self.device), typical, self.config.loss)
        return {name: (LOSS_WEIGHTS[name], loss) for name, loss in losses.items()}, predicted


def _error(error: torch.Tensor, answer: torch.Tensor, typical: float, floor: float) -> torch.Tensor:
    """`robust_error` with a narrower bend, [n]."""
    size = (answer.square().sum(dim=1) + floor**2).sqrt()
    x_squared = error.square().sum(dim=1) / (size * typical)
    return (x_squared + BEND**2).sqrt() - BEND


def _mean_huber(error: torch.Tensor) -> torch.Tensor:
    """Mean over the entries that are known, 0 without any."""
    known = ~torch.isnan(error)
    huber = torch.nn.functional.huber_loss(
        torch.where(known, error, 0.0), torch.zeros_like(error), reduction="sum", delta=0.5
    )
    return huber / known.sum().clamp(min=1)
