"""How a network and a potential are combined: weights, widths and thresholds, read of one file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import models
from models.crystals.chemical_classes import ChemicalClass, chemical_classes
from models.crystals.crystal import CrystalBatch, Floats
from models.uncertainty.conformal import Calibration

RECIPE = "refinement.json"


@dataclass(frozen=True)
class ClassRecipe:
    """How the stiffness of one kind of compounds is combined.

    Attributes:
        volumetric: factor that corrects the potential's bulk stiffness.
        deviatoric: factor that corrects its shear stiffness.
        weight: share of the corrected potential, 0 to 1.
    """

    volumetric: float
    deviatoric: float
    weight: float


@dataclass(frozen=True)
class Recipe:
    """Numbers of the combination, tuned on validation crystals.

    Attributes:
        version: changes with every number; part of the version under which results are stored.
        stiffness: by chemical class; all classes are there.
        weight_spread: by how much the networks of the ensemble are given a larger or smaller share than the mean, so
            that where network and potential disagree the spread of the combined ensemble says so.
        calibration: widths of the intervals of combined numbers; None takes those of the network.
        disagreement: from which difference of the logarithms of a modulus by network and potential both disagree.
        hull_half_width_ev_per_atom: of the 90 % interval of an energy above the hull.
    """

    version: str
    stiffness: dict[ChemicalClass, ClassRecipe]
    weight_spread: float
    calibration: Calibration | None
    disagreement: dict[str, float]
    hull_half_width_ev_per_atom: float

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Recipe":
        """Reads the file's content."""
        calibration = data["calibration"]
        return Recipe(
            str(data["version"]),
            {kind: ClassRecipe(**data["stiffness"][kind]) for kind in ChemicalClass},
            float(data["weight_spread"]),
            None if calibration is None else Calibration.from_json(calibration),
            dict(data["disagreement"]),
            float(data["hull_half_width_ev_per_atom"]),
        )

    def of_crystals(self, crystals: CrystalBatch) -> tuple[Floats, Floats, Floats]:
        """Volumetric and deviatoric factors and weights of crystals by their chemical classes, [n_crystals] each."""
        rows = [self.stiffness[ChemicalClass(kind)] for kind in chemical_classes(crystals)]
        table = np.array([(row.volumetric, row.deviatoric, row.weight) for row in rows]).reshape(-1, 3)
        return table[:, 0], table[:, 1], table[:, 2]


@cache
def load_recipe() -> Recipe:
    """The recipe that comes with the program."""
    path = Path(models.__file__).parent / "weights" / RECIPE
    return Recipe.from_json(json.loads(path.read_text(encoding="utf-8")))
