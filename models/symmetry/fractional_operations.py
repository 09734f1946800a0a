"""Symmetry operations as a file lists them: whether they form a group, leave the cell as it is, and where atoms go.

Fractional coordinates throughout: an operation takes the column x to W x + w.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SAME_TRANSLATION = 2e-3
"""Translations (fractional) closer than this are one; files round thirds and sixths to three decimals."""

_PAIRS_AT_A_TIME = 2_000_000
_GRID, _GRID_OFFSET = 99_991, 0.0381966  # neither meets the decimals that people write


@dataclass(frozen=True)
class Operations:
    """Operations of a space group modulo lattice translations.

    Attributes:
        rotations: W, whole numbers, shape [n_ops, 3, 3].
        translations: w in [0, 1), shape [n_ops, 3].
    """

    rotations: Ints
    translations: Floats

    @property
    def n_ops(self) -> int:
        """Number of operations, those of a centred cell counted with each centring."""
        return len(self.rotations)

    @cached_property
    def key(self) -> bytes:
        """The same for equal sets of operations, whatever their order; translations to 1/1000 of a cell."""
        grid = np.rint(self.translations * 1000).astype(np.int64) % 1000
        rows = np.concatenate([self.rotations.reshape(-1, 9), grid], axis=1)
        return np.unique(rows, axis=0).tobytes()

    @cached_property
    def is_group(self) -> bool:
        """Whether the product of any two operations is one of them again, modulo lattice translations."""
        return _is_group(self.rotations, self.translations)


IDENTITY = Operations(np.eye(3, dtype=np.int64)[None], np.zeros((1, 3)))


def wrapped(difference: Floats) -> Floats:
    """Fractional differences between the nearest lattice translations of two points, each in [-1/2, 1/2]."""
    return difference - np.rint(difference)


def _codes(rotations: Ints) -> Ints:
    """A number for each rotation of entries -1, 0, 1, shape [...]; the same for equal ones."""
    return np.asarray((rotations.reshape(*rotations.shape[:-2], 9) + 1) @ 3 ** np.arange(9))


def _is_group(rotations: Ints, translations: Floats) -> bool:
    """Whether products of operations are operations."""
    codes = _codes(rotations)
    classes, class_of_op = np.unique(codes, return_inverse=True)
    counts = np.bincount(class_of_op)
    # A group has the same centring translations with every rotation.
    if np.abs(rotations).max() > 1 or len(set(counts.tolist())) != 1:
        return False
    order = np.argsort(class_of_op, kind="stable")
    of_class = translations[order].reshape(len(classes), counts[0], 3)
    n_rows = max(1, _PAIRS_AT_A_TIME // (len(rotations) * int(counts[0])))
    for start in range(0, len(rotations), n_rows):
        left = slice(start, start + n_rows)
        products = np.einsum("aij,bjk->abik", rotations[left], rotations)
        moved = np.einsum("aij,bj->abi", rotations[left], translations) + translations[left, None]
        product_codes = _codes(products)
        places = np.minimum(np.searchsorted(classes, product_codes), len(classes) - 1)
        if np.abs(products).max() > 1 or (classes[places] != product_codes).any():
            return False
        deviations = np.abs(wrapped(moved[:, :, None] - of_class[places])).max(axis=3)
        if (deviations.min(axis=2) > SAME_TRANSLATION).any():
            return False
    return True


def metric_deviation(rotations: Ints, lattice: Floats) -> float:
    """How far the operations are from leaving all lengths and angles of a cell as they are.

    Args:
        rotations: W, shape [n_ops, 3, 3].
        lattice: rows a, b, c in angstrom, shape [3, 3].

    Returns:
        Largest entry of W^T G W - G over the lengths of its two axes; 0.01 is half a percent of a length or half a
        degree of an angle.
    """
    metric = lattice @ lattice.T
    lengths = np.sqrt(np.diag(metric))
    moved = np.einsum("oji,jk,okl->oil", rotations, metric, rotations)
    return float(np.abs((moved - metric) / np.outer(lengths, lengths)).max())


def find_orbits(
    operations: Operations, frac_coords: Floats, lattice: Floats, tolerance_angstrom: float | Floats
) -> list[Floats] | int:
    """All positions to which the operations take each site, each position once.

    A site within the tolerance of a symmetry element is put onto it: the mean over the operations that leave it where
    it is. So a coordinate of 0.3333 on a threefold axis is one atom, not three that nearly coincide.

    Args:
        operations: a group.
        frac_coords: one position per site, shape [n_sites, 3].
        lattice: rows a, b, c in angstrom, shape [3, 3].
        tolerance_angstrom: images of a site closer to it than this are the site; one for all, or shape [n_sites].

    Returns:
        Per site its positions in [0, 1), shape [n_images, 3] each; or the first site (0-based)
        that is so near to a symmetry element that its number of images depends on the tolerance.
    """
    if operations.n_ops == 1:
        return list((frac_coords % 1.0)[:, None])
    orbits = []
    tolerances = np.broadcast_to(tolerance_angstrom, len(frac_coords))
    for site, (position, tolerance) in enumerate(zip(frac_coords, tolerances.tolist(), strict=True)):
        orbit = _orbit(operations, position, lattice, tolerance)
        if orbit is None:
            return site
        orbits.append(orbit)
    return orbits


def _orbit(operations: Operations, position: Floats, lattice: Floats, tolerance: float) -> Floats | None:
    """The positions of one site; None if the operations that leave it in place are no subgroup."""
    images = operations.rotations @ position + operations.translations
    moved = wrapped(images - position)
    is_in_place = np.linalg.norm(moved @ lattice, axis=1) <= tolerance
    n_in_place = int(is_in_place.sum())
    if n_in_place > 1:
        position = position + moved[is_in_place].mean(axis=0)
        images = operations.rotations @ position + operations.translations
    images = images % 1.0
    # Images of one position agree to rounding now, and so lie in one box of a grid; hardly ever on a border of it.
    boxes = (images + _GRID_OFFSET) % 1.0 * _GRID
    chosen = np.unique(boxes.astype(np.int64) @ (1, _GRID, _GRID**2), return_index=True)[1]
    if len(chosen) * n_in_place != operations.n_ops:
        distances = np.linalg.norm(wrapped(images[:, None] - images[None]) @ lattice, axis=2)
        chosen = np.unique(np.argmax(distances <= max(tolerance / 2, 1e-6), axis=1))
    return images[np.sort(chosen)] if len(chosen) * n_in_place == operations.n_ops else None
