"""The symmetry mask of the published GMTNet code, flaws included, so that its weights can be compared with ours.

What it gets wrong, and what the projector of models/symmetry/search.py does instead:

* it averages the rotations that spglib lists for the cell as given at 1e-5 angstrom: a subgroup for supercells, and
  too few for crystals that are symmetric to 1e-3 angstrom only;
* of the averaged matrices it keeps the entries above 1e-5 and drops the negative ones with the zeros: the result is no
  projector, and in a rotated frame it lets forbidden parts through and damages allowed ones;
* it then equalises those entries of the tensor that are equal in a symmetrized test tensor, pair by pair: relations
  such as C66 = (C11 - C12) / 2 cannot be expressed that way.

Source: get_dataset, find_almost_equal_entries and equality_adjustment of the code published with arXiv:2406.12888
(divelab/AIRS, OpenMat/GMTNet, data.py and gmtnet.py of the three tensors). Left out: a second mask that the published
test of the piezoelectric network, and only it, puts on features that are zero up to rounding.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.quantities import TENSORS, IndexSymmetry, Tensor
from models.symmetry.operations import ListedOperations, listed_operations
from models.tensors.irreps import change_of_basis, irreps_to_tensor
from models.tensors.rotate import component_rotation, rotate
from models.tensors.voigt import from_components, reorder_vasp_voigt, to_components, to_printed, voigt_to_piezo

Bools = NDArray[np.bool_]

PUBLISHED_SYMPREC = 1e-5
"""Tolerance of the published symmetry search in angstrom."""

_KEPT = 1e-5  # entries of an averaged rotation up to this are dropped, negative ones with them
_ALMOST_EQUAL = 1e-4  # relative difference of test entries that count as equal
_TEST_IRREPS: dict[IndexSymmetry, tuple[range, ...]] = {
    IndexSymmetry.SYMMETRIC: (range(10, 11), range(1800, 2300, 100)),
    IndexSymmetry.PIEZOELECTRIC: (range(20, 26), range(3600, 4100, 100), range(6000, 6700, 100)),
    IndexSymmetry.STIFFNESS: (range(10, 12), range(2600, 3600, 100), range(7400, 8300, 100)),
}
"""The published test tensors: their irreps are these numbers, so that only symmetry can make entries equal or zero."""
_TEST_AXIAL = np.array([12.0, 13.0, 14.0])  # antisymmetric part of the dielectric test tensor: it hides some zeros
_TO_VASP = np.array([0, 1, 2, 5, 3, 4])  # where 11, 22, 33, 12, 23, 13 stand in 11, 22, 33, 23, 13, 12
_LEVI_CIVITA = np.zeros((3, 3, 3))
_LEVI_CIVITA[[0, 1, 2], [1, 2, 0], [2, 0, 1]] = 1.0
_LEVI_CIVITA[[0, 2, 1], [2, 1, 0], [1, 0, 2]] = -1.0


def published_masks(crystals: CrystalBatch, quantities: tuple[Tensor, ...]) -> dict[Tensor, Floats]:
    """The linear part of the published correction, as matrices on orthonormal components.

    Args:
        crystals: validated; the rotations of their cells as given are used.
        quantities: which tensors.

    Returns:
        Per quantity M with masked = M @ components, shape [n_crystals, n_components, n_components].
    """
    return _in_parts(_masks, crystals, quantities, 256)


def published_corrections(crystals: CrystalBatch, quantities: tuple[Tensor, ...]) -> dict[Tensor, Floats]:
    """Mask and equality adjustment together as matrices on components, for training on what is scored.

    The one step that is not linear (opposite entries of equal sign) is replaced by its linear continuation.

    Returns:
        Per quantity A with corrected = A @ components, shape [n_crystals, n_components, n_components].
    """
    return _in_parts(_corrections, crystals, quantities, 32)


def _in_parts(
    matrices_of: Callable[[CrystalBatch, tuple[Tensor, ...]], dict[Tensor, Floats]],
    crystals: CrystalBatch,
    quantities: tuple[Tensor, ...],
    size: int,
) -> dict[Tensor, Floats]:
    """Matrices of all crystals, of parts of at most `size` whose rotations fit into memory together."""
    rows = np.array_split(np.arange(crystals.n_crystals), max(1, -(-crystals.n_crystals // size)))
    parts = [matrices_of(crystals.select(some), quantities) for some in rows]
    joined = {}
    for quantity in quantities:
        joined[quantity] = np.concatenate([part[quantity] for part in parts])
    return joined


def mask_as_published(tensors: dict[Tensor, Floats], crystals: CrystalBatch) -> dict[Tensor, Floats]:
    """Raw tensors of networks after the published correction: mask and equality adjustment.

    Args:
        tensors: in their stored shape, input frame, [n_networks, n_crystals, ...].
        crystals: they belong to.

    Returns:
        Corrected tensors of the same shapes; they do not obey the crystals' point groups exactly.
    """
    listed = listed_operations(crystals, PUBLISHED_SYMPREC)
    masks = published_masks(crystals, tuple(tensors))
    corrected = {}
    for quantity, raw in tensors.items():
        ideal = ideal_entries(quantity, listed)
        masked = np.einsum("nij,mnj->mni", masks[quantity], to_components(quantity, raw))
        networks = [_adjusted(quantity, tensors, ideal) for tensors in from_components(quantity, masked)]
        corrected[quantity] = np.stack(networks)
    return corrected


def ideal_entries(quantity: Tensor, listed: ListedOperations) -> Floats:
    """Entries of the published test tensor summed over each crystal's listed rotations.

    The published code calls an entry forbidden when it is below 1 here, and two entries equal when they are here.

    Returns:
        Shape [n_crystals, 9, 18 or 36], in the order of `published_entries`.
    """
    parts = _TEST_IRREPS[TENSORS[quantity].index_symmetry]
    values = np.concatenate([np.array(part, dtype=np.float64) for part in parts])
    test = irreps_to_tensor(quantity, values)
    if TENSORS[quantity].rank == 2:
        test = test + np.einsum("i,ijk->jk", _TEST_AXIAL, _LEVI_CIVITA) / np.sqrt(2.0)
    rotated = rotate(quantity, test, listed.rotations)
    return _sum_by_owner(published_entries(quantity, rotated), listed.crystal_of_op, len(listed.number))


def published_entries(quantity: Tensor, tensors: Floats) -> Floats:
    """The entries that the published code works on, row by row: 3x3, or 3x6 and 6x6 in VASP's Voigt order.

    Args:
        quantity: which tensor.
        tensors: in their stored shape, [n_crystals, ...].

    Returns:
        Shape [n_crystals, 9, 18 or 36].
    """
    matrices = to_printed(quantity, tensors)
    if TENSORS[quantity].rank > 2:
        matrices = matrices[..., _TO_VASP]
    if TENSORS[quantity].rank == 4:
        matrices = matrices[..., _TO_VASP, :]
    return matrices.reshape(len(matrices), int(np.prod(matrices.shape[1:])))


def _from_entries(quantity: Tensor, entries: Floats) -> Floats:
    """Inverse of `published_entries`; what the adjustment made asymmetric is averaged, as the published test does."""
    if TENSORS[quantity].rank == 3:
        return voigt_to_piezo(reorder_vasp_voigt(entries.reshape(-1, 3, 6)))
    if TENSORS[quantity].rank == 4:
        matrix = reorder_vasp_voigt(entries.reshape(-1, 6, 6), n_voigt_axes=2)
    else:
        matrix = entries.reshape(-1, 3, 3)
    symmetric: Floats = (matrix + np.swapaxes(matrix, 1, 2)) / 2
    return symmetric


def _masks(crystals: CrystalBatch, quantities: tuple[Tensor, ...]) -> dict[Tensor, Floats]:
    listed = listed_operations(crystals, PUBLISHED_SYMPREC)
    counts = np.bincount(listed.crystal_of_op, minlength=crystals.n_crystals)
    masks = {}
    for quantity in quantities:
        basis = change_of_basis(quantity)
        matrices = _sum_by_owner(
            component_rotation(quantity, listed.rotations), listed.crystal_of_op, crystals.n_crystals
        )
        # the published code averages irreps and takes what is small or negative for rounding
        irreps = basis @ (matrices / counts[:, None, None]) @ basis.T
        masks[quantity] = basis.T @ np.where(irreps > _KEPT, irreps, 0.0) @ basis
    return masks


def _corrections(crystals: CrystalBatch, quantities: tuple[Tensor, ...]) -> dict[Tensor, Floats]:
    """What becomes of every unit tensor, as columns."""
    listed = listed_operations(crystals, PUBLISHED_SYMPREC)
    corrections = {}
    for quantity, masks in _masks(crystals, quantities).items():
        n_components = masks.shape[1]
        columns = from_components(quantity, np.swapaxes(masks, 1, 2).reshape(-1, n_components))
        ideal = np.repeat(ideal_entries(quantity, listed), n_components, axis=0)
        adjusted = to_components(quantity, _adjusted(quantity, columns, ideal, linear=True))
        corrections[quantity] = np.swapaxes(adjusted.reshape(masks.shape), 1, 2)
    return corrections


def _adjusted(quantity: Tensor, tensors: Floats, ideal: Floats, *, linear: bool = False) -> Floats:
    """The published equality adjustment of every crystal at once, in the published order of the entries.

    With `linear`, its one step that is not linear is continued linearly.
    """
    entries = published_entries(quantity, tensors)
    difference = np.abs(ideal[:, :, None] - ideal[:, None, :])
    total = np.abs(ideal[:, :, None] + ideal[:, None, :])
    equal = difference < _ALMOST_EQUAL * total / 2
    if TENSORS[quantity].rank == 2:
        return _from_entries(quantity, _pairs_averaged(entries, equal))
    opposite = total < _ALMOST_EQUAL * difference / 2
    return _from_entries(quantity, _opposites_averaged(_groups_averaged(entries, equal), opposite, linear=linear))


def _pairs_averaged(entries: Floats, equal: Bools) -> Floats:
    """Each pair in turn gets its mean; three equal entries come out close to each other, not equal."""
    values = entries.copy()
    for first, second in zip(*np.triu_indices(values.shape[1], k=1), strict=True):
        mean = (values[:, first] + values[:, second]) / 2
        for entry in (first, second):
            values[:, entry] = np.where(equal[:, first, second], mean, values[:, entry])
    return values


def _groups_averaged(entries: Floats, equal: Bools) -> Floats:
    """Each group of equal entries gets its mean."""
    values = entries.copy()
    for entry in range(values.shape[1]):
        group = equal[:, entry]
        mean = (values * group).sum(axis=1) / np.maximum(group.sum(axis=1), 1)
        values = np.where(group, mean[:, None], values)
    return values


def _opposites_averaged(entries: Floats, opposite: Bools, *, linear: bool) -> Floats:
    """Each pair of opposite entries in turn gets a common size."""
    values = entries.copy()
    for first, second in zip(*np.triu_indices(values.shape[1], k=1), strict=True):
        hit = opposite[:, first, second]
        signed = (values[:, first] - values[:, second]) / 2
        if not linear:  # as published: the size of half the difference with the sign of the first entry
            signed = np.where(values[:, first] < 0, -np.abs(signed), np.abs(signed))
        values[:, first] = np.where(hit, signed, values[:, first])
        values[:, second] = np.where(hit, -signed, values[:, second])
    return values


def _sum_by_owner(rows: Floats, owner: Ints, n_owners: int) -> Floats:
    """Sums of consecutive rows that belong together; every owner has at least one. [n_rows, ...] -> [n_owners, ...]."""
    if not n_owners:
        return rows[:0]
    first = np.searchsorted(owner, np.arange(n_owners))
    sums: Floats = np.add.reduceat(rows, first, axis=0)
    return sums
