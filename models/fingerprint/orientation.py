"""How the same crystal is oriented in two representations: the orthogonal matrix between their Cartesian frames.

Stored tensors are in the frame of the stored lattice; whoever has the same crystal in another orientation needs the
matrix that rotates them into that frame. Candidates map two neighbour vectors of one atom onto vectors of the same
lengths and angle; the right ones also map the sums of (r.u)^k over all neighbour directions r, for k = 1 to 4 and
twenty probe directions u. Tensors of rank up to four depend on nothing else, so matrices that agree on it (those that
differ by an operation of the point group) rotate every stored tensor alike.
"""

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.neighborhood import find_neighborhood
from models.crystals.neighbors import Neighbors
from models.fingerprint.environments import element_ranks

_REACH = 1.8  # cube roots of the volume per atom
_LENGTH_ANGSTROM = 0.03  # vectors of the same crystal agree so far
_PARALLEL = 0.95  # cosine above which two vectors fix no frame
_AGREEMENT = 0.01  # relative, of the sums over directions
_ROUNDING = 1e-9
_PROBES = np.random.default_rng(5).normal(size=(20, 3))
_PROBES /= np.linalg.norm(_PROBES, axis=1, keepdims=True)


def find_rotation(first: CrystalBatch, second: CrystalBatch) -> Floats | None:
    """The orthogonal matrix R that maps vectors of the first representation onto those of the second: v -> R v.

    Tensors in the first frame become those in the second by `models.tensors.rotate.rotate(quantity, T, R)`. The
    identity comes out exactly where it does, and proper rotations go before improper ones.

    Args:
        first: one crystal.
        second: the same crystal in another representation.

    Returns:
        Shape [3, 3]; None where no matrix was found.
    """
    here, there = _surroundings(first), _surroundings(second)
    wanted = _moments(*there)
    chosen, least = None, _AGREEMENT * np.abs(wanted).max()
    # what comes later must be clearly better: noise alone rotates or mirrors nothing
    for candidates in [np.eye(3)[None], *_candidates(here[0], there[0])]:
        # R must satisfy M_first(R^T u) = M_second(u)
        moments = _moments(*here, (_PROBES @ candidates).reshape(-1, 3)).reshape(4, len(candidates), -1)
        misses = np.abs(moments - wanted[:, None]).max(axis=(0, 2))
        best = int(np.argmin(misses))
        if misses[best] < (least if chosen is None else least / 3 - _ROUNDING):
            chosen, least = candidates[best], misses[best]
    return chosen


def _surroundings(crystal: CrystalBatch) -> tuple[Neighbors, Floats]:
    """Neighbours and their weights, which depend on the elements and on the surroundings of the center."""
    reach = _REACH * np.cbrt(np.abs(np.linalg.det(crystal.lattice)) / crystal.atoms_per_crystal)
    pairs = find_neighborhood(crystal, reach).pairs
    code = 1.0 + 0.6180339887498949 * element_ranks(crystal)[0]
    cutoff_envelope = (1.0 - (pairs.distance / reach[0]) ** 2) ** 3
    around = np.bincount(pairs.center, cutoff_envelope * code[pairs.neighbor], len(code))
    # centers count by their surroundings: else odd sums, in which each pair stands twice, would vanish
    weight = cutoff_envelope * code[pairs.neighbor] * (code * around)[pairs.center] / (code * around).sum()
    return pairs, weight


def _moments(pairs: Neighbors, weight: Floats, probes: Floats = _PROBES) -> Floats:
    """Sums of (r.u)^k over all neighbours for k = 1 to 4 and each probe u, shape [4, n_probes]."""
    along = (pairs.vector / pairs.distance[:, None]) @ probes.T
    square = along * along
    return np.stack([weight @ along, weight @ square, weight @ (square * along), weight @ (square * square)])


def _candidates(pairs: Neighbors, there: Neighbors) -> list[Floats]:
    """Matrices that map two vectors of an atom onto equal ones: proper, then improper, each [n, 3, 3]."""
    center = pairs.center[np.argmin(pairs.distance)]
    around = np.flatnonzero(pairs.center == center)
    around = around[np.argsort(pairs.distance[around], kind="stable")]
    vectors = pairs.vector[around]
    cosines = np.abs(vectors @ vectors[0]) / (pairs.distance[around] * pairs.distance[around[0]])
    if cosines.min() > _PARALLEL:
        return []
    other = int(np.argmax(cosines < _PARALLEL))
    frame = _frame(vectors[0][None], vectors[other][None])[0]
    images = _images(there, vectors[0], vectors[other])
    if not len(images):
        return []
    candidates = []
    for frames in (images, images * np.array([1.0, 1.0, -1.0])):
        matrices = frames @ frame.T
        # equivalent atoms give the same matrix many times: one of those that agree to 0.01 is enough
        _, first = np.unique(np.round(matrices.reshape(-1, 9), 2), axis=0, return_index=True)
        candidates.append(matrices[np.sort(first)])
    return candidates


def _images(pairs: Neighbors, first: Floats, second: Floats) -> Floats:
    """Frames of all pairs of vectors with the lengths and the angle of the two given ones, shape [n, 3, 3]."""
    lengths = np.linalg.norm([first, second], axis=1)
    near = [np.flatnonzero(np.abs(pairs.distance - length) < _LENGTH_ANGSTROM) for length in lengths]
    a, b = np.meshgrid(*near, indexing="ij")
    a, b = a.ravel(), b.ravel()
    keep = pairs.center[a] == pairs.center[b]
    a, b = a[keep], b[keep]
    dots = np.einsum("pi,pi->p", pairs.vector[a], pairs.vector[b])
    keep = np.abs(dots - first @ second) < _LENGTH_ANGSTROM * lengths.max()
    return _frame(pairs.vector[a[keep]], pairs.vector[b[keep]])


def _frame(first: Floats, second: Floats) -> Floats:
    """Right-handed orthonormal axes as columns: along the first, in the plane of both, across; shape [n, 3, 3]."""
    x = first / np.linalg.norm(first, axis=1, keepdims=True)
    z = np.cross(first, second)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return np.stack([x, np.cross(z, x), z], axis=2)
