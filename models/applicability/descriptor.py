"""A crystal as 54 numbers of composition and structure, the space in which distance to the training data is measured.

The numbers need no network: 36 say which elements there are (mean, spread, highest and lowest of nine properties), 18
how the atoms are packed, bonded and surrounded. All are means over atoms or extremes, so they are the same for every
representation of the crystal, and continuous in the positions: an edge that enters the graph has weight zero.
"""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.applicability.kernels.surroundings import COLUMNS, surroundings
from models.crystals.crystal import CrystalBatch
from models.crystals.graph import CrystalGraph, GraphSpec
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM
from models.tensors.voigt import mandel_to_symmetric

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
    """Mean over the atoms of each crystal of values [n_atoms, ...], [n_crystals, ...]."""
    sums = np.add.reduceat(values, crystals.first_atom[:-1], axis=0)
    means: Floats = sums / crystals.atoms_per_crystal.reshape(-1, *[1] * (values.ndim - 1))
    return means


def _spread(crystals: CrystalBatch, values: Floats) -> Floats:
    """Standard deviation over the atoms of each crystal, shapes as in `_mean`."""
    # Two passes: the difference of two means of squares would lose half the digits of equal values.
    deviation = values - _mean(crystals, values)[crystals.crystal_of_atom]
    return np.sqrt(_mean(crystals, deviation**2))


def _structure(crystals: CrystalBatch, graph: CrystalGraph) -> Floats:
    """The numbers named in STRUCTURE_FEATURES, [n_crystals, 18]."""
    radius = COVALENT_RADIUS_ANGSTROM[crystals.numbers]
    names, properties = element_properties()
    negativity = properties[crystals.numbers, names.index("electronegativity")]
    sums = np.empty((len(crystals.numbers), COLUMNS))
    edges = graph.center, graph.neighbor, graph.vector, graph.scaled_distance
    surroundings(edges, crystals.numbers, radius, negativity, sums)
    volume = np.abs(np.linalg.det(crystals.lattice)) / crystals.atoms_per_crystal
    packing = volume / _mean(crystals, 4.0 / 3.0 * np.pi * radius**3)
    coordination = sums[:, 2]
    of_atoms = np.stack([coordination, np.log(sums[:, 0]), -np.log(sums[:, 1])], axis=1)
    pairs = np.stack([_mean(crystals, of_atoms), _spread(crystals, of_atoms)], axis=2).reshape(-1, 6)
    bond_shape, bond_axes = _shape(crystals, sums[:, 2:12])
    shell_shape, _ = _shape(crystals, sums[:, 12:22])
    of_bonds = _mean(crystals, sums[:, 22:24] / coordination[:, None])
    volumes = np.log(np.stack([packing, volume], axis=1))
    return np.concatenate([volumes, pairs, bond_shape, shell_shape, bond_axes, of_bonds], axis=1)


def _shape(crystals: CrystalBatch, sums: Floats) -> tuple[Floats, Floats]:
    """How one-sided the surroundings of atoms are.

    Args:
        crystals: the crystals.
        sums: of weights, of weights times 11, 22, 33, 23, 13, 12 of the directions, and times the directions,
            [n_atoms, 10].

    Returns:
        Anisotropy of the single atom, of the whole crystal, and polarity of the single atom, [n_crystals, 3]; lowest
        and highest eigenvalue of the crystal's mean deviator, [n_crystals, 2].
    """
    means = sums[:, 1:] / sums[:, :1]
    # in Mandel form: of the same norm as the matrix
    deviator = (means[:, :6] - np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0]) / 3.0) * np.sqrt([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
    lengths = np.stack([np.linalg.norm(deviator, axis=1), np.linalg.norm(means[:, 6:], axis=1)], axis=1)
    of_crystal, of_atoms = _mean(crystals, deviator), _mean(crystals, lengths)
    shape = np.stack([of_atoms[:, 0], np.linalg.norm(of_crystal, axis=1), of_atoms[:, 1]], axis=1)
    ends = np.asarray(np.linalg.eigvalsh(mandel_to_symmetric(of_crystal))[:, [0, 2]], dtype=np.float64)
    return shape, ends
