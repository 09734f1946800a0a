"""How good the distance score is: does it find chemical families that it lacks, and is it large where errors are.

For every family of elements the training crystals that hold one of them are left out of the reference; the score must
then put crystals of the family above val crystals without it. An element that is missing altogether is easy to see by
counting, so the same is measured with the count left out, and three families of structures are left out too. The error
part asks what a user asks: are predictions worse where the score is high.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, spearmanr

from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.screening.screener import TensorPrediction
from gmt_tasks.training.applicability import CRYSTALS_PER_BATCH, descriptors_of, rows_with_tensors
from models.applicability.descriptor import DESCRIPTOR_GRAPH, feature_names
from models.applicability.dimensionality import network_dimension
from models.applicability.distance import reference_of
from models.crystals.crystal import MAX_ATOMIC_NUMBER, SYMBOLS, CrystalBatch
from models.crystals.graph import build_graph
from models.errors import GmtError
from models.quantities import Tensor
from models.tensors.voigt import from_components, piezo_to_voigt

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

FAMILIES: dict[str, str] = {
    "halides": "F Cl Br I",
    "fluorides": "F",
    "oxides": "O",
    "chalcogenides": "S Se Te",
    "nitrides": "N",
    "pnictides": "P As Sb Bi",
    "borides": "B",
    "carbides": "C",
    "hydrides": "H",
    "group 14": "Si Ge Sn",
    "group 13": "Al Ga In Tl",
    "alkali metals": "Li Na K Rb Cs",
    "alkaline earths": "Be Mg Ca Sr Ba",
    "3d metals": "Sc Ti V Cr Mn Fe Co Ni",
    "4d metals": "Y Zr Nb Mo Tc Ru Rh Pd",
    "5d metals": "Hf Ta W Re Os Ir Pt",
    "noble metals": "Cu Ag Au",
    "platinum metals": "Ru Rh Pd Os Ir Pt",
    "group 12": "Zn Cd Hg",
    "heavy p": "Hg Tl Pb Bi",
    "lanthanum": "La",
    "4f": "Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu",
    "5f": "Ac Th Pa U Np Pu",
}
"""Chemical families by their elements; each is left out in turn."""

ANISOTROPIC_RATIO = 1.5
OPEN_SHARE = 0.05
MIN_FAMILY = 20
NOISE = {Tensor.PIEZOELECTRIC: 1e-2}
"""Labels of a smaller Frobenius norm, in the tensor's unit, have no relative error."""


@dataclass(frozen=True)
class FamilyDetection:
    """Whether crystals of a family that the reference lacks stand out.

    Attributes:
        family: its name in FAMILIES, or one of the structures of `structure_families`.
        n_inside: val crystals without the family.
        n_outside: train and val crystals with it.
        auroc: chance that one of the family has a larger distance than a val crystal without it; 0.5 is guessing.
        auroc_uncounted: the same by the nearest neighbours alone, without the term for rare elements.
        flagged_inside: share of the val crystals without the family that `ood` flags.
        flagged_outside: share of the family that `ood` flags.
    """

    family: str
    n_inside: int
    n_outside: int
    auroc: float
    auroc_uncounted: float
    flagged_inside: float
    flagged_outside: float


@dataclass(frozen=True)
class ErrorByDistance:
    """Relative errors of one tensor against the distance score.

    Attributes:
        quantity: which tensor.
        split: "val" or "test".
        n: number of crystals.
        spearman: rank correlation of score and relative error.
        median_low, median_middle, median_high: median relative error in the thirds of lowest to highest score.
        median_flagged: median relative error of the crystals that `ood` flags, NaN without any.
        n_flagged: number of those.
    """

    quantity: str
    split: str
    n: int
    spearman: float
    median_low: float
    median_middle: float
    median_high: float
    median_flagged: float
    n_flagged: int


def detect_families(labels: LabelledCrystals) -> list[FamilyDetection]:
    """Leaves each family out of the reference in turn and looks for it; families of fewer than 20 crystals are skipped.

    Takes train and val crystals with full tensors only; about a second per family.
    """
    train, val = (rows_with_tensors(labels, split) for split in (Split.TRAIN, Split.VAL))
    rows = np.concatenate([train, val])
    crystals = labels.crystals.select(rows)
    descriptors = descriptors_of(crystals)
    in_train = np.arange(len(rows)) < len(train)
    detections = []
    for name, in_family in (element_families(crystals) | structure_families(labels, rows, descriptors)).items():
        if not MIN_FAMILY <= in_family.sum() < len(rows) - MIN_FAMILY:
            continue
        others = np.flatnonzero(in_train & ~in_family)
        reference = reference_of(descriptors[others], crystals.select(others))
        # Infinite counts switch the term for rare elements off: what is left is the distance to the neighbours.
        uncounted = replace(reference, element_counts=np.full(MAX_ATOMIC_NUMBER + 1, np.inf))
        inside, outside = np.flatnonzero(~in_train & ~in_family), np.flatnonzero(in_family)
        parts = [(descriptors[part], crystals.select(part)) for part in (inside, outside)]
        distances = [reference.distance(*part) for part in parts]
        score = auroc(*distances), auroc(*(uncounted.distance(*part) for part in parts))
        # The same limit as in a screening: calibrated on held-out crystals like the training data.
        limit = reference.calibrated(distances[0]).quantiles[-1]
        flagged = [float((distance > limit).mean()) for distance in distances]
        detections.append(FamilyDetection(name, len(inside), len(outside), *score, *flagged))
    return detections


def element_families(crystals: CrystalBatch) -> dict[str, Bools]:
    """Which crystals hold an element of each of FAMILIES, each [n_crystals]."""
    held = np.zeros((crystals.n_crystals, MAX_ATOMIC_NUMBER + 1), dtype=bool)
    held[crystals.crystal_of_atom, crystals.numbers] = True
    families = {}
    for name, symbols in FAMILIES.items():
        numbers = [SYMBOLS.index(symbol) for symbol in symbols.split()]
        families[name] = np.asarray(held[:, numbers].any(axis=1))
    return families


def structure_families(labels: LabelledCrystals, rows: Ints, descriptors: Floats) -> dict[str, Bools]:
    """Structures that may be missing although their elements are not, each [n_rows].

    Layers and chains by their bonds; crystals whose electronic dielectric constants along two axes differ by half;
    frameworks with the most volume per atom, measured in covalent spheres.
    """
    parts = np.array_split(rows, max(1, len(rows) // CRYSTALS_PER_BATCH))
    batches = [labels.crystals.select(part) for part in parts]
    dimension = np.concatenate([network_dimension(b, build_graph(b, DESCRIPTOR_GRAPH)) for b in batches])
    # Principal values come from scalar labels, and from the tensor where there is one.
    constants = labels.eps_principal[rows]
    tensors = labels.components[Tensor.DIELECTRIC_ELECTRONIC][rows]
    known = ~np.isnan(tensors[:, 0])
    constants[known] = np.linalg.eigvalsh(from_components(Tensor.DIELECTRIC_ELECTRONIC, tensors[known]))
    volume = np.where(dimension == 3, descriptors[:, feature_names().index("log_packing")], -np.inf)
    return {
        "layers and chains": (dimension == 1) | (dimension == 2),
        "anisotropic dielectrics": constants[:, 2] > ANISOTROPIC_RATIO * constants[:, 0],
        "open frameworks": volume > np.quantile(volume, 1.0 - OPEN_SHARE),
    }


def errors_by_distance(
    labels: LabelledCrystals, rows: Ints, prediction: TensorPrediction, split: Split
) -> list[ErrorByDistance]:
    """Errors of predicted tensors against the distance score of their crystals, a row per tensor.

    Args:
        labels: all labels.
        rows: which labelled crystals the prediction is for, [n_results].
        prediction: of those, by a model with a distance score.
        split: which part of the data `rows` are.

    Returns:
        Tensors with ten labels or more.
    """
    by_tensor = []
    for quantity in Tensor:
        known, errors = relative_errors(labels, rows, prediction, quantity)
        score = prediction.reliability["ood_score"][known]
        if len(errors) < 10 or not np.isfinite(score).all():
            continue
        flagged = prediction.reliability["ood"][known] == 1
        thirds = np.array_split(errors[np.argsort(score, kind="stable")], 3)
        low, middle, high = (float(np.median(third)) for third in thirds)
        of_flagged = float(np.median(errors[flagged])) if flagged.any() else float("nan")
        correlation, name = float(spearmanr(score, errors).statistic), quantity.value
        by_tensor.append(
            ErrorByDistance(
                name, split.value, len(errors), correlation, low, middle, high, of_flagged, int(flagged.sum())
            )
        )
    return by_tensor


def relative_errors(
    labels: LabelledCrystals, rows: Ints, prediction: TensorPrediction, quantity: Tensor
) -> tuple[Ints, Floats]:
    """Positions in `rows` that have a label of this tensor, and the relative Frobenius error there.

    Signs that are not proven are free: the smaller error of both counts.
    """
    components = labels.components[quantity][rows]
    known = np.flatnonzero(~np.isnan(components[:, 0]))
    truth = from_components(quantity, components[known])
    guess = prediction.derived.prediction.tensors[quantity][known]
    if quantity is Tensor.PIEZOELECTRIC:
        truth, guess = piezo_to_voigt(truth), piezo_to_voigt(guess)
    size = np.linalg.norm(truth, axis=(1, 2))
    error = np.linalg.norm(guess - truth, axis=(1, 2))
    if quantity is Tensor.PIEZOELECTRIC:
        # Some sources do not say which end of a polar axis is up.
        opposite = np.linalg.norm(guess + truth, axis=(1, 2))
        error = np.where(labels.sign_unproven[rows[known]], np.minimum(error, opposite), error)
    usable = size > NOISE.get(quantity, 0.0)
    return known[usable], error[usable] / size[usable]


def auroc(inside: Floats, outside: Floats) -> float:
    """Chance that a number of `outside` [m] is larger than one of `inside` [n]; ties count half.

    Raises:
        GmtError: one of them is empty.
    """
    if not len(inside) or not len(outside):
        raise GmtError(f"An AUROC needs numbers of both kinds; got {len(inside)} inside and {len(outside)} outside.")
    pairs = mannwhitneyu(outside, inside, method="asymptotic").statistic
    return float(pairs / (len(inside) * len(outside)))
