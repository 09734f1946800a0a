"""Tensors in the IEEE frame: the axes in which handbooks print them."""

from typing import Any, NamedTuple

import numpy as np

from db.query.hits import Frame, Hits
from db.records import Floats
from models.crystals.crystal import CrystalBatch
from models.derived.piezoelectric import piezoelectric_strain_voigt
from models.errors import UnphysicalTensorError
from models.quantities import Tensor
from models.symmetry.search import find_symmetry
from models.tensors.frames import FrameError, ieee_rotation, oriented_point_group
from models.tensors.positive_senses import WITHOUT_OPEN_SENSE, Senses, positive_senses
from models.tensors.rotate import rotate
from models.tensors.voigt import voigt_to_piezo_strain

DEFAULT_SYMPREC_ANGSTROM = 0.01


class IeeeAxes(NamedTuple):
    """Where the axes of a crystal's IEEE frame lie.

    Attributes:
        rotation: proper, its rows are X, Y, Z in the input frame, shape [3, 3]; NaN where there is no such frame.
        point_group: the class with its setting, e.g. "321", or why there is no frame.
        description: class and senses of the axes, in words.
    """

    rotation: Floats
    point_group: str
    description: str


def ieee_axes(hits: Hits, symprec: float = DEFAULT_SYMPREC_ANGSTROM) -> list[IeeeAxes]:
    """The IEEE frame of each crystal (IEEE Std 176-1987): lines of the axes by its lattice, senses by its tensors.

    Args:
        hits: in the input frame, with the piezoelectric and the elastic tensor where they are known.
        symprec: tolerance of the symmetry search in angstrom.
    """
    symmetry = find_symmetry(hits.crystals, symprec)
    axes = []
    for place, number in enumerate(symmetry.number.tolist()):
        try:
            group = oriented_point_group(number)
            # the cell's columns are its axes, here its rows are wanted
            rotation = ieee_rotation(symmetry.conventional[place].T, group)
        except FrameError as error:
            axes.append(IeeeAxes(np.full((3, 3), np.nan), str(error), str(error)))
            continue
        name, coefficients = _coefficients(hits, place)
        senses = positive_senses(group, rotate(Tensor.PIEZOELECTRIC, coefficients, rotation))
        words = f"IEEE Std 176 axes of point group {group}; {_senses_in_words(senses, group, name)}"
        axes.append(IeeeAxes(senses.rotation @ rotation, group, words))
    return axes


def _coefficients(hits: Hits, place: int) -> tuple[str, Floats]:
    """d in pC/N of a crystal, or e in C/m² where it has no compliance; with its symbol, tensor shape [3, 3, 3]."""
    unknown = np.full((1, 3, 3, 3), np.nan)
    stress = hits.tensors.get(Tensor.PIEZOELECTRIC, unknown)[place : place + 1]
    stiffness = hits.tensors.get(Tensor.ELASTIC)
    if stiffness is None or not np.isfinite(stiffness[place]).all():
        return "e", stress[0]
    try:
        return "d", voigt_to_piezo_strain(piezoelectric_strain_voigt(stress, stiffness[place : place + 1]))[0]
    except UnphysicalTensorError:
        return "e", stress[0]


def _senses_in_words(senses: Senses, group: str, name: str) -> str:
    """What fixed the senses of the axes, what could not, and where editions of the standard differ."""
    if group in WITHOUT_OPEN_SENSE:
        return "the class leaves no sense of an axis open"
    words = []
    if senses.decided:
        # d carries 2 on the shear columns, e does not
        factors = {component: 2 if name == "d" and component[2] > "3" else 1 for component in senses.decided}
        values = [f"{name}{each[1:]} = {factors[each] * value:.3g}" for each, value in senses.decided.items()]
        unit = "pC/N" if name == "d" else "C/m^2 (e for want of a stable stiffness)"
        words.append(f"senses such that {' and '.join(values)} {unit} {'is' if len(values) == 1 else 'are'} positive")
    if senses.undecided:
        small = " and ".join(name + component[1:] for component in senses.undecided)
        words.append(f"{small} too small to decide, where the sense follows the cell")
    if group in {"321", "312"} and senses.decided:
        words.append("editions before 1987 may give one hand of the crystal a negative d11")
    return "; ".join(words) or "no piezoelectric coefficient decides the senses, which follow the cell"


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
        part = Hits(
            [hits.rows[row] for row in rows],
            hits.crystals.select(rows),
            {name: values[rows] for name, values in hits.tensors.items()},
        )
        rotations[rows] = [axes.rotation for axes in ieee_axes(part, float(symprec))]
    return hits.rotated(rotations, Frame.IEEE)


def facts_in_ieee_frame(facts: dict[str, Any]) -> dict[str, Any]:
    """One crystal in the IEEE frame of each of its results.

    Args:
        facts: of `ResultStore.show`.

    Returns:
        The same facts; of each result `tensors` and `lattice` are rotated, and it has `frame`, `rotation` (rows X, Y,
        Z in the input frame, shape [3, 3]), `oriented_point_group` and `axes`, the frame in words.

    Raises:
        FrameError: a result's symmetry has no IEEE frame.
    """
    numbers, lattice = np.asarray(facts["numbers"]), np.asarray(facts["lattice"])
    batch = CrystalBatch.from_arrays([lattice], [np.asarray(facts["frac_coords"])], [numbers])
    rotated = []
    for result in facts["results"]:
        known = {name: values for name, values in result["tensors"].items() if values is not None}
        stored = Hits([{}], batch, {Tensor(name): np.asarray(values)[None] for name, values in known.items()})
        axes = ieee_axes(stored, result["symprec"] or DEFAULT_SYMPREC_ANGSTROM)[0]
        if np.isnan(axes.rotation).any():
            raise FrameError(f"{facts['id']} has no IEEE frame. {axes.point_group}")
        turned = stored.rotated(axes.rotation[None], Frame.IEEE)
        tensors = result["tensors"] | {tensor.value: values[0] for tensor, values in turned.tensors.items()}
        added = {"frame": Frame.IEEE.value, "rotation": axes.rotation, "oriented_point_group": axes.point_group}
        added |= {"axes": axes.description, "lattice": turned.crystals.lattice[0]}
        rotated.append(result | added | {"tensors": tensors})
    return facts | {"results": rotated}
