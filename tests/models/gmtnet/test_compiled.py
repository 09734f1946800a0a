"""The compiled form of the network: the same numbers as the plain one, from one atom of each orbit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.crystals.crystal import CrystalBatch, Floats
from models.gmtnet.card import find_checkpoint
from models.gmtnet.compiled.batch import Workspace, orbit_batch
from models.gmtnet.compiled.network import can_compile
from models.gmtnet.config import GMTNET
from models.gmtnet.network import GMTNet
from models.gmtnet.predictor import GMTNetPredictor
from models.quantities import Tensor
from models.reference.crystals import in_cell, transformed
from models.symmetry.idealize import IdealizedCrystals, as_given, idealize
from models.symmetry.search import find_symmetry
from models.tensors.voigt import to_components
from models.testing.contract import crystals_of_all_classes, textbook_crystals
from tests.models.gmtnet.untrained import untrained

CRYSTALS = CrystalBatch.join([textbook_crystals().crystals, crystals_of_all_classes(seed=3).crystals])
IDEAL = idealize(CRYSTALS, find_symmetry(CRYSTALS))
N_TEXTBOOK = textbook_crystals().crystals.n_crystals
TOLERANCE = 2e-5
"""Errors are 2e-6, but for e, whose sums over an almost symmetric crystal nearly cancel in single precision."""

RANDOM_TOLERANCE = 1e-4
"""Of random crystals, whose impossible bonds make exponents of the heads large: float32 is no better there."""


@pytest.fixture(scope="module")
def shipped() -> GMTNetPredictor:
    return GMTNetPredictor.load(find_checkpoint("gmtnet"))[0]


def relative_errors(got: dict[Tensor, Floats], wanted: dict[Tensor, Floats]) -> dict[str, float]:
    """Largest error of each tensor over its norm, or over a tenth of the median norm for tensors near zero."""
    errors = {}
    for quantity, tensors in wanted.items():
        norm = np.linalg.norm(to_components(quantity, tensors), axis=-1)
        error = np.linalg.norm(to_components(quantity, got[quantity] - tensors), axis=-1)
        errors[quantity.value] = float((error / np.maximum(norm, 0.1 * np.median(norm[norm > 1e-3]))).max())
    return errors


def test_orbits_of_idealized_crystals_say_what_all_their_atoms_say(shipped: GMTNetPredictor) -> None:
    tensors, scalars = shipped.predict_with_scalars(IDEAL.crystals)
    outputs = shipped.predict_idealized(IDEAL)
    assert max(relative_errors(outputs.tensors, tensors).values()) < RANDOM_TOLERANCE
    some = IDEAL.select(np.arange(N_TEXTBOOK))
    real = relative_errors(shipped.predict_idealized(some).tensors, shipped.predict(some.crystals))
    assert max(real.values()) < TOLERANCE
    for scalar, values in scalars.items():
        np.testing.assert_allclose(outputs.scalars[scalar], values, atol=1e-4)


def test_crystals_of_which_each_atom_is_an_orbit_say_the_same(shipped: GMTNetPredictor) -> None:
    outputs = shipped.predict_idealized(as_given(CRYSTALS))
    assert max(relative_errors(outputs.tensors, shipped.predict(CRYSTALS)).values()) < RANDOM_TOLERANCE


def test_a_wrong_rotation_is_seen(shipped: GMTNetPredictor) -> None:
    """Control: tensors of the other atoms of an orbit are not those of its first one."""
    wrong = replace(IDEAL, rotations=np.broadcast_to(np.eye(3), IDEAL.rotations.shape).copy())
    errors = relative_errors(shipped.predict_idealized(wrong).tensors, shipped.predict(IDEAL.crystals))
    assert errors[Tensor.ELASTIC.value] > 100 * TOLERANCE


def test_representations_of_a_crystal_are_predicted_alike(shipped: GMTNetPredictor) -> None:
    """Reflected, and in another cell twice as large."""
    mirror = np.diag([1.0, 1.0, -1.0])
    other = in_cell(transformed(CRYSTALS, mirror), np.array([[1, 1, 0], [0, 1, 0], [0, 0, 2]]))
    moved = shipped.predict_idealized(idealize(other, find_symmetry(other))).tensors[Tensor.DIELECTRIC_ELECTRONIC]
    given = shipped.predict_idealized(IDEAL).tensors[Tensor.DIELECTRIC_ELECTRONIC]
    np.testing.assert_allclose(moved, mirror @ given @ mirror, rtol=1e-4, atol=1e-4)


def test_batches_do_not_depend_on_each_other(shipped: GMTNetPredictor) -> None:
    workspace = Workspace()
    rows = np.arange(5, 12)
    together, alone = shipped.predict_idealized(IDEAL), shipped.predict_idealized(IDEAL.select(rows))
    for quantity, tensors in alone.tensors.items():
        np.testing.assert_allclose(tensors, together.tensors[quantity][:, rows], rtol=1e-5, atol=1e-5)
    # arrays of an earlier, larger batch are used again
    assert orbit_batch(IDEAL, GMTNET.graph, workspace).n_crystals == IDEAL.crystals.n_crystals
    assert orbit_batch(IDEAL.select(rows), GMTNET.graph, workspace).n_crystals == len(rows)


def test_only_the_default_kind_is_compiled() -> None:
    assert can_compile(GMTNet(GMTNET))
    assert not can_compile(GMTNet(replace(GMTNET, n_relative=0)))
    # the loops take eight channels at a time: fewer would be read beyond their end
    assert not can_compile(GMTNet(replace(GMTNET, hidden_irreps="48x0e+12x1o+16x2e+8x2o+8x3o+8x4e")))
    assert not can_compile(GMTNet(replace(GMTNET, coupling_channels=4)))


def test_a_distilled_network_predicts_the_spread_of_its_ensemble() -> None:
    names = ("k_vrh_gpa", "elastic_error_gpa")
    torch.manual_seed(0)
    model = untrained(replace(GMTNET, spreads=names))
    outputs = model.predict_idealized(IDEAL)
    assert list(outputs.spreads) == list(names)
    for values in outputs.spreads.values():
        assert values.shape == (IDEAL.crystals.n_crystals,)
        assert (values > 0).all()


def test_no_crystals_give_empty_outputs(shipped: GMTNetPredictor) -> None:
    none: IdealizedCrystals = IDEAL.select(np.zeros(0, dtype=np.int64))
    assert shipped.predict_idealized(none).tensors[Tensor.ELASTIC].shape == (4, 0, 6, 6)
