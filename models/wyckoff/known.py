"""Which crystals a generator was trained on, by their occupied positions.

Two crystals count as the same here if formula, space group and, element by element, multiplicity and site symmetry of
the occupied positions agree, whatever their free parameters and their cell: a generator that writes rock salt NaCl with
another lattice constant has written nothing new. Letters are left out: they depend on the origin.

The table is a file of hashes: the first 8 bytes of a sha256 each.
"""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from models.errors import ModelError
from models.wyckoff.occupation import WyckoffCrystals
from models.wyckoff.positions import space_group

Hashes = NDArray[np.uint64]


def occupation_hashes(crystals: WyckoffCrystals) -> Hashes:
    """What crystals with the same formula, space group and kinds of occupied positions share, [n_crystals]."""
    hashes = []
    for number, orbits in zip(crystals.space_group.tolist(), crystals.orbits(), strict=True):
        positions = space_group(number).positions
        occupied = zip(orbits.numbers.tolist(), orbits.position.tolist(), strict=True)
        kinds = Counter(
            (z, positions[k].multiplicity, positions[k].site_symmetry.replace(".", "")) for z, k in occupied
        )
        text = f"{number} {sorted(kinds.items())}"
        hashes.append(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))
    return np.array(hashes, dtype=np.uint64)


def save_known(crystals: WyckoffCrystals, path: Path) -> None:
    """Writes the table of crystals."""
    save_file({"occupations": np.unique(occupation_hashes(crystals))}, path)
    path.chmod(0o644)  # safetensors writes for the owner only


def load_known(path: Path) -> Hashes:
    """The table, ascending; empty where there is none.

    Raises:
        ModelError: the file is damaged.
    """
    if not path.exists():
        return np.zeros(0, dtype=np.uint64)
    try:
        return np.asarray(load_file(path)["occupations"], dtype=np.uint64)
    except (OSError, KeyError, SafetensorError) as error:
        raise ModelError(f"{path} is no table of known crystals: {error}. Restore it.") from error
