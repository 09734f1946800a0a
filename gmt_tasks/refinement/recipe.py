"""How a network and a potential are combined: weights, widths and thresholds, read of one file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import models
from models.quantities import Tensor
from models.uncertainty.conformal import Calibration

RECIPE = "refinement.json"

ANY_SYSTEM = ""
"""Stands for the crystal systems that have no weight of their own."""


@dataclass(frozen=True)
class Recipe:
    """Numbers of the combination, tuned on validation crystals.

    Attributes:
        version: changes with every number; part of the version under which results are stored.
        potential_weight: share of the potential in a tensor, 0 to 1, by crystal system, see `ANY_SYSTEM`.
        calibration: widths of the intervals of combined numbers; None takes those of the network.
        disagreement: from which difference of the logarithms of a modulus by network and potential both disagree.
        hull_half_width_ev_per_atom: of the 90 % interval of an energy above the hull.
    """

    version: str
    potential_weight: dict[Tensor, dict[str, float]]
    calibration: Calibration | None
    disagreement: dict[str, float]
    hull_half_width_ev_per_atom: float

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Recipe":
        """Reads the file's content."""
        calibration = data["calibration"]
        return Recipe(
            str(data["version"]),
            {Tensor(name): dict(weights) for name, weights in data["potential_weight"].items()},
            None if calibration is None else Calibration.from_json(calibration),
            dict(data["disagreement"]),
            float(data["hull_half_width_ev_per_atom"]),
        )

    def weight(self, tensor: Tensor, system: str) -> float:
        """Share of the potential in a tensor of a crystal of a crystal system."""
        weights = self.potential_weight.get(tensor, {})
        return weights.get(system, weights.get(ANY_SYSTEM, 0.0))


@cache
def load_recipe() -> Recipe:
    """The recipe that comes with the program."""
    path = Path(models.__file__).parent / "weights" / RECIPE
    return Recipe.from_json(json.loads(path.read_text(encoding="utf-8")))
