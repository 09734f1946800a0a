"""A crystal as 54 numbers of composition and structure, the space in which distance to the training data is measured.

The numbers need no network: 36 say which elements there are (mean, spread, highest and lowest of nine properties), 18
how the atoms are packed, bonded and surrounded. All are means over atoms or extremes, so they are the same for every
representation of the crystal, and continuous in the positions: an edge that enters the graph has weight zero.
"""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.applicability.descriptor_loops import sums_over_edges
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
    radius = COVALENT_RADIUS_ANGSTROM[crystals.numbers]
    negativity = element_properties()[1][crystals.numbers, element_properties()[0].index("electronegativity")]
    edges = graph.center, graph.neighbor, graph.vector, graph.scaled_distance
    sums, moments = sums_over_edges(edges, radius, np.ascontiguousarray(negativity), crystals.numbers)
    coordination, lowest_length, lowest_scaled = sums[:, 0], sums[:, 1], sums[:, 2]

    volume = np.abs(np.linalg.det(crystals.lattice)) / crystals.atoms_per_crystal
    packing = volume / _mean(crystals, 4.0 / 3.0 * np.pi * radius**3)
    bond_shape, bond_axes = _shape(crystals, moments[:, 0])
    shell_shape, _ = _shape(crystals, moments[:, 1])
    columns = [np.log(packing), np.log(volume)]
    for values in (coordination, np.log(lowest_length), -np.log(lowest_scaled)):
        columns += [_mean(crystals, values), _spread(crystals, values)]
    columns += [*bond_shape.T, *shell_shape.T, *bond_axes.T]
    columns += [_mean(crystals, of_bond / coordination) for of_bond in (sums[:, 3], sums[:, 4])]
    return np.stack(columns, axis=1)


def _shape(crystals: CrystalBatch, moments: Floats) -> tuple[Floats, Floats]:
    """How one-sided the surroundings of atoms are.

    Args:
        crystals: the crystals.
        moments: weighted means over the edges of each atom of the direction r, then of r r - 1/3, [n_atoms, 12].

    Returns:
        Anisotropy of the single atom, of the whole crystal, and polarity of the single atom, [n_crystals, 3]; lowest
        and highest eigenvalue of the crystal's mean deviator, [n_crystals, 2].
    """
    dipole, deviator = moments[:, :3], moments[:, 3:]
    of_crystal = _mean(crystals, deviator).reshape(-1, 3, 3)
    shape: Floats = np.stack(
        [
            _mean(crystals, np.linalg.norm(deviator, axis=1)),
            np.linalg.norm(of_crystal, axis=(1, 2)),
            _mean(crystals, np.linalg.norm(dipole, axis=1)),
        ],
        axis=1,
    )
    axes: Floats = np.asarray(np.linalg.eigvalsh(of_crystal)[:, [0, 2]], dtype=np.float64)
    return shape, axes
