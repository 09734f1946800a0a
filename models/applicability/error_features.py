"""What tells of the error of a predicted tensor, as numbers: doubt of the networks, distance, structure, chemistry.

All are known without a label and cheap beside the network. Each has the words in which it is a reason for a reader; a
feature without words is there so that the others are compared between alike crystals.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.applicability.descriptor import feature_names
from models.crystals.crystal import CrystalBatch
from models.quantities import TENSORS, Tensor
from models.tensors.voigt import to_components

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

NARROW_GAP_EV = 0.3
"""Predicted band gap below which the electronic response diverges: ε∞ grows with the inverse square of the gap."""

FIRST_TETRAGONAL = 75
_SMALLEST_SPREAD = 1e-3
_SMALLEST_LATTICE_PART = 0.1


class Feature(NamedTuple):
    """One number of a crystal.

    Attributes:
        high, low: words for it where it is a reason for a large error; empty where it is none.
        only_worse: more of it never makes an error smaller: a fit that says so has seen an accident.
    """

    high: str = ""
    low: str = ""
    only_worse: bool = False


FEATURES: dict[str, Feature] = {
    "disagreement": Feature(high="the networks disagree", only_worse=True),
    "size": Feature(high="a large tensor", low="a small tensor"),
    "rarity": Feature(high="an element that few labels of this tensor have", only_worse=True),
    "ood_score": Feature(high="unlike the training data", only_worse=True),
    "narrow_gap": Feature(high=f"a predicted band gap below {NARROW_GAP_EV} eV", only_worse=True),
    "metal_logit": Feature(high="close to a metal", only_worse=True),
    "soft_lattice": Feature(high="soft polar modes (ε0 much larger than ε∞)", only_worse=True),
    "stiffness_ratio": Feature(low="nearly unstable in shear"),
    "not_framework": Feature(high="layers, chains or molecules", only_worse=True),
    "log_packing": Feature(high="an open structure", only_worse=True),
    "log_volume_per_atom": Feature(high="much volume per atom", low="little volume per atom"),
    "coordination": Feature(low="few neighbours", high="many neighbours"),
    "coordination_spread": Feature(high="atoms of very different surroundings"),
    "openness": Feature(high="empty space around atoms", only_worse=True),
    "bond_anisotropy": Feature(high="one-sided bonds"),
    "bond_ionicity": Feature(low="bonds of little ionicity", high="ionic bonds"),
    "spread_radius_angstrom": Feature(),
    "lowest_radius_angstrom": Feature(),
    "highest_electronegativity": Feature(),
    "hydrogen": Feature(high="hydrogen", only_worse=True),
    "nonmetal": Feature(),
    "transition_metal": Feature(high="transition metals"),
    "n_elements": Feature(high="many elements", low="few elements"),
    "log_n_atoms": Feature(high="a large cell"),
    "low_symmetry": Feature(high="low symmetry"),
    "symmetry_ambiguous": Feature(high="near-symmetric", only_worse=True),
}
"""In the order of the columns of `error_features`."""

OF_TENSOR = ("disagreement", "size", "rarity")
"""Features that differ between the tensors of one crystal; all others are the same."""

_STRUCTURAL = tuple(name for name in FEATURES if name in feature_names())
_TRANSITION_METAL = np.isin(np.arange(119), np.r_[21:31, 39:49, 72:81])
_NONMETAL = np.isin(np.arange(119), np.r_[1:3, 5:11, 14:19, 32:37, 51:55, 85:87])


@dataclass(frozen=True)
class Evidence:
    """What is known of predicted crystals beside labels; unknown numbers are NaN.

    Attributes:
        crystals: n_crystals of them.
        descriptors: from `models.applicability.descriptor.describe`, [n_crystals, n_features].
        dimension: of the bonded network, 0 to 3, [n_crystals].
        vacuum: widest empty layer in angstrom, [n_crystals].
        space_group: numbers, [n_crystals].
        symmetry_ambiguous: near-symmetric crystals, [n_crystals].
        ood_score: share of held-out crystals nearer to the training data, [n_crystals].
        metal_logit: log odds that a crystal is a metal, [n_crystals].
        band_gap_ev: predicted gap, [n_crystals].
        expansion: predicted ln V / V0, V0 of the relaxed crystal, [n_crystals].
        distortion: predicted root of the energy above the relaxed crystal, sqrt(eV per atom), [n_crystals].
        stiffness_ratio: lowest eigenvalue of the stiffness over the Voigt bound of the bulk modulus, [n_crystals].
        tensors: predicted, in stored shape, [n_crystals, ...].
        spread: of the networks around each tensor, Frobenius, in its unit, [n_crystals].
        beyond_materials: some network says what no material has, [n_crystals].
    """

    crystals: CrystalBatch
    descriptors: Floats
    dimension: Ints
    vacuum: Floats
    space_group: Ints
    symmetry_ambiguous: Bools
    ood_score: Floats
    metal_logit: Floats
    band_gap_ev: Floats
    expansion: Floats
    distortion: Floats
    stiffness_ratio: Floats
    tensors: Mapping[Tensor, Floats]
    spread: Mapping[Tensor, Floats]
    beyond_materials: Bools


def error_features(evidence: Evidence, element_counts: Mapping[Tensor, Floats]) -> dict[Tensor, Floats]:
    """The numbers of every predicted tensor, [n_crystals, n_features] each; NaN where nothing is known.

    Args:
        evidence: of the crystals.
        element_counts: training crystals with a label of a tensor that hold an element, by atomic number, [119].
    """
    crystals = evidence.crystals
    shared = _shared_features(evidence)
    features = {}
    for tensor in evidence.tensors.keys() & element_counts.keys() if crystals.n_crystals else ():
        norm = np.linalg.norm(to_components(tensor, evidence.tensors[tensor]), axis=1)
        size = norm + TENSORS[tensor].absolute_below
        rarest = np.minimum.reduceat(element_counts[tensor][crystals.numbers], crystals.first_atom[:-1])
        columns = {
            "disagreement": np.log(evidence.spread[tensor] / size + _SMALLEST_SPREAD),
            "size": np.log(size),
            "rarity": -np.log1p(rarest),
        } | shared
        features[tensor] = np.stack([columns[name] for name in FEATURES], axis=1)
    return features


def _shared_features(evidence: Evidence) -> dict[str, Floats]:
    """The numbers that do not depend on the tensor, each [n_crystals]."""
    crystals, numbers = evidence.crystals, evidence.crystals.numbers
    n_atoms = crystals.atoms_per_crystal

    def share(chosen: Bools) -> Floats:
        owner = crystals.crystal_of_atom
        return np.bincount(owner, chosen[numbers].astype(np.float64), minlength=crystals.n_crystals) / n_atoms

    pairs = np.unique(crystals.crystal_of_atom * len(_NONMETAL) + numbers)
    columns = {name: evidence.descriptors[:, feature_names().index(name)] for name in _STRUCTURAL}
    return columns | {
        "ood_score": evidence.ood_score,
        "narrow_gap": np.where(np.isnan(evidence.band_gap_ev), np.nan, evidence.band_gap_ev < NARROW_GAP_EV),
        "metal_logit": np.clip(evidence.metal_logit, -10.0, 10.0),
        "soft_lattice": _soft_lattice(evidence.tensors, crystals.n_crystals),
        "stiffness_ratio": np.clip(evidence.stiffness_ratio, -0.5, 1.5),
        "not_framework": (evidence.dimension < 3).astype(np.float64),
        "hydrogen": share(np.arange(len(_NONMETAL)) == 1),
        "nonmetal": share(_NONMETAL),
        "transition_metal": share(_TRANSITION_METAL),
        "n_elements": np.bincount(pairs // len(_NONMETAL), minlength=crystals.n_crystals).astype(np.float64),
        "log_n_atoms": np.log(n_atoms),
        "low_symmetry": (evidence.space_group < FIRST_TETRAGONAL).astype(np.float64),
        "symmetry_ambiguous": evidence.symmetry_ambiguous.astype(np.float64),
    }


def _soft_lattice(tensors: Mapping[Tensor, Floats], n_crystals: int) -> Floats:
    """Logarithm of the mean ε0 over the mean ε∞, at least 0, [n_crystals]."""
    if not {Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL} <= tensors.keys():
        return np.full(n_crystals, np.nan)
    electronic, total = (
        np.trace(tensors[tensor], axis1=1, axis2=2) / 3
        for tensor in (Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL)
    )
    return np.asarray(np.log(np.maximum(total / np.maximum(electronic, 1.0), 1.0)))
