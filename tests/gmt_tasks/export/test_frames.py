"""Hits in the IEEE frame: lattice and tensors turn together, whatever the orientation they came in."""

import numpy as np
import pytest

from db.query.hits import Frame, Hits
from gmt_tasks.export.frames import in_ieee_frame
from gmt_tasks.export.surface_grid import surface_grid
from models.crystals.crystal import CrystalBatch
from models.derived.surfaces import Surface
from models.quantities import TENSORS, Tensor
from models.reference.crystals import crystals_of_all_classes, random_orthogonal, transformed
from models.symmetry.search import find_symmetry
from models.tensors.frames import FrameError
from models.tensors.rotate import rotate


def hits_in(rotation: np.ndarray) -> Hits:  # type: ignore[type-arg]
    """A crystal of every class with tensors that its symmetry allows, rotated as a whole."""
    batch = crystals_of_all_classes().crystals
    symmetry = find_symmetry(batch)
    rng = np.random.default_rng(3)
    tensors = {}
    for tensor in Tensor:
        values = rng.normal(size=(batch.n_crystals, *TENSORS[tensor].shape))
        if tensor is Tensor.PIEZOELECTRIC:
            values = values + np.swapaxes(values, -1, -2)
        else:
            values = values + np.swapaxes(values, -1, -2) + 20 * np.eye(values.shape[-1])
        tensors[tensor] = rotate(tensor, symmetry.project(tensor, values), rotation)
    rows = [{"id": str(place), "symprec": 0.01} for place in range(batch.n_crystals)]
    return Hits(rows, transformed(batch, rotation), tensors)


def test_tensors_in_the_ieee_frame_do_not_depend_on_the_orientation_of_the_input() -> None:
    # Classes in which the senses of the axes are a choice that follows the cell: it turns with the crystal.
    turn = random_orthogonal(np.random.default_rng(5))
    turn = turn * np.sign(np.linalg.det(turn))
    given, turned = hits_in(np.eye(3)), hits_in(turn)
    one, other = in_ieee_frame(given), in_ieee_frame(turned)
    assert one.frame is Frame.IEEE
    alike = 0
    for place in range(len(given.rows)):
        # The rotation that the lattice rows went through is that of every tensor.
        rotation = np.linalg.solve(turned.crystals.lattice[place], other.crystals.lattice[place]).T
        for tensor, values in turned.tensors.items():
            assert np.allclose(rotate(tensor, values[place], rotation), other.tensors[tensor][place], atol=1e-8)
        alike += bool(np.allclose(one.tensors[Tensor.ELASTIC][place], other.tensors[Tensor.ELASTIC][place], atol=1e-6))
    assert alike == len(given.rows)
    # control: without the rotation into the frame the tensors of the two orientations differ
    assert not np.allclose(given.tensors[Tensor.ELASTIC], turned.tensors[Tensor.ELASTIC])


def test_what_a_class_forbids_in_its_ieee_frame_is_exactly_zero() -> None:
    turn = random_orthogonal(np.random.default_rng(5))
    hits = in_ieee_frame(hits_in(turn * np.sign(np.linalg.det(turn))))
    for tensor, values in hits.tensors.items():
        sizes = np.abs(values).reshape(len(values), -1)
        rounding = (sizes > 0) & (sizes < 1e-9 * sizes.max(axis=1, keepdims=True))
        assert not rounding.any(), (tensor, np.flatnonzero(rounding.any(axis=1)))
    n_zeros = (hits.tensors[Tensor.ELASTIC] == 0).sum(axis=(1, 2))
    assert n_zeros.max() == 24, "cubic: twelve entries are left of 36"


def test_hits_that_are_in_another_frame_are_refused() -> None:
    hits = Hits([], CrystalBatch.from_arrays([], [], []), {}, Frame.IEEE)
    with pytest.raises(FrameError, match="in the ieee frame already"):
        in_ieee_frame(hits)


def test_a_surface_is_drawn_in_the_frame_of_the_lattice_beside_it() -> None:
    stiffness = np.diag([100.0, 200.0, 300.0, 50.0, 50.0, 50.0])
    result = {"tensors": {"elastic_voigt": stiffness}, "derived": {}}
    grid = surface_grid({"lattice": 4 * np.eye(3)}, result, Surface.YOUNG)
    assert (grid.extremes.max, grid.sections["xy"][0]) == pytest.approx((300.0, 100.0))
    assert grid.sections["yz"][90] == pytest.approx(300.0)  # a quarter of the circle from y: z
    assert grid.values.min() >= grid.extremes.min - 1e-9
    assert grid.values.max() <= grid.extremes.max + 1e-9
