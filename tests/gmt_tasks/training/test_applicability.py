"""The distance score of real labels: made from train alone, it sees what train lacks and where errors are."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gmt_tasks.evaluation.applicability import (
    FAMILIES,
    auroc,
    element_families,
    errors_by_distance,
    structure_families,
)
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.training.applicability import (
    descriptors_of,
    fit_training_reference,
    rows_with_tensors,
    write_training_reference,
)
from models.applicability.distance import TrainingReference, reference_of
from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.errors import GmtError
from models.gmtnet.card import ModelCard, read_card, write_card
from models.gmtnet.config import GMTNET
from models.gmtnet.training_data.reference_file import load_training_reference, training_reference_path
from models.quantities import TENSORS, Tensor
from models.reference.crystals import crystals_of_all_classes
from models.tensors.voigt import from_components

DATA = Path("../shared/data")
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="label files lie beside a checkout; none here")
LARGEST_FILE_BYTES = 3_000_000


def made_up(n_train: int = 5, n_val: int = 2) -> LabelledCrystals:
    """Labels of random crystals: dielectric tensors for all, and nothing else; one split after the other."""
    parts = [crystals_of_all_classes(seed=seed).crystals for seed in range(n_train + n_val + 1)]
    crystals = CrystalBatch.join(parts)
    names = [Split.TRAIN] * n_train + [Split.VAL] * n_val + [Split.TEST]
    split = np.repeat([name.value for name in names], 32)
    n = crystals.n_crystals
    components = {q: np.full((n, facts.n_components), np.nan) for q, facts in TENSORS.items()}
    components[Tensor.DIELECTRIC_ELECTRONIC][:] = np.random.default_rng(0).uniform(2.0, 6.0, (n, 6))
    nothing: Any = np.full((n, 3), np.nan)
    no: Any = np.zeros(n, dtype=bool)
    primary = dict.fromkeys(Tensor, no)
    known = {
        "ids": [f"m{k}" for k in range(n)],
        "crystals": crystals,
        "split": split,
        "components": components,
        "primary": primary,
        "sign_unproven": no,
        "proven_frame": no,
        "eps_mean": nothing[:, :2],
        "eps_principal": nothing,
        "moduli": nothing[:, :2],
        "moduli_weight": np.ones(n),
    }
    fields = LabelledCrystals.__dataclass_fields__
    return LabelledCrystals(**{name: known.get(name, nothing) for name in fields})


def predicted(labels: LabelledCrystals, rows: Any, error: Any, score: Any) -> Any:
    """A prediction that is off by the given relative errors, with the given scores."""
    truth = labels.components[Tensor.DIELECTRIC_ELECTRONIC][rows]
    tensors = {q: np.zeros((len(rows), *facts.shape)) for q, facts in TENSORS.items()}
    tensors[Tensor.DIELECTRIC_ELECTRONIC] = from_components(Tensor.DIELECTRIC_ELECTRONIC, truth * (1 + error[:, None]))
    reliability = {"ood_score": score, "ood": (score > 0.95).astype(float)}
    return SimpleNamespace(
        derived=SimpleNamespace(prediction=SimpleNamespace(tensors=tensors)), reliability=reliability
    )


def test_an_auroc_counts_pairs() -> None:
    rng = np.random.default_rng(2)
    inside, outside = rng.integers(0, 9, 40).astype(float), rng.integers(3, 12, 30).astype(float)
    pairs = (outside[:, None] > inside).mean() + 0.5 * (outside[:, None] == inside).mean()
    assert auroc(inside, outside) == pytest.approx(pairs)
    assert auroc(inside, inside) == pytest.approx(0.5)
    with pytest.raises(GmtError, match="0 outside"):
        auroc(inside, np.zeros(0))


def test_errors_that_follow_the_score_are_seen_and_others_are_not() -> None:
    labels = made_up()
    rows = labels.rows(Split.VAL)
    score = np.linspace(0.0, 1.0, len(rows))
    (found,) = errors_by_distance(labels, rows, predicted(labels, rows, 0.1 + 0.2 * score, score), Split.VAL)
    assert (found.quantity, found.n, found.spearman) == ("dielectric_electronic", 64, pytest.approx(1.0))
    assert found.median_low == pytest.approx(0.1 + 0.2 * np.median(score[:22]))
    assert found.median_low < found.median_middle < found.median_high < found.median_flagged
    mixed = np.random.default_rng(3).permutation(0.1 + 0.2 * score)
    (found,) = errors_by_distance(labels, rows, predicted(labels, rows, mixed, score), Split.VAL)
    assert abs(found.spearman) < 0.4


def test_the_score_is_made_of_train_and_val_and_never_of_test() -> None:
    labels = made_up()
    reference = fit_training_reference(labels)
    assert len(reference.points) == len(labels.rows(Split.TRAIN)) == 160
    spoilt = labels.split.copy()
    without_test = labels.crystals.select(np.flatnonzero(spoilt != Split.TEST.value))
    moved = CrystalBatch.join([without_test, crystals_of_all_classes(seed=77).crystals])
    again = fit_training_reference(made_up().__class__(**{**labels.__dict__, "crystals": moved}))
    assert np.array_equal(again.points, reference.points)
    assert np.array_equal(again.quantiles, reference.quantiles)


def test_the_score_is_stored_beside_the_weights(tmp_path: Path) -> None:
    path = write_card(ModelCard("small", "1", "ab" * 32, GMTNET, (8, 14)), tmp_path)
    reference = write_training_reference(made_up(), path)
    again = load_training_reference(path, read_card(path))
    assert again is not None
    assert np.array_equal(again.quantiles, reference.quantiles)


def test_families_are_elements() -> None:
    symbols = {symbol for family in FAMILIES.values() for symbol in family.split()}
    assert symbols <= set(SYMBOLS[1:])
    crystals = crystals_of_all_classes().crystals
    oxides = [bool((crystals.numbers[crystals.crystal_of_atom == k] == 8).any()) for k in range(32)]
    assert element_families(crystals)["oxides"].tolist() == oxides


@pytest.fixture(scope="module")
def labels(real_labels: LabelledCrystals) -> LabelledCrystals:
    return real_labels


@pytest.fixture(scope="module")
def real(labels: LabelledCrystals) -> tuple[Any, Any, CrystalBatch]:
    """Rows with tensors (train, then val), their descriptors and the crystals."""
    rows = np.concatenate([rows_with_tensors(labels, split) for split in (Split.TRAIN, Split.VAL)])
    crystals = labels.crystals.select(rows)
    return rows, descriptors_of(crystals), crystals


def separation(labels: LabelledCrystals, real: tuple[Any, Any, CrystalBatch], in_family: Any) -> tuple[float, float]:
    """AUROC of a family left out of the reference, and with it left in."""
    rows, descriptors, crystals = real
    train = labels.split[rows] == Split.TRAIN.value
    inside, outside = np.flatnonzero(~train & ~in_family), np.flatnonzero(~train & in_family)

    def distances(reference: TrainingReference) -> float:
        parts = [reference.distance(descriptors[part], crystals.select(part)) for part in (inside, outside)]
        return auroc(parts[0], parts[1])

    chosen = train & ~in_family
    left_out = reference_of(descriptors[chosen], crystals.select(np.flatnonzero(chosen)))
    return distances(left_out), distances(reference_of(descriptors[train], crystals.select(np.flatnonzero(train))))


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("family", ["halides", "4d metals"])
def test_a_family_that_was_left_out_stands_out_and_one_that_was_not_does_not(
    labels: LabelledCrystals, real: tuple[Any, Any, CrystalBatch], family: str
) -> None:
    out, kept = separation(labels, real, element_families(real[2])[family])
    assert out > 0.85
    assert kept < out - 0.15  # negative control


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize(("family", "least"), [("layers and chains", 0.85), ("open frameworks", 0.75)])
def test_structures_that_were_left_out_stand_out(
    labels: LabelledCrystals, real: tuple[Any, Any, CrystalBatch], family: str, least: float
) -> None:
    out, kept = separation(labels, real, structure_families(labels, real[0], real[1])[family])
    assert out > least
    assert kept < out


@needs_data
@pytest.mark.slow  # that held-out scores are shares is shown on made-up points in models/applicability/test_distance.py
def test_the_stored_score_is_small_and_its_half_of_val_is_half(labels: LabelledCrystals, tmp_path: Path) -> None:
    path = write_card(ModelCard("small", "1", "ab" * 32, GMTNET, (8, 14)), tmp_path)
    write_training_reference(labels, path)
    assert training_reference_path(path).stat().st_size < LARGEST_FILE_BYTES
    reference = load_training_reference(path, read_card(path))
    assert reference is not None
    val = labels.crystals.select(rows_with_tensors(labels, Split.VAL))
    scores = reference.score(reference.distance(descriptors_of(val), val))
    assert np.median(scores) == pytest.approx(0.5, abs=0.02)
    assert (scores > 0.95).mean() == pytest.approx(0.05, abs=0.01)
