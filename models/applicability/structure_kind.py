"""Kinds of crystals whose tensors are predicted worse than their distance to the training data says.

A zeolite has the bonds and the elements of quartz, so it looks familiar; what is new is how much room its atoms have.
Pores, gaps between layers and between molecules give soft motions that few labelled crystals have.
"""

import numpy as np
from numpy.typing import NDArray

from models.applicability.descriptor import feature_names

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

OPEN_VOLUME_RATIO = 5.75
"""Volume per atom over the mean volume of its covalent spheres above which a framework is open.

In silica this is a framework density of 21 tetrahedral atoms per 1000 cubic angstrom: zeolites are below, quartz (27),
tridymite and cristobalite (22 to 23) above. Source: C. Baerlocher, L. B. McCusker, D. H. Olson, Atlas of Zeolite
Framework Types, 6th ed. (2007), p. 4.
"""


def volume_ratio(descriptors: Floats) -> Floats:
    """Volume per atom over the mean volume of its covalent spheres, [n_crystals].

    Args:
        descriptors: from `models.applicability.descriptor.describe`, [n_crystals, n_features].
    """
    return np.asarray(np.exp(descriptors[:, feature_names().index("log_packing")]))


def is_open_framework(descriptors: Floats, dimension: Ints) -> Bools:
    """Three-dimensional bonded networks with pores, [n_crystals].

    Args:
        descriptors: see `volume_ratio`.
        dimension: of the bonded network, 0 to 3, [n_crystals].
    """
    return np.asarray((dimension == 3) & (volume_ratio(descriptors) > OPEN_VOLUME_RATIO))
