"""Figures that others reached on the same test split: measured elsewhere, not by this repository.

"reference network" is the published code of GMTNet with its own recipe, 200 epochs on the train part of one file;
"composition" is a regression forest (ExtraTrees) on element statistics, density and space group that predicts only the
isotropic part; "true trace" and "true K and G" know the labels' isotropic part and predict nothing else. All are for
the primary files.
"""

from dataclasses import dataclass

from models.quantities import Tensor

NAN = float("nan")
NONZERO = "proven frame, non-zero"


@dataclass(frozen=True)
class PublishedTensor:
    """Errors of one predictor on the primary test labels of one tensor; NaN where no figure is known.

    Attributes:
        quantity: which tensor.
        labels: "primary", "all" or "proven frame, non-zero", as of `TensorMetrics`.
        predictor: who.
        fnorm: mean Frobenius norm of the error in the tensor's unit.
        fnorm_trimmed: the same without the worst tenth.
        ewt25, ewt10: share with a relative error below 25 and 10 %.
        median_relative: median relative error.
        knows_labels: the predictor knows a part of the truth: a measure of what isotropy costs, no competitor.
    """

    quantity: Tensor
    labels: str
    predictor: str
    fnorm: float
    fnorm_trimmed: float = NAN
    ewt25: float = NAN
    ewt10: float = NAN
    median_relative: float = NAN
    knows_labels: bool = False


@dataclass(frozen=True)
class PublishedProperty:
    """Errors of one predictor of a derived property; NaN where no figure is known."""

    name: str
    predictor: str
    mae: float
    spearman: float = NAN


_INF, _TOTAL, _C, _E = Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL, Tensor.ELASTIC, Tensor.PIEZOELECTRIC

PUBLISHED_TENSORS: tuple[PublishedTensor, ...] = (
    PublishedTensor(_INF, "primary", "composition", 4.99, 1.79, 64.9, 29.7, 0.186),
    PublishedTensor(_INF, "primary", "reference network", 4.48, 1.69, 72.1, 40.5, 0.133),
    PublishedTensor(_INF, "primary", "true trace, isotropic", 1.28, 0.63, 91.9, 69.4, 0.053, knows_labels=True),
    PublishedTensor(_TOTAL, "primary", "composition", 15.8, 5.88, 39.6, 14.4, 0.288),
    PublishedTensor(_E, NONZERO, "zero", 1.186, 0.677, 0.0, 0.0, 1.0),
    PublishedTensor(_E, "all", "zero", 1.305),
    PublishedTensor(_E, "all", "reference network", 1.346, ewt25=0.0, ewt10=0.0),
    PublishedTensor(_C, "primary", "composition with K and G labels", 110.5, 81.9, 51.4, 7.3, 0.246),
    PublishedTensor(_C, "primary", "reference network", 105.9, 87.3, 42.2, 4.6, 0.278),
    PublishedTensor(_C, "primary", "true K and G, isotropic", 71.1, 52.7, 69.7, 22.9, 0.162, knows_labels=True),
)

PUBLISHED_PROPERTIES: tuple[PublishedProperty, ...] = (
    PublishedProperty("k_vrh_gpa", "composition with K and G labels", 16.3),
    PublishedProperty("k_vrh_gpa", "reference network", 16.7),
    PublishedProperty("g_vrh_gpa", "composition with K and G labels", 11.5),
    PublishedProperty("g_vrh_gpa", "reference network", 14.5),
    PublishedProperty("e_norm_c_per_m2", "composition", 0.79, 0.63),
    PublishedProperty("e_norm_c_per_m2", "reference network", 0.97, 0.36),
)


def published_for(quantity: Tensor, labels: str, sets: tuple[str, ...]) -> list[PublishedTensor]:
    """Published figures that belong beside one set of labels.

    Args:
        quantity: which tensor.
        labels: the set that was scored.
        sets: all sets of this tensor that were scored; when there is no "primary" one, "all" are primary.
    """
    # Without labels from other files all labels are primary ones.
    named = {labels, "primary"} if labels == "all" and "primary" not in sets else {labels}
    return [row for row in PUBLISHED_TENSORS if row.quantity is quantity and row.labels in named]


def best_published(rows: list[PublishedTensor]) -> PublishedTensor | None:
    """The published competitor with the smallest trimmed error; None when no trimmed error is known."""
    competitors = [row for row in rows if row.fnorm_trimmed == row.fnorm_trimmed and not row.knows_labels]  # no NaN
    return min(competitors, key=lambda row: row.fnorm_trimmed, default=None)
