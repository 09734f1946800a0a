"""A stored crystal as a text that other programs open: CIF, POSCAR, extended XYZ.

A tensor is only worth something in its frame. POSCAR and extended XYZ hold the lattice rows as they are stored, so
they keep it; a CIF holds lengths and angles, so whoever reads it chooses new axes: it comes without tensors, and says
so. Extended XYZ carries the tensors, the derived properties and their 90 % intervals of one result.
"""

import json
import math
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np

from db.query.hits import Hits
from db.records import Floats
from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.crystals.formula import formula_amounts
from models.errors import GmtError
from models.quantities import DERIVED, INTERVALS, Tensor
from models.reliability_columns import RELIABILITY
from models.tensors.voigt import to_printed

# names, and symbols of crystal classes such as -43m and 4/mmm
_PLAIN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9_.:@/()-]*|-?[0-9]+/?[a-z]+")
_FLAGS = frozenset(
    ["T", "F", "True", "False", "TRUE", "FALSE", "true", "false", "inf", "Inf", "nan", "NaN", "infinity"]
)
"""Texts that readers of extended XYZ take for something else."""

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class StructureFormat(StrEnum):
    """Formats of structures; also the ends of their files' names."""

    CIF = "cif"
    POSCAR = "poscar"
    EXTXYZ = "extxyz"


class ExportError(GmtError, ValueError):
    """Something cannot be written as it was asked for."""


def structure_text(facts: Mapping[str, Any], format: str) -> str:
    """A crystal as the text of a file.

    Args:
        facts: of `ResultStore.show`: formula, id, lattice [3, 3] in angstrom, numbers [n_atoms], frac_coords
            [n_atoms, 3] and, for extended XYZ, results, of which the first is written.
        format: one of `StructureFormat`.

    Raises:
        ExportError: there is no such format.
    """
    if format not in set(StructureFormat):
        raise ExportError(f"There is no structure format {format[:40]!r}. Choose {', '.join(StructureFormat)}.")
    arrays = {name: np.asarray(facts[name]) for name in ("lattice", "numbers", "frac_coords")}
    crystal = dict(facts) | arrays
    if format == StructureFormat.CIF:
        return _cif(crystal)
    if format == StructureFormat.EXTXYZ:
        return _extxyz(crystal)
    batch = CrystalBatch.from_arrays([arrays["lattice"]], [arrays["frac_coords"]], [arrays["numbers"]])
    return poscar(poscar_cell(batch), _head(crystal))


def facts_of_hit(hits: Hits, place: int) -> dict[str, Any]:
    """One hit in the shape that `structure_text` takes.

    Args:
        hits: with any fields; the derived numbers among them are written to extended XYZ.
        place: of the hit.
    """
    row, batch = hits.rows[place], hits.crystals
    atoms = slice(batch.first_atom[place], batch.first_atom[place + 1])
    tensors = {tensor.value: values[place] for tensor, values in hits.tensors.items()}
    known = {name: values for name, values in tensors.items() if np.isfinite(values).all()}
    ends = {name: [row[low], row[high]] for name, (low, high) in INTERVALS.items() if {low, high} <= row.keys()}
    result = {name: row.get(name) for name in ("model", "spacegroup", "point_group", "symprec")} | {
        "tensors": known,
        "derived": {name: row[name] for name in DERIVED if name in row},
        "uncertainty": {name: pair for name, pair in ends.items() if None not in pair},
        "trust": {name: row[name] for name in RELIABILITY if name in row},
    }
    crystal = {
        "lattice": batch.lattice[place],
        "numbers": batch.numbers[atoms],
        "frac_coords": batch.frac_coords[atoms],
    }
    facts = {"id": row["id"], "formula": batch.select([place]).formulas()[0], **crystal, "results": [result]}
    return facts | ({"relaxed_by": row["relaxed_by"]} if "relaxed_by" in row else {})


def file_name(facts: Mapping[str, Any], format: StructureFormat) -> str:
    """Name of a crystal's file, e.g. "AlN_gx-1a2b3c.cif"; without characters that a file system may refuse."""
    stem = f"{facts['formula']}_{facts['id']}" + ("_relaxed" if facts.get("relaxed_by") else "")
    return "".join(c if c in _SAFE else "_" for c in stem) + ("." if format else "") + format


def _head(crystal: Mapping[str, Any]) -> str:
    """Formula, id and, where there is a result, space group and tolerance: one line."""
    words = [str(crystal["formula"]), str(crystal["id"])]
    if crystal.get("relaxed_by"):
        words.append(f"relaxed by {crystal['relaxed_by']},")
    result: Mapping[str, Any] = next(iter(crystal.get("results", ())), {})
    if result.get("spacegroup"):
        words.append(f"space group {result['spacegroup']} at symprec {result['symprec']} angstrom")
    return " ".join(" ".join(words).split())


def poscar_cell(crystal: CrystalBatch) -> CrystalBatch:
    """A crystal as its POSCAR holds it: atoms sorted by element, a right-handed lattice, the Cartesian frame unchanged.

    VASP refuses a left-handed lattice; there a and b, and the positions along them, change places: nothing is rotated.

    Args:
        crystal: a batch of one.
    """
    lattice, frac = crystal.lattice[0], crystal.frac_coords
    if np.linalg.det(lattice) < 0:
        lattice, frac = lattice[[1, 0, 2]], frac[:, [1, 0, 2]]
    order = np.argsort(crystal.numbers, kind="stable")
    return CrystalBatch.from_arrays([lattice], [frac[order]], [crystal.numbers[order]])


def poscar(crystal: CrystalBatch, title: str) -> str:
    """POSCAR of one crystal with 16 digits.

    Args:
        crystal: from `poscar_cell`.
        title: first line.
    """
    elements, counts = np.unique(crystal.numbers, return_counts=True)
    head = [title, "1.0", *(_numbers(row) for row in crystal.lattice[0])]
    species = [" ".join(SYMBOLS[z] for z in elements.tolist()), " ".join(map(str, counts.tolist())), "Direct"]
    return "\n".join([*head, *species, *(_numbers(row) for row in crystal.frac_coords)]) + "\n"


def _numbers(row: Floats) -> str:
    return " ".join(f"{value:.16f}" for value in row.tolist())


def _cif(crystal: Mapping[str, Any]) -> str:
    """CIF 1.1 without symmetry: every atom of the cell is listed, so no reader has to expand anything."""
    lattice, numbers = crystal["lattice"], crystal["numbers"]
    lengths = np.linalg.norm(lattice, axis=1)
    pairs = ((1, 2), (0, 2), (0, 1))
    cosines = [float(lattice[i] @ lattice[j] / (lengths[i] * lengths[j])) for i, j in pairs]
    angles = [math.degrees(math.acos(min(1.0, max(-1.0, cosine)))) for cosine in cosines]
    elements, counts = np.unique(numbers, return_counts=True)
    amounts = [f"{SYMBOLS[z]}{n if n > 1 else ''}" for z, n in zip(elements.tolist(), counts.tolist(), strict=True)]
    units = counts.sum() / sum(formula_amounts(str(crystal["formula"])).values())
    lines = [
        f"# {_head(crystal)}",
        "# The cell is written without symmetry. Its axes are not those of the tensors: for these take extended XYZ.",
        f"data_{''.join(c if c in _SAFE else '_' for c in str(crystal['id']))}",
        f"_chemical_formula_structural '{crystal['formula']}'",
        f"_chemical_formula_sum '{' '.join(sorted(amounts))}'",
        f"_cell_formula_units_Z {round(units)}",
        *(f"_cell_length_{name} {length:.10f}" for name, length in zip("abc", lengths.tolist(), strict=True)),
        *(f"_cell_angle_{name} {angle:.10f}" for name, angle in zip(("alpha", "beta", "gamma"), angles, strict=True)),
        f"_cell_volume {abs(float(np.linalg.det(lattice))):.8f}",
        "_space_group_name_H-M_alt 'P 1'",
        "_space_group_IT_number 1",
        "loop_",
        "_space_group_symop_operation_xyz",
        "'x, y, z'",
        "loop_",
        *(f"_atom_site_{name}" for name in ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy")),
    ]
    for place, (z, row) in enumerate(zip(numbers.tolist(), crystal["frac_coords"].tolist(), strict=True), 1):
        lines.append(f"{SYMBOLS[z]}{place} {SYMBOLS[z]} " + " ".join(f"{value:.12f}" for value in row) + " 1")
    return "\n".join(lines) + "\n"


def _extxyz(crystal: Mapping[str, Any]) -> str:
    """One frame of extended XYZ; tensors are matrices, in Voigt order 11 22 33 23 13 12 where they have pairs."""
    lattice = crystal["lattice"]
    words = [f'Lattice="{" ".join(repr(value) for value in lattice.ravel().tolist())}"', 'pbc="T T T"']
    if crystal.get("relaxed_by"):
        words.append(f"relaxed_by={_word(crystal['relaxed_by'])}")
    words += ["Properties=species:S:1:pos:R:3", f"id={_word(crystal['id'])}", f"formula={_word(crystal['formula'])}"]
    for result in crystal.get("results", ())[:1]:
        words += _result_words(result)
    lines = [str(len(crystal["numbers"])), " ".join(words)]
    positions = crystal["frac_coords"] @ lattice
    for z, row in zip(crystal["numbers"].tolist(), positions.tolist(), strict=True):
        lines.append(f"{SYMBOLS[z]} " + " ".join(f"{value:.12f}" for value in row))
    return "\n".join(lines) + "\n"


def _result_words(result: Mapping[str, Any]) -> list[str]:
    """One result as pairs of key and value; what is unknown is left out."""
    values = {name: result.get(name) for name in ("model", "spacegroup", "point_group", "symprec")}
    values |= result.get("derived", {}) | result.get("trust", {})
    words = [f"{name}={_word(value)}" for name, value in values.items() if value is not None and value == value]
    for name, pair in result.get("uncertainty", {}).items():
        words += [f"{end}={_word(value)}" for end, value in zip(INTERVALS[name], pair, strict=True)]
    for name, tensor in result.get("tensors", {}).items():
        if tensor is not None:
            # ASE reads what stands behind _JSON as an array of this shape; bare numbers as a flat list.
            matrix = to_printed(Tensor(name), np.asarray(tensor)).tolist()
            words.append(f'{printed_name(Tensor(name))}="_JSON {json.dumps(matrix)}"')
    return words


def printed_name(tensor: Tensor) -> str:
    """The key or column of a tensor that is written as a matrix; one in Voigt order says so."""
    return "piezoelectric_voigt" if tensor is Tensor.PIEZOELECTRIC else tensor.value


def _word(value: Any) -> str:
    """A value as extended XYZ reads it back: T and F for flags, texts in quotes."""
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return "T" if value else "F"
    if isinstance(value, int | float):
        return repr(value)
    text = "".join(c for c in str(value) if c.isprintable())
    # A text that would be read as a number, a flag (the formula F) or nothing at all stands behind _JSON.
    if not _PLAIN_TEXT.fullmatch(text) or text in _FLAGS:
        text = f"_JSON {json.dumps(text)}"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
