"""Nets from files: a JSON format of our own, structures of crystals, and reference nets by name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gmt_tasks.sources.files.text_bytes import decode_text, read_bytes
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.parsed import RefusedInputError
from models.beam_lattice.frame import SOLID_POISSON_RATIO
from models.beam_lattice.from_crystals import nets_of_bonds
from models.beam_lattice.net import MAX_NODES, BeamNets, Floats, InvalidNetError
from models.beam_lattice.reference_nets import REFERENCE_NETS, reference_net
from models.crystals.crystal import find_invalid
from models.errors import GmtError, SourceError

MAX_BYTES = 8 << 20
MAX_STRUTS = 20_000

DEFAULT_DENSITY = 0.05
"""Relative density of nets that bring neither radii nor a density."""

DEFAULT_SOLID_GPA = 1.0
"""Young's modulus of the solid where none is given: the stiffness is then one in units of it."""

MIN_DENSITY = 1e-6
"""Least relative density: bending, which goes with its square, has six digits left."""

MAX_RADIUS_RATIO = 1e3
"""Of the radii of a net: bending goes with the fourth power of a radius."""

MAX_COORDINATE = 1e6

_KEYS = ("name", "lattice", "nodes", "struts", "radius", "relative_density", "young_gpa", "poisson_ratio")


class NetFileError(GmtError):
    """A file of a net cannot be used."""


@dataclass(frozen=True)
class NetInput:
    """One net with its solid.

    Attributes:
        name: for people.
        nets: a batch of one.
        young_gpa: Young's modulus of the solid.
        poisson_ratio: of the solid.
    """

    name: str
    nets: BeamNets
    young_gpa: float = DEFAULT_SOLID_GPA
    poisson_ratio: float = SOLID_POISSON_RATIO


def open_net(text: str, relative_density: float | None = None) -> NetInput:
    """One net by what the user wrote.

    Args:
        text: name of a reference net, a JSON file of a net, or a structure file of a crystal whose bonds become struts.
        relative_density: that radii are scaled to; None keeps those of a file, else DEFAULT_DENSITY.

    Raises:
        NetFileError: a file is no net that can be homogenized.
        SourceError: there is no such file and no such net.
    """
    symbols = {net.rcsr for net in REFERENCE_NETS.values()}
    path = Path(text)
    if text.lower() in REFERENCE_NETS or text.lower() in symbols:
        return NetInput(text.lower(), reference_net(text, relative_density or DEFAULT_DENSITY))
    if not path.is_file() and "." not in text and ":" not in text:
        raise SourceError(f"There is no file {text}, and no such net; nets are {', '.join(REFERENCE_NETS)}.")
    net = read_net_file(path) if _may_hold_net(path) else _net_of_crystal(text)
    if relative_density is None:
        return net
    return NetInput(net.name, net.nets.at_density(relative_density), net.young_gpa, net.poisson_ratio)


def _may_hold_net(path: Path) -> bool:
    """Whether a file is JSON that speaks of struts, or means to be JSON; other JSON is left to readers of crystals."""
    if path.suffix.lower() != ".json" or not path.is_file() or path.stat().st_size > MAX_BYTES:
        return False
    content = read_bytes(path, MAX_BYTES)
    try:
        # one document at the beginning is enough: crystals may stand one per line
        json.JSONDecoder().raw_decode(decode_text(content)[0].lstrip())
    except (RefusedInputError, ValueError, RecursionError):
        return True
    return b'"struts"' in content


def read_net_file(path: Path) -> NetInput:
    """Reads a JSON file of a net (docs/lattices.md).

    Raises:
        NetFileError: it is no such file, or its net cannot be homogenized; the text says where and what to do.
    """
    try:
        text = decode_text(read_bytes(path, MAX_BYTES))[0]
        document = json.loads(text, object_pairs_hook=_without_repeats)
    except RefusedInputError as error:
        raise NetFileError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise NetFileError(f"{path} is no JSON: {str(error)[:100]}. Correct it there.") from error
    try:
        return _net_of(document, path.stem)
    except InvalidNetError as error:
        raise NetFileError(f"{path}: {error}") from error
    except _FieldError as error:
        raise NetFileError(f"{path}: {error}") from error


class _FieldError(Exception):
    """A field of a file is missing or of another kind."""


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("a key stands twice")
    return document


def _net_of(document: Any, name: str) -> NetInput:
    if not isinstance(document, Mapping):
        raise _FieldError("it is no JSON object; write one with lattice, nodes and struts.")
    unknown = sorted(set(map(str, document)) - set(_KEYS))
    if unknown:
        raise _FieldError(f"unknown key {unknown[0][:40]!r}; known are {', '.join(_KEYS)}.")
    lattice = _numbers(document, "lattice", (3, 3))
    nodes = _numbers(document, "nodes", (-1, 3))
    struts = document.get("struts")
    if not isinstance(struts, list) or not struts:
        raise _FieldError("struts is no list; write [[start, end, [image along a, b, c]], ...], nodes counted from 0.")
    if len(struts) > MAX_STRUTS or len(nodes) > MAX_NODES:
        raise _FieldError(
            f"{len(nodes)} nodes and {len(struts)} struts are more than {MAX_NODES} and {MAX_STRUTS}; give a smaller "
            "cell."
        )
    rows = np.array([_strut(number, strut) for number, strut in enumerate(struts)], dtype=np.int64)
    radius, density = document.get("radius"), document.get("relative_density")
    if radius is not None and density is not None:
        raise _FieldError("it has both radius and relative_density; keep one.")
    radii = np.ones(len(rows))
    if isinstance(radius, list):
        radii = _numbers(document, "radius", (len(rows),))
    elif radius is not None:
        radii = np.full(len(rows), _positive(document, "radius", np.inf))
    if radii.max() > MAX_RADIUS_RATIO * radii.min() > 0:
        raise _FieldError(f"radii differ by more than a factor of {MAX_RADIUS_RATIO:g}; leave out the thin struts.")
    if np.abs(nodes).max() >= MAX_COORDINATE:
        raise _FieldError(f"a node lies {MAX_COORDINATE:g} cells away or more; write fractional coordinates.")
    # nodes far away are moved into the cell: a mesh of them would have lost its digits
    moved = np.floor(nodes)
    image = rows[:, 2:] + (moved[rows[:, 1] % len(nodes)] - moved[rows[:, 0] % len(nodes)]).astype(np.int64)
    nets = BeamNets(lattice[None], nodes - moved, np.zeros(len(nodes), np.int64), rows[:, :2], image, radii)
    if radius is None:
        given = density is not None
        nets = nets.at_density(_positive(document, "relative_density", 1.0) if given else DEFAULT_DENSITY)
    solid = float(nets.relative_density[0])
    if not MIN_DENSITY <= solid <= 1:
        raise _FieldError(
            f"the struts fill {solid:.3g} of the cell; give radii with which they fill {MIN_DENSITY:g} to 1 of it."
        )
    young = _positive(document, "young_gpa", 1e5) if "young_gpa" in document else DEFAULT_SOLID_GPA
    ratio = document.get("poisson_ratio", SOLID_POISSON_RATIO)
    if not _is_number(ratio) or not -1 < ratio < 0.5:
        raise _FieldError("poisson_ratio is no number between -1 and 0.5; write that of the solid.")
    return NetInput(str(document.get("name", name))[:80], nets, young, float(ratio))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _positive(document: Mapping[str, Any], key: str, highest: float) -> float:
    value = document[key]
    if not _is_number(value) or not 0 < value < highest:
        limit = "" if highest == np.inf else f" and below {highest:g}"
        raise _FieldError(f"{key} is no number above 0{limit}; write one.")
    return float(value)


def _numbers(document: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> Floats:
    """An array of numbers."""
    wanted = " x ".join("n" if size < 0 else str(size) for size in shape)
    value = document.get(key)
    rows = value if isinstance(value, list) else []
    flat = [entry for row in rows for entry in (row if isinstance(row, list) else [row])]
    try:
        if not rows or not all(map(_is_number, flat)):
            raise ValueError
        return np.array(value, dtype=np.float64).reshape(shape if shape[0] > 0 else (len(rows), *shape[1:]))
    except ValueError:
        raise _FieldError(f"{key} is missing or not {wanted} numbers; write a list of that shape.") from None


def _strut(number: int, strut: Any) -> list[int]:
    """Start, end and image of a strut; two numbers alone mean the same cell."""
    if isinstance(strut, list) and len(strut) == 2:
        strut = [*strut, [0, 0, 0]]
    if isinstance(strut, list) and len(strut) == 3 and isinstance(strut[2], list) and len(strut[2]) == 3:
        row = [strut[0], strut[1], *strut[2]]
        if all(isinstance(entry, int) and not isinstance(entry, bool) and abs(entry) < 1e6 for entry in row):
            return row
    raise _FieldError(f"strut {number} is not [start, end, [image along a, b, c]] of whole numbers; correct it.")


def _net_of_crystal(text: str) -> NetInput:
    """The net of the bonds of the first crystal of a source."""
    for block in open_source(text).blocks():
        if block.rejected and block.rejected[0].position == block.start:
            refused = block.rejected[0]
            raise NetFileError(f"{refused.source_id}: {refused.reason.sentence} {refused.detail}.")
        if not block.crystals.n_crystals:
            continue
        first = block.crystals.select([0])
        for reason, detail in find_invalid(first).values():
            raise NetFileError(f"{block.source_ids[0]}: {reason.sentence} {detail}. {reason.advice}")
        made = nets_of_bonds(first)
        for problem, detail in made.refused.values():
            raise NetFileError(f"{block.source_ids[0]}: as a net of bonds, {detail}. {problem.sentence}")
        name = f"{block.source_ids[0]} ({first.formulas()[0]})"
        return NetInput(name, made.nets.at_density(DEFAULT_DENSITY))
    raise NetFileError(f"{text} holds no crystal. Give a net, a structure file, or one of {', '.join(REFERENCE_NETS)}.")
