"""The senses of the IEEE axes: the standard's coefficients are positive, however the axes pointed before."""

import numpy as np
import pytest

from models.quantities import Tensor
from models.tensors.positive_senses import SENSE_RULES, positive_senses
from models.tensors.rotate import rotate
from models.tensors.voigt import piezo_to_voigt
from tests.models.tensors.test_frames import GENERATORS, Floats, _about_z, _group

TWO_FOLD_ROTATIONS = [np.diag(signs) for signs in ([1.0, 1, 1], [1.0, -1, -1], [-1.0, 1, -1], [-1.0, -1, 1])]
ROUNDING = 1e-5
"""The operations of a group are written with six decimals."""
QUARTERS = {"4", "-4", "422", "4mm", "-42m", "23", "-43m"}
SIXTHS = {"3", "32", "3m", "6", "-6", "622", "6mm", "-6m2"}


def allowed(point_group: str, seed: int) -> Floats:
    """A random tensor of third rank that a class allows, in its IEEE frame."""
    values = np.random.default_rng(seed).normal(size=(3, 3, 3))
    values = values + np.swapaxes(values, 1, 2)
    operations = np.array([np.reshape(operation, (3, 3)) for operation in sorted(_group(point_group))])
    mean: Floats = rotate(Tensor.PIEZOELECTRIC, values, operations).mean(axis=0)
    return np.where(np.abs(mean) < ROUNDING, 0.0, mean)


def admissible(point_group: str) -> list[Floats]:
    """Proper rotations after which the axes lie as well as before: they keep the class and exchange equal axes."""
    turns = [_about_z(90)] if point_group in QUARTERS else [_about_z(60)] if point_group in SIXTHS else []
    rotations = [half @ other for half in TWO_FOLD_ROTATIONS for other in [np.eye(3), *turns]]
    group = _group(point_group)
    kept = [{tuple(np.round(r @ np.reshape(g, (3, 3)) @ r.T, 6).ravel() + 0.0) for g in group} for r in rotations]
    return [rotation for rotation, images in zip(rotations, kept, strict=True) if images == group]


@pytest.mark.parametrize("point_group", SENSE_RULES)
def test_every_admissible_choice_of_axes_ends_in_the_same_tensor_with_positive_coefficients(point_group: str) -> None:
    rule = SENSE_RULES[point_group]
    assert all(np.linalg.det(rotation) == pytest.approx(1) for rotation in rule.rotations)
    before = []
    for seed in range(6):
        tensor = allowed(point_group, seed)
        ends = []
        for rotation in admissible(point_group):
            given = rotate(Tensor.PIEZOELECTRIC, tensor, rotation)
            senses = positive_senses(point_group, given)
            assert tuple(senses.decided) == rule.positive
            assert all(value > 0 for value in senses.decided.values())
            ends.append(rotate(Tensor.PIEZOELECTRIC, given, senses.rotation))
            before.append([piezo_to_voigt(given)[int(name[1]) - 1, int(name[2]) - 1] for name in rule.positive])
        np.testing.assert_allclose(ends, np.broadcast_to(ends[0], np.shape(ends)), rtol=0, atol=ROUNDING)
    # control: without the rule every sign occurs, unless the class leaves none open
    assert len({tuple(np.sign(row)) for row in before}) == 2 ** len(rule.positive)


@pytest.mark.parametrize("point_group", SENSE_RULES)
def test_a_mirror_image_differs_only_in_classes_of_crystals_with_a_hand(point_group: str) -> None:
    chiral = all(np.linalg.det(generator) > 0 for generator in GENERATORS[point_group])
    tensor = allowed(point_group, 1)
    both = [
        rotate(Tensor.PIEZOELECTRIC, each, positive_senses(point_group, each).rotation) for each in (tensor, -tensor)
    ]
    # An axis 2 along Y turns d22 by proper rotations alone, and so on: only what tells the hand keeps its sign.
    assert np.allclose(*both, atol=ROUNDING) is not chiral or point_group in {"23"}


def test_a_coefficient_that_is_next_to_nothing_does_not_decide() -> None:
    tensor = np.zeros((3, 3, 3))
    tensor[2, 2, 2], tensor[0, 0, 2], tensor[0, 2, 0], tensor[1, 1, 2], tensor[1, 2, 1] = -1e-5, 1, 1, 1, 1
    senses = positive_senses("6mm", tensor)
    assert (senses.decided, senses.undecided) == ({}, {"d33": -1e-5})
    np.testing.assert_array_equal(senses.rotation, np.eye(3))
    senses = positive_senses("6mm", 1000 * np.where(tensor < 0, 1, 0) * tensor + tensor)
    assert list(senses.decided) == ["d33"]
    np.testing.assert_array_equal(senses.rotation, np.diag([1.0, -1, -1]))


@pytest.mark.parametrize("tensor", [np.zeros((3, 3, 3)), np.full((3, 3, 3), np.nan)])
def test_without_a_tensor_the_axes_stay(tensor: Floats) -> None:
    np.testing.assert_array_equal(positive_senses("6mm", tensor).rotation, np.eye(3))
