"""How likely a crystal is elastically stable: a logistic regression on what a model predicts of its stiffness.

Predicted stiffnesses are positive definite by construction, those of one crystal in sixteen of the label files are not.
A low eigenvalue beside moduli that are not low is the sign of such a crystal, more than a low eigenvalue alone.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEATURES = ("ln_min_eigenvalue", "ln_k_vrh", "ln_g_vrh", "is_cubic")
_COLUMNS = ("elastic_min_eigenvalue_gpa", "k_vrh_gpa", "g_vrh_gpa")
SMALLEST_GPA = 0.1
"""Softer than this no prediction means anything; the logarithm is cut there."""


@dataclass(frozen=True)
class StabilityClassifier:
    """A fitted classifier, and how good it was on crystals that it had not seen.

    Attributes:
        intercept: log odds of being unstable where all features are 0.
        weights: of FEATURES.
        n, n_unstable: labels that it was fitted on, and those that are not positive definite.
        auroc, auroc_spread: of cross-validation over formulas: all crystals together, and standard deviation over the
            folds. The networks had seen the training crystals among them.
        n_held_out, n_held_out_unstable, auroc_held_out: of those that the networks had not seen either (val).
    """

    intercept: float
    weights: tuple[float, ...]
    n: int
    n_unstable: int
    auroc: float
    auroc_spread: float
    n_held_out: int
    n_held_out_unstable: int
    auroc_held_out: float

    def probability(self, columns: Mapping[str, NDArray[Any]], system: NDArray[np.str_]) -> Floats:
        """Probability that the stiffness of a DFT calculation is positive definite.

        Args:
            columns: derived numbers by name, each [n_crystals].
            system: crystal systems, [n_crystals].

        Returns:
            0 to 1, [n_crystals]; NaN where the stiffness is unknown.
        """
        log_odds = self.intercept + stability_features(columns, system) @ np.array(self.weights)
        return np.asarray(1.0 / (1.0 + np.exp(log_odds)))

    def to_json(self) -> dict[str, Any]:
        """Plain data for a model card."""
        return {"features": list(FEATURES), **asdict(self)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "StabilityClassifier | None":
        """Reads what `to_json` wrote; None for a model without one, or with one of other features."""
        if tuple(data.get("features", ())) != FEATURES:
            return None
        given = {name: value for name, value in data.items() if name != "features"}
        return StabilityClassifier(**(given | {"weights": tuple(given["weights"])}))


def stability_features(columns: Mapping[str, NDArray[Any]], system: NDArray[np.str_]) -> Floats:
    """What the classifier looks at, [n_crystals, n_features]; arguments as of `StabilityClassifier.probability`."""
    moduli = [np.log(np.maximum(np.asarray(columns[name], dtype=np.float64), SMALLEST_GPA)) for name in _COLUMNS]
    return np.stack([*moduli, np.asarray(system == "cubic", dtype=np.float64)], axis=1)
