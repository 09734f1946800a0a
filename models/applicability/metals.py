"""Which crystals are metals: by their elements, else by what the network says.

The static dielectric and piezoelectric tensors of a metal have no meaning: its electrons screen every static field. The
networks learned these tensors from insulators alone and give numbers for any crystal, so metals have to be recognised.
"""

import numpy as np
from numpy.typing import NDArray

from models.crystals.chemical_classes import IS_METAL
from models.crystals.crystal import CrystalBatch

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

METAL_LOGIT = 2.5
"""Log odds of the network above which a crystal of other elements is withheld as a metal.

Of 2,252 candidates with compositions that training never had, 2.6 % of such insulators (1.9 % of those with a gap above
0.5 eV) are above it, and 65 % of such metals.
"""


def has_only_metals(crystals: CrystalBatch) -> Bools:
    """Whether all elements of a crystal are metals, [n_crystals].

    Of 725 such crystals among the same candidates 13 have a gap in a semilocal calculation, 3 of them above 0.5 eV:
    half-Heusler compounds such as HfNiSn, FeGa3, and salts such as BiLi3.
    """
    if not crystals.n_crystals:
        return np.zeros(0, dtype=np.bool_)
    return np.asarray(np.logical_and.reduceat(IS_METAL[crystals.numbers], crystals.first_atom[:-1]))


def metal_flags(crystals: CrystalBatch, metal_logit: Floats) -> Floats:
    """1 for a metal, 0 for an insulator, NaN where neither elements nor network say it, [n_crystals].

    Args:
        crystals: validated crystals.
        metal_logit: log odds that a crystal is a metal, NaN for a model that does not say it, [n_crystals].
    """
    by_network = np.where(np.isfinite(metal_logit), metal_logit > METAL_LOGIT, np.nan)
    return np.where(has_only_metals(crystals), 1.0, by_network)
