"""Tensors in the IEEE frame: the axes in which handbooks print them."""

from typing import Any

import numpy as np

from db.query.hits import Frame, Hits
from db.records import Floats
from models.crystals.crystal import CrystalBatch
from models.quantities import Tensor
from models.symmetry.search import find_symmetry
from models.tensors.frames import FrameError, ieee_rotation, oriented_point_group

DEFAULT_SYMPREC_ANGSTROM = 0.01


def ieee_rotations(crystals: CrystalBatch, symprec: float = DEFAULT_SYMPREC_ANGSTROM) -> tuple[Floats, list[str]]:
    """The rotation of each crystal from its input frame into its IEEE frame.

    Args:
        crystals: n_crystals of them.
        symprec: tolerance of the symmetry search in angstrom.

    Returns:
        Proper rotations R whose rows are X, Y, Z in the input frame, shape [n_crystals, 3, 3], NaN where there is no
        such frame; and, per crystal, the class with its setting, e.g. "321", or why there is no frame.
    """
    symmetry = find_symmetry(crystals, symprec)
    rotations = np.full((crystals.n_crystals, 3, 3), np.nan)
    words = []
    for place, number in enumerate(symmetry.number.tolist()):
        try:
            group = oriented_point_group(number)
            # the cell's columns are its axes, here its rows are wanted
            rotations[place] = ieee_rotation(symmetry.conventional[place].T, group)
        except FrameError as error:
            group = str(error)
        words.append(group)
    return rotations, words


def in_ieee_frame(hits: Hits) -> Hits:
    """Hits with lattice rows and tensors in the IEEE frame of each crystal (IEEE Std 176-1987).

    Args:
        hits: in the input frame; the tolerance of a row's symmetry search is its field `symprec` where it has one.

    Returns:
        The same hits; where a crystal has no IEEE frame, its lattice and tensors are NaN.

    Raises:
        FrameError: they are in another frame already.
    """
    if hits.frame is not Frame.INPUT:
        raise FrameError(f"The tensors are in the {hits.frame} frame already. Start from those of the input frame.")
    tolerances = np.array([row.get("symprec") or DEFAULT_SYMPREC_ANGSTROM for row in hits.rows])
    rotations = np.full((len(hits.rows), 3, 3), np.nan)
    # One search per tolerance: rows of one run have the same.
    for symprec in np.unique(tolerances):
        rows = np.flatnonzero(tolerances == symprec)
        rotations[rows] = ieee_rotations(hits.crystals.select(rows), float(symprec))[0]
    return hits.rotated(rotations, Frame.IEEE)


def facts_in_ieee_frame(facts: dict[str, Any]) -> dict[str, Any]:
    """One crystal in the IEEE frame of each of its results.

    Args:
        facts: of `ResultStore.show`.

    Returns:
        The same facts; of each result `tensors` and `lattice` are rotated, and it has `frame`, `rotation` (rows X, Y,
        Z in the input frame, shape [3, 3]) and `oriented_point_group`.

    Raises:
        FrameError: a result's symmetry has no IEEE frame.
    """
    numbers, lattice = np.asarray(facts["numbers"]), np.asarray(facts["lattice"])
    batch = CrystalBatch.from_arrays([lattice], [np.asarray(facts["frac_coords"])], [numbers])
    rotated = []
    for result in facts["results"]:
        rotations, words = ieee_rotations(batch, result["symprec"] or DEFAULT_SYMPREC_ANGSTROM)
        if np.isnan(rotations).any():
            raise FrameError(f"{facts['id']} has no IEEE frame. {words[0]}")
        known = {name: values for name, values in result["tensors"].items() if values is not None}
        stored = Hits([{}], batch, {Tensor(name): np.asarray(values)[None] for name, values in known.items()})
        turned = stored.rotated(rotations, Frame.IEEE)
        tensors = result["tensors"] | {tensor.value: values[0] for tensor, values in turned.tensors.items()}
        added = {"frame": Frame.IEEE.value, "rotation": rotations[0], "oriented_point_group": words[0]}
        rotated.append(result | added | {"tensors": tensors, "lattice": turned.crystals.lattice[0]})
    return facts | {"results": rotated}
