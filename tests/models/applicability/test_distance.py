"""The distance score: zero at home, growing with distance, and honest as a share."""

from dataclasses import replace

import numpy as np
import pytest

from models.applicability.descriptor import DESCRIPTOR_GRAPH, describe
from models.applicability.distance import OOD_SCORE, RARITY_WEIGHT, TrainingReference, reference_of
from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.graph import build_graph
from models.errors import ModelError
from models.reference.crystals import crystals_of_all_classes
from tests.models.applicability.known_networks import known_networks

TRAIN = CrystalBatch.join(crystals_of_all_classes(seed=seed).crystals for seed in range(6))
HELD_OUT = CrystalBatch.join(crystals_of_all_classes(seed=seed).crystals for seed in (20, 21, 22))


def described(crystals: CrystalBatch) -> Floats:
    return describe(crystals, build_graph(crystals, DESCRIPTOR_GRAPH))


@pytest.fixture(scope="module")
def reference() -> TrainingReference:
    raw = reference_of(described(TRAIN), TRAIN)
    return raw.calibrated(raw.distance(described(HELD_OUT), HELD_OUT))


def test_distance_agrees_with_a_loop_over_all_pairs(reference: TrainingReference) -> None:
    few = HELD_OUT.select(range(5))
    found = reference.distance(described(few), few)
    for k, row in enumerate((described(few) - reference.center) / reference.scale):
        weights = np.where(np.arange(54) < 36, 0.5 * 36**-0.5, 18**-0.5)
        place = weights * np.clip(row, -6, 6)
        nearest = np.sort(np.linalg.norm(reference.points - place, axis=1))[:3]
        held = reference.element_counts[np.unique(few.select([k]).numbers)].min()
        assert found[k] == pytest.approx(nearest.mean() + RARITY_WEIGHT / (1 + held / 5), abs=1e-4)


def test_a_training_crystal_is_nearer_than_a_held_out_one(reference: TrainingReference) -> None:
    at_home = reference.distance(described(TRAIN), TRAIN)
    assert np.median(at_home) < np.median(reference.distance(described(HELD_OUT), HELD_OUT))


def test_further_training_moves_crystals_like_the_new_ones_nearer_and_none_away() -> None:
    raw, new = reference_of(described(TRAIN), TRAIN), HELD_OUT.select(range(0, 96, 2))
    more = raw.extended(described(new), new)
    before, after = (each.distance(described(HELD_OUT), HELD_OUT) for each in (raw, more))
    assert (after <= before + 1e-4).all() and (after[::2] < before[::2] - 1e-3).mean() > 0.9
    assert len(more.points) == len(raw.points) + new.n_crystals


def test_crystals_that_training_had_already_add_nothing() -> None:
    """Stored points have half precision; they are recognised all the same."""
    raw = reference_of(described(TRAIN), TRAIN)
    stored = replace(raw, points=raw.points.astype(np.float16).astype(np.float32))
    again = stored.extended(described(TRAIN), TRAIN)
    assert len(again.points) == len(raw.points)
    assert np.array_equal(again.element_counts, raw.element_counts)


def test_scores_of_held_out_crystals_are_shares(reference: TrainingReference) -> None:
    """Of n held-out crystals calibrated on themselves a share s scores below s; new ones do within binomial limits."""
    own = reference.score(reference.distance(described(HELD_OUT), HELD_OUT))
    for share in (0.1, 0.5, 0.9):
        assert (own <= share).mean() == pytest.approx(share, abs=0.03)
    new = CrystalBatch.join(crystals_of_all_classes(seed=seed).crystals for seed in (30, 31, 32))
    scores = reference.score(reference.distance(described(new), new))
    assert (scores > 0.5).mean() == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 96 + 0.25 / 96))
    assert ((scores >= 0) & (scores <= 1)).all()


def test_slabs_and_molecules_are_farther_than_random_crystals(reference: TrainingReference) -> None:
    odd = CrystalBatch.join(known.crystal for known in known_networks() if known.in_vacuum)
    assert (reference.score(reference.distance(described(odd), odd)) > OOD_SCORE).all()


def test_an_unseen_element_raises_the_distance_and_a_frequent_one_does_not(reference: TrainingReference) -> None:
    numbers = np.full_like(HELD_OUT.numbers, 92)
    unseen = CrystalBatch(HELD_OUT.lattice, HELD_OUT.frac_coords, numbers, HELD_OUT.crystal_of_atom)
    descriptors = described(HELD_OUT)  # the same for both: they differ in nothing but how often training had them
    added = reference.distance(descriptors, unseen) - reference.distance(descriptors, HELD_OUT)
    assert (added > 0.5 * RARITY_WEIGHT).all()
    frequent = replace(reference, element_counts=np.full_like(reference.element_counts, 1e9))
    assert np.allclose(reference.distance(descriptors, unseen) - frequent.distance(descriptors, unseen), RARITY_WEIGHT)


def test_the_score_grows_with_distance_beyond_all_that_was_held_out(reference: TrainingReference) -> None:
    distances = np.linspace(0.0, 5 * reference.quantiles[-1], 200)
    scores = reference.score(distances)
    assert (np.diff(scores) >= 0).all()
    far = distances > reference.quantiles[-1]
    assert (np.diff(scores[far][:40]) > 0).all()
    assert scores[far].min() > OOD_SCORE - 1e-9
    assert scores[-1] < 1.0 + 1e-12


def test_a_reference_without_calibration_or_crystals_is_refused(reference: TrainingReference) -> None:
    raw = reference_of(described(TRAIN), TRAIN)
    with pytest.raises(ModelError, match="no calibration"):
        raw.score(np.ones(3))
    with pytest.raises(ModelError, match="39 held-out"):
        raw.calibrated(np.ones(39))
    with pytest.raises(ModelError, match="no training data"):
        reference_of(np.zeros((0, 54)), TRAIN.select([]))
