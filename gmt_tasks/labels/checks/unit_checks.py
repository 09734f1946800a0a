"""Factors of units: a label, or a whole label batch, that is 10 or 0.5 times what it should be.

A factor leaves symmetry and definiteness alone, so it shows only beside something else: known labels of the same
crystals, a model's predictions, or the trend of the other labels with composition. One label may differ from each of
them by a lot; the median of many may not.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gmt_tasks.labels.checks.factors import factor_name
from gmt_tasks.labels.kinds import TENSOR_VALUES
from gmt_tasks.labels.label_kind import Floats, Size
from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.tensor_model import TensorModel

Sizes = dict[str, float]
PredictSizes = Callable[[CrystalBatch], list[Sizes]]
"""Sizes (see `ReadLabel.sizes`) that a model expects of crystals; an empty dict for one it cannot predict."""

MAX_MEDIAN_FACTOR = 2**0.5
"""A median that is further off is nearer to a factor of 2 than to none."""

MAX_KNOWN_FACTOR = 1.25
"""The same beside known labels of the same crystals, of which there are `MIN_COMPARED`: between codes and functionals
the median is within 1.03, LDA and GGA differ by 1.15."""

MIN_COMPARED = 8
MIN_KNOWN = 3
STANDARD_ERRORS = 3.0

SUSPICIOUS_FACTOR = 3.0
SINGLE_FACTOR = 5.0
NEAR_FACTOR = 1.6
SURE_FACTOR = 1.25
"""A single label is suspected of another unit when it is `SINGLE_FACTOR` away from its prediction or, within
`NEAR_FACTOR`, a power of ten from its trend; it is refused within `SURE_FACTOR` of a power of ten of the prediction."""

MIN_RELATED = 48
MIN_TREND_ROWS = 30
CRYSTALS_PER_CALL = 32
"""Of the model: what bounds its memory."""


@dataclass(frozen=True)
class ScaleShift:
    """A factor by which many labels differ from what they are compared with.

    Attributes:
        median: of the ratio, over its usual value.
        n: labels compared.
        unit: of the quantity.
        beside: what they were compared with.
    """

    median: float
    n: int
    unit: str
    beside: str

    def __str__(self) -> str:
        name = factor_name(self.median, self.unit)
        return f"{self.n} labels are {self.median:.3g} times {self.beside} in the median ({name})"


def power_of_ten(ratio: float, within: float = NEAR_FACTOR) -> bool:
    """Whether a ratio is nearly 10, 100, ... or a tenth, a hundredth, ..."""
    exponent = round(float(np.log10(ratio)))
    return exponent != 0 and bool(abs(np.log(ratio / 10.0**exponent)) < np.log(within))


def scale_shift(
    ratios: Floats,
    unit: str,
    beside: str,
    usual: float = 1.0,
    *,
    least: int = MIN_COMPARED,
    limit: float = MAX_MEDIAN_FACTOR,
) -> ScaleShift | None:
    """The common factor of many labels; None where their median is near its usual value, or too uncertain.

    Args:
        ratios: label over comparison, positive, [n].
        unit: of the quantity, for the message.
        beside: what is compared with, for the message.
        usual: the median that right labels have.
        least: number of ratios below which nothing is said.
        limit: factor that nothing is said within.
    """
    logs = np.log(ratios[ratios > 0] / usual)
    if len(logs) < least:
        return None
    center = float(np.median(logs))
    spread = 1.4826 * float(np.median(np.abs(logs - center)))
    error = 1.2533 * spread / np.sqrt(len(logs)) * (1 + 4 / len(logs))  # few rows underrate their own spread
    if abs(center) <= max(np.log(limit), STANDARD_ERRORS * error):
        return None
    return ScaleShift(float(np.exp(center)), len(logs), unit, beside)


def unrelated(values: Floats, predictions: Floats, size: Size) -> str:
    """What shows that labels belong to other crystals; empty where they do not, or are too few to say.

    Both signs are needed: among crystals that are alike right labels may lack any order, but then they lie near their
    predictions.

    Args:
        values: sizes of labels drawn without regard to them, [n].
        predictions: of the same crystals, [n].
        size: which size.
    """
    comparable = (values > 0) & (predictions > 0)
    if comparable.sum() < MIN_RELATED:
        return ""
    ranks = [np.argsort(np.argsort(sizes[comparable], kind="stable")) for sizes in (values, predictions)]
    correlation = float(np.asarray(np.corrcoef(np.stack(ranks)))[0, 1])
    # the median is taken out: a common factor is another mistake
    logs = np.log(values[comparable] / predictions[comparable])
    apart = float(np.exp(np.median(np.abs(logs - np.median(logs)))))
    if correlation >= size.least_correlation or apart <= size.largest_factor:
        return ""
    return (
        f"{comparable.sum()} labels and predictions of {size.name}: rank correlation {correlation:.2f}, a factor of "
        f"{apart:.2f} apart in the median"
    )


def off_trend(formulas: Sequence[str], sizes: Floats) -> Floats:
    """How far each label is from the trend of the others with composition, as a logarithm; 0 where they are too few.

    A ridge regression of log(size) on the shares of the elements, refitted with less weight on what is far off; every
    label is compared with the fit to all others.

    Args:
        formulas: reduced formulas, [n].
        sizes: positive, [n].

    Returns:
        log(label / trend), 0 within four robust standard deviations or a factor of 3, [n].
    """
    if len(sizes) < MIN_TREND_ROWS:
        return np.zeros(len(sizes))
    shares, logs = _shares(formulas), np.log(sizes)
    weights, residuals, spread = np.ones(len(logs)), np.zeros(len(logs)), 0.0
    for _ in range(4):
        weighted = shares * weights[:, None]
        inverse = np.linalg.inv(shares.T @ weighted + 0.3 * np.eye(shares.shape[1]))
        leverage = np.einsum("ni,ij,nj->n", shares, inverse, weighted)
        residuals = (logs - shares @ (inverse @ (weighted.T @ logs))) / np.maximum(1 - leverage, 0.05)
        spread = 1.4826 * float(np.median(np.abs(residuals)))
        weights = np.minimum(1.0, 2 * max(spread, 1e-6) / np.maximum(np.abs(residuals), 1e-12))
    limit = max(4 * spread, np.log(SUSPICIOUS_FACTOR))
    return np.where(np.abs(residuals) > limit, residuals, 0.0)


def _shares(formulas: Sequence[str]) -> Floats:
    """Shares of the elements of each formula and a constant, [n, n_elements + 1]."""
    place = {symbol: k for k, symbol in enumerate(SYMBOLS)}
    shares = np.zeros((len(formulas), len(SYMBOLS) + 1))
    shares[:, -1] = 1.0
    for row, formula in enumerate(formulas):
        counts = [(place[s], int(n or 1)) for s, n in re.findall(r"([A-Z][a-z]?)(\d*)", formula)]
        total = sum(n for _, n in counts)
        for k, n in counts:
            shares[row, k] += n / total
    return shares[:, shares.any(axis=0)]


def ratios(sizes: Sequence[Mapping[str, float]], expected: Sequence[Mapping[str, float]], name: str) -> Floats:
    """Label over expectation of one size, NaN where either is missing or not positive, [n]."""
    values = np.array([label.get(name, np.nan) for label in sizes], dtype=np.float64)
    expectations = np.array([model.get(name, np.nan) for model in expected], dtype=np.float64)
    usable = (values > 0) & (expectations > 0)
    quotient = np.full(len(values), np.nan)
    quotient[usable] = values[usable] / expectations[usable]
    return quotient


def predicted_sizes(model: TensorModel) -> PredictSizes:
    """Sizes that a model expects; of an element that it does not know none."""

    def predict(crystals: CrystalBatch) -> list[Sizes]:
        is_known = np.isin(crystals.numbers, list(model.elements))
        unknown = np.unique(crystals.crystal_of_atom[~is_known])
        rows = np.setdiff1d(np.arange(crystals.n_crystals), unknown)
        expected: list[Sizes] = [{} for _ in range(crystals.n_crystals)]
        for start in range(0, len(rows), CRYSTALS_PER_CALL):
            part = rows[start : start + CRYSTALS_PER_CALL]
            for quantity, ensembles in model.predict(crystals.select(part)).items():
                value = TENSOR_VALUES[quantity]
                for k, row in enumerate(part.tolist()):
                    # networks may disagree about the sign of an odd tensor: its mean would be too small
                    tensors = ensembles[:, k] if value.is_odd else [ensembles[:, k].mean(axis=0)]
                    sizes = [value.sizes(tensor) for tensor in tensors]
                    for name in sizes[0]:
                        expected[row][name] = float(np.mean([size[name] for size in sizes]))
        return expected

    return predict


def load_predictor(model: str, device: str = "auto") -> PredictSizes:
    """Sizes expected by a shipped model or a checkpoint; torch is imported here."""
    from models.gmtnet.card import find_checkpoint
    from models.gmtnet.predictor import GMTNetPredictor

    predictor, _ = GMTNetPredictor.load(find_checkpoint(model), device=device)
    return predicted_sizes(predictor)
