"""Where names stand beside their points: none over another, none over a marker of the front, none outside."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from db.records import Floats
from models.crystals.crystal import Ints

MARGIN_PX = 2.0
"""Between a name and whatever else there is."""

MOST_COVERED = 8
"""A name that would cover more points of the cloud than this is left out: they would be hidden and it unreadable."""

LINE_STEP_PX = 8.0
"""Distance of the points that stand for the line of the front."""


POSITIONS = (
    "top right", "bottom left", "top left", "bottom right", "middle right", "middle left", "top center",
    "bottom center",
)  # fmt: skip
"""Around a point, the best first."""


class Label(NamedTuple):
    """Where a name stands: above, beside or below its point, in the words of plotly ("top right"), and its corner.

    Attributes:
        position: vertical and horizontal place.
        corner: lower left corner of its box in pixels.
    """

    position: str
    corner: tuple[float, float]


def place_labels(
    anchors: Floats, sizes: Floats, cloud: Floats, window: Floats, half_marker: float
) -> list[Label | None]:
    """Greedy placement: the ends first, then whatever is farthest from the names that stand already.

    Args:
        anchors: the points that are named, joined by steps, in pixels, shape [n, 2].
        sizes: width and height of each name in pixels, shape [n, 2].
        cloud: the other points, which names should not cover, shape [n_points, 2].
        window: left, bottom, right, top of the axes in pixels, shape [4].
        half_marker: half the width of the markers of named points in pixels.

    Returns:
        One per name; None for a name that fits nowhere.
    """
    labels: list[Label | None] = [None] * len(anchors)
    taken = np.zeros((0, 4))
    markers = np.concatenate([anchors - half_marker, anchors + half_marker], axis=1)
    # A name should not lie on the line either, but may where there is no better place.
    cloud = np.vstack([cloud, line_points(anchors)])
    for place in spread_order(anchors):
        best: tuple[int, Label, Floats] | None = None
        for position, corner in candidates(anchors[place], sizes[place], half_marker):
            box = np.concatenate([corner - MARGIN_PX, corner + sizes[place] + MARGIN_PX])
            inside = (box[:2] >= window[:2]).all() and (box[2:] <= window[2:]).all()
            others = np.delete(markers, place, axis=0)
            if not inside or overlaps(box, taken).any() or overlaps(box, others).any():
                continue
            covered = int(((cloud > box[:2]) & (cloud < box[2:])).all(axis=1).sum())
            if covered <= MOST_COVERED and (best is None or covered < best[0]):
                best = covered, Label(position, (float(corner[0]), float(corner[1]))), box
        if best is not None:
            labels[place] = best[1]
            taken = np.vstack([taken, best[2]])
    return labels


def line_points(corners: Floats) -> Floats:
    """Points along the steps that join points, across first, then up or down, shape [n_points, 2]."""
    steps = np.stack([corners[1:, 0], corners[:-1, 1]], axis=1)
    path = np.concatenate([corners[:1], np.stack([steps, corners[1:]], axis=1).reshape(-1, 2)])
    lengths = np.concatenate([[0.0], np.linalg.norm(np.diff(path, axis=0), axis=1).cumsum()])
    at = np.arange(0.0, lengths[-1] + LINE_STEP_PX, LINE_STEP_PX)
    return np.stack([np.interp(at, lengths, path[:, 0]), np.interp(at, lengths, path[:, 1])], axis=1)


def candidates(anchor: Floats, size: Floats, half_marker: float) -> Iterator[tuple[str, Floats]]:
    """The eight places around a point, the best first: name of the place, lower left corner in pixels, shape [2]."""
    (width, height), gap = size, half_marker + MARGIN_PX
    across = {"right": gap, "left": -gap - width, "center": -width / 2}
    upwards = {"top": gap, "bottom": -gap - height, "middle": -height / 2}
    for position in POSITIONS:
        vertical, horizontal = position.split()
        yield position, anchor + np.array([across[horizontal], upwards[vertical]])


def overlaps(box: Floats, others: Floats) -> NDArray[np.bool_]:
    """Which boxes (left, bottom, right, top; shape [n, 4]) share a part with one."""
    apart = (others[:, 0] >= box[2]) | (others[:, 2] <= box[0]) | (others[:, 1] >= box[3]) | (others[:, 3] <= box[1])
    shared: NDArray[np.bool_] = ~apart
    return shared


def spread_order(points: Floats) -> Ints:
    """Places of points, first and last first, then each time the one that is farthest from those before it."""
    n_points = len(points)
    order = list(dict.fromkeys([0, n_points - 1][:n_points]))
    distances = np.linalg.norm(points[:, None] - points[order][None], axis=2).min(axis=1) if n_points else np.zeros(0)
    while len(order) < n_points:
        distances[order] = -1.0
        place = int(distances.argmax())
        order.append(place)
        distances = np.minimum(distances, np.linalg.norm(points - points[place], axis=1))
    return np.asarray(order, dtype=np.int64)
