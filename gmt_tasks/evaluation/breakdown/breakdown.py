"""Everything that an evaluation says beside the averages, measured on one split after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.evaluation.breakdown.networks import NetworkErrors, network_errors
from gmt_tasks.evaluation.breakdown.other_codes import OtherCode, other_codes
from gmt_tasks.evaluation.breakdown.ranking import RankingInterval, SignShare, ranking_intervals, sign_share
from gmt_tasks.evaluation.breakdown.sizes import SizeCoverage, size_coverage
from gmt_tasks.evaluation.breakdown.stability import StabilityScores, stability_scores
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.screening.screener import TensorPrediction


@dataclass(frozen=True)
class Breakdown:
    """Figures beside the averages.

    Attributes:
        ranking: rank correlations with their intervals.
        signs: how often the overall sign of e is right.
        networks: the networks of the ensemble one by one.
        sizes: coverage by the size of e.
        other_codes: moduli of other codes.
        stability: how well unstable labels are separated from stable ones.
    """

    ranking: list[RankingInterval] = field(default_factory=list)
    signs: list[SignShare] = field(default_factory=list)
    networks: list[NetworkErrors] = field(default_factory=list)
    sizes: list[SizeCoverage] = field(default_factory=list)
    other_codes: list[OtherCode] = field(default_factory=list)
    stability: list[StabilityScores] = field(default_factory=list)

    def add(
        self,
        labels: LabelledCrystals,
        rows: NDArray[np.int64],
        prediction: TensorPrediction,
        split: Split,
        *,
        ranked: Sequence[str],
        epochs: Sequence[int],
    ) -> None:
        """Adds the figures of one split.

        Args:
            labels: labelled crystals.
            rows: the crystals that have a prediction, in its order.
            prediction: of these crystals.
            split: where they come from.
            ranked: properties that people sort by.
            epochs: of the training of each network; empty where it is unknown.
        """
        self.ranking.extend(ranking_intervals(ranked, labels, rows, prediction, split))
        self.signs.append(sign_share(labels, rows, prediction, split))
        self.networks.extend(network_errors(labels, rows, prediction, split, epochs))
        self.sizes.extend(size_coverage(labels, rows, prediction, split))
        self.other_codes.extend(other_codes(labels, rows, prediction, split))
        self.stability.extend(stability_scores(labels, rows, prediction, split))
