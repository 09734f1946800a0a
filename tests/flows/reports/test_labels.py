"""Names beside the points of a Pareto front: none covers another, a marker of the front, or the edge."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from flows.reports.hits.labels import overlaps, place_labels, spread_order

Floats = NDArray[np.float64]
WINDOW = np.array([0.0, 0.0, 400.0, 300.0])
POINTS = arrays(np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.floats(10, 290, width=16))


def boxes(corners: Floats, sizes: Floats) -> Floats:
    return np.concatenate([corners, corners + sizes], axis=1)


def n_overlaps(of: Floats, others: Floats) -> int:
    return sum(int(overlaps(box, np.delete(others, place, axis=0)).sum()) for place, box in enumerate(of))


@settings(max_examples=60, deadline=None)
@given(POINTS, st.integers(0, 2**31))
def test_no_name_covers_another_or_a_marker_or_leaves_the_axes(points: Floats, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.uniform([10, 8], [60, 14], size=points.shape)
    labels = place_labels(points, sizes, rng.uniform(0, 300, size=(50, 2)), WINDOW, 4.0)
    shown = [place for place, label in enumerate(labels) if label is not None]
    placed = boxes(np.array([label.corner for label in labels if label]).reshape(-1, 2), sizes[shown])
    assert n_overlaps(placed, placed) == 0
    assert (placed[:, :2] >= WINDOW[:2]).all() and (placed[:, 2:] <= WINDOW[2:]).all()
    markers = np.concatenate([points - 4, points + 4], axis=1)
    for place, box in zip(shown, placed, strict=True):
        assert not overlaps(box, np.delete(markers, place, axis=0)).any()


def test_a_crowded_front_loses_names_and_a_loose_one_none() -> None:
    crowded = np.stack([np.linspace(100, 140, 30), np.linspace(150, 100, 30)], axis=1)
    sizes = np.tile([40.0, 10.0], (30, 1))
    labels = place_labels(crowded, sizes, np.zeros((0, 2)), WINDOW, 4.0)
    assert 2 <= sum(label is not None for label in labels) < 15
    assert labels[0] is not None and labels[-1] is not None, "the ends come first"
    # control: all names in the same place beside their points lie over each other
    assert n_overlaps(boxes(crowded + 6, sizes), boxes(crowded + 6, sizes)) > 100
    loose = np.stack([np.linspace(20, 330, 5), np.linspace(280, 20, 5)], axis=1)
    assert all(place_labels(loose, sizes[:5], np.zeros((0, 2)), WINDOW, 4.0))


def test_a_name_keeps_off_the_cloud_where_it_can() -> None:
    point, size = np.array([[200.0, 150.0]]), np.array([[40.0, 10.0]])
    above = np.stack(np.meshgrid(np.linspace(150, 250, 30), np.linspace(156, 190, 10)), axis=-1).reshape(-1, 2)
    (label,) = place_labels(point, size, above, WINDOW, 4.0)
    assert label is not None and label.position.startswith("bottom")
    everywhere = np.stack(np.meshgrid(np.linspace(0, 400, 100), np.linspace(0, 300, 100)), axis=-1).reshape(-1, 2)
    assert place_labels(point, size, everywhere, WINDOW, 4.0) == [None]


def test_points_are_taken_from_the_ends_and_then_from_the_largest_gap() -> None:
    points = np.array([[0.0, 0], [1.0, 0], [2.0, 0], [9.0, 0], [20.0, 0]])
    assert spread_order(points).tolist() == [0, 4, 3, 2, 1]
    assert [len(spread_order(points[:n])) for n in range(4)] == [0, 1, 2, 3]
