"""A crystal as 54 numbers of composition and structure, the space in which distance to the training data is measured.

The numbers need no network: 36 say which elements there are (mean, spread, highest and lowest of nine properties), 18
how the atoms are packed, bonded and surrounded. All are means over atoms or extremes, so they are the same for every
representation of the crystal, and continuous in the positions: an edge that enters the graph has weight zero.
"""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import CrystalBatch
from models.crystals.graph import CrystalGraph, GraphSpec
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM

Floats = NDArray[np.float64]

DESCRIPTOR_GRAPH = GraphSpec(n_neighbors=12, reach=1.25)
"""The graph that descriptors are made of, whatever graph the network has."""

_ELEMENT_TABLE = Path(__file__).resolve().parent.parent / "gmtnet" / "element_descriptors.csv"
_STATISTICS = ("mean", "spread", "highest", "lowest")
STRUCTURE_FEATURES: tuple[str, ...] = (
    "log_packing",
    "log_volume_per_atom",
    "coordination",
    "coordination_spread",
    "shortest_bond",
    "shortest_bond_spread",
    "openness",
    "openness_spread",
    "bond_anisotropy",
    "bond_anisotropy_of_crystal",
    "bond_polarity",
    "shell_anisotropy",
    "shell_anisotropy_of_crystal",
    "shell_polarity",
    "bonds_along_weakest_axis",
    "bonds_along_strongest_axis",
    "bond_ionicity",
    "bonds_between_equal_atoms",
)
_PAIRS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@cache
def element_properties() -> tuple[tuple[str, ...], Floats]:
    """Names of nine properties and their values in [0, 1] by atomic number, shape [119, 9].

    The table holds each property as the number of a bin; an element without a value gets the mean of the others.
    """
    header = _ELEMENT_TABLE.read_text(encoding="utf-8").splitlines()[0].split(",")
    table = np.loadtxt(_ELEMENT_TABLE, delimiter=",", skiprows=1)
    names = tuple(dict.fromkeys(name.rpartition("_")[0] for name in header[1:]))
    columns = []
    for name in names:
        bins = table[:, [k for k, column in enumerate(header) if column.rpartition("_")[0] == name]]
        has_value = bins.sum(axis=1) > 0
        value = bins.argmax(axis=1) / (bins.shape[1] - 1)
        columns.append(np.where(has_value, value, value[has_value].mean()))
    return names, np.stack(columns, axis=1)


def feature_names() -> tuple[str, ...]:
    """Names of the numbers, in order: composition, then structure."""
    composition = tuple(f"{statistic}_{name}" for statistic in _STATISTICS for name in element_properties()[0])
    return composition + STRUCTURE_FEATURES


def describe(crystals: CrystalBatch, graph: CrystalGraph) -> Floats:
    """The descriptors of crystals, not yet scaled, [n_crystals, 54].

    Args:
        crystals: validated crystals.
        graph: of these crystals, made with DESCRIPTOR_GRAPH.
    """
    if not crystals.n_crystals:
        return np.zeros((0, len(feature_names())))
    values = element_properties()[1][crystals.numbers]
    first = crystals.first_atom[:-1]
    highest = np.maximum.reduceat(values, first, axis=0)
    lowest = np.minimum.reduceat(values, first, axis=0)
    # in the order of `_STATISTICS`
    composition = [_mean(crystals, values), _spread(crystals, values), highest, lowest]
    return np.concatenate([*composition, _structure(crystals, graph)], axis=1)


def _mean(crystals: CrystalBatch, values: Floats) -> Floats:
    """Mean over the atoms of each crystal of values [n_atoms] or [n_atoms, n], [n_crystals] or [n_crystals, n]."""
    columns = values.reshape(len(values), -1).T
    owner, n = crystals.crystal_of_atom, crystals.n_crystals
    sums = np.stack([np.bincount(owner, column, minlength=n) for column in columns], axis=1)
    means: Floats = (sums / crystals.atoms_per_crystal[:, None]).reshape(n, *values.shape[1:])
    return means


def _spread(crystals: CrystalBatch, values: Floats) -> Floats:
    """Standard deviation over the atoms of each crystal, shapes as in `_mean`."""
    # Two passes: the difference of two means of squares would lose half the digits of equal values.
    deviation = values - _mean(crystals, values)[crystals.crystal_of_atom]
    return np.sqrt(_mean(crystals, deviation**2))


def _structure(crystals: CrystalBatch, graph: CrystalGraph) -> Floats:
    """The numbers named in STRUCTURE_FEATURES, [n_crystals, 18]."""
    center, n_atoms = graph.center, len(crystals.numbers)
    radius = COVALENT_RADIUS_ANGSTROM[crystals.numbers]
    distance = np.linalg.norm(graph.vector, axis=1)
    direction = graph.vector / distance[:, None]
    length = distance / (radius[center] + radius[graph.neighbor])  # 1 is a covalent bond
    cutoff_envelope = np.maximum(1.0 - graph.scaled_distance**6, 0.0) ** 2
    # the small term is for atoms without bonds: their sums must not vanish
    bond = cutoff_envelope * np.exp(-((np.maximum(length - 0.8, 0.0) / 0.25) ** 2)) + 1e-6 * cutoff_envelope
    shell = np.maximum(1.0 - graph.scaled_distance**2, 0.0) ** 2

    volume = np.abs(np.linalg.det(crystals.lattice)) / crystals.atoms_per_crystal
    packing = volume / _mean(crystals, 4.0 / 3.0 * np.pi * radius**3)
    coordination = _sum(bond, center, n_atoms)
    shortest = np.log(_lowest(length, center, n_atoms))
    openness = -np.log(_lowest(graph.scaled_distance, center, n_atoms))
    negativity = element_properties()[1][crystals.numbers, element_properties()[0].index("electronegativity")]
    contrast = np.abs(negativity[center] - negativity[graph.neighbor])
    equal = (crystals.numbers[center] == crystals.numbers[graph.neighbor]).astype(np.float64)
    bond_shape, bond_axes = _shape(crystals, center, direction, bond)
    shell_shape, _ = _shape(crystals, center, direction, shell)
    columns = [np.log(packing), np.log(volume)]
    for values in (coordination, shortest, openness):
        columns += [_mean(crystals, values), _spread(crystals, values)]
    columns += [*bond_shape.T, *shell_shape.T, *bond_axes.T]
    for of_bond in (contrast, equal):
        columns.append(_mean(crystals, _sum(bond * of_bond, center, n_atoms) / coordination))
    return np.stack(columns, axis=1)


def _sum(values: Floats, center: NDArray[np.int64], n_atoms: int) -> Floats:
    """Sum over each atom's edges, [n_atoms]."""
    sums: Floats = np.bincount(center, values, minlength=n_atoms).astype(np.float64, copy=False)
    return sums


def _lowest(values: Floats, center: NDArray[np.int64], n_atoms: int) -> Floats:
    """Lowest value among each atom's edges, [n_atoms]; `center` ascends and every atom has an edge."""
    starts = np.searchsorted(center, np.arange(n_atoms))
    return np.minimum.reduceat(values, starts)


def _shape(
    crystals: CrystalBatch, center: NDArray[np.int64], direction: Floats, weight: Floats
) -> tuple[Floats, Floats]:
    """How one-sided the surroundings of atoms are.

    Args:
        crystals: the crystals.
        center: atom of each edge, [n_edges].
        direction: unit vectors, [n_edges, 3].
        weight: of the edges, [n_edges].

    Returns:
        Anisotropy of the single atom, of the whole crystal, and polarity of the single atom, [n_crystals, 3]; lowest
        and highest eigenvalue of the crystal's mean deviator, [n_crystals, 2].
    """
    n_atoms = len(crystals.numbers)
    total = _sum(weight, center, n_atoms)
    deviator = np.zeros((n_atoms, 3, 3))
    for i, j in _PAIRS:
        moment = _sum(weight * direction[:, i] * direction[:, j], center, n_atoms) / total
        deviator[:, i, j] = deviator[:, j, i] = moment - (1.0 / 3.0 if i == j else 0.0)
    dipole = np.stack([_sum(weight * column, center, n_atoms) / total for column in direction.T], axis=1)
    of_crystal = _mean(crystals, deviator.reshape(-1, 9)).reshape(-1, 3, 3)
    shape: Floats = np.stack(
        [
            _mean(crystals, np.linalg.norm(deviator, axis=(1, 2))),
            np.linalg.norm(of_crystal, axis=(1, 2)),
            _mean(crystals, np.linalg.norm(dipole, axis=1)),
        ],
        axis=1,
    )
    axes: Floats = np.asarray(np.linalg.eigvalsh(of_crystal)[:, [0, 2]], dtype=np.float64)
    return shape, axes
