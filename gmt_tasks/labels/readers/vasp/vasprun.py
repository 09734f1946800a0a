"""vasprun.xml -> what it says of a calculation, by the events of a parser: the document is never held as a tree.

It holds the dielectric tensors (`epsilon` of LEPSILON, `epsilon_scf` of LCALCEPS, `epsilon_ion`), structure, settings
and selective dynamics, but neither the piezoelectric tensor nor elastic moduli: those stand in the OUTCAR alone.

A document type declaration ends the reading, so that no entity is ever declared, let alone expanded.
"""

from collections.abc import Iterator
from typing import Any
from xml.parsers import expat

import numpy as np

from gmt_tasks.labels.label_kind import Floats, RefusedRowError
from gmt_tasks.labels.readers.vasp.run import MAX_TEXT_CHARS, NELM_DEFAULT, SETTINGS, VaspRun, VaspTensor
from gmt_tasks.labels.reasons import LabelReason
from models.crystals.crystal import MAX_ATOMS

_TENSORS = {
    "epsilon": VaspTensor.DIELECTRIC_ELECTRONIC,
    "epsilon_scf": VaspTensor.DIELECTRIC_ELECTRONIC,
    "epsilon_rpa": VaspTensor.DIELECTRIC_RPA,
    "epsilon_nscf": VaspTensor.DIELECTRIC_RPA,
    "epsilon_ion": VaspTensor.DIELECTRIC_IONIC,
}
_OF_STRUCTURE = {"basis", "positions", "selective"}
_MATRICES = _OF_STRUCTURE | {"forces", "stress"} | set(_TENSORS)
_KEPT = {"ENMAX": "ENCUT"} | {tag: tag for tag in SETTINGS}  # the parameters call the cutoff ENMAX
_SHORT_ENERGY = {"e_fr_energy", "e_wo_entrp", "e_0_energy"}
_MAX_DEPTH = 64
_MAX_VALUE_CHARS = 4096


def read_vasprun(chunks: Iterator[bytes]) -> VaspRun:
    """The run that a vasprun.xml describes.

    Args:
        chunks: of the file, in order.

    Raises:
        RefusedRowError: it is no vasprun.xml, ends early, declares entities, or has no crystal.
    """
    document = _Vasprun()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = document.start
    parser.EndElementHandler = document.end
    parser.CharacterDataHandler = document.characters
    parser.StartDoctypeDeclHandler = _refuse_doctype
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)  # noqa: FBT003 - positional only
    except expat.ExpatError as error:
        raise RefusedRowError(LabelReason.PARSE, f"the vasprun.xml is no XML: {error}") from error
    try:
        parser.Parse(b"", True)  # noqa: FBT003
    except expat.ExpatError as error:
        detail = f"the vasprun.xml ends before </modeling> ({error}): the job was killed or is running"
        raise RefusedRowError(LabelReason.UNCONVERGED, detail) from error
    return document.run()


def _refuse_doctype(*_: Any) -> None:
    raise RefusedRowError(LabelReason.PARSE, "the XML has a document type declaration, which VASP never writes")


class _Vasprun:
    """A vasprun.xml that is being read: the handlers of the parser."""

    def __init__(self) -> None:
        self._path: list[tuple[str, str]] = []  # element and name of all that are open
        self._text: list[str] | None = None
        self._n_chars = 0
        self._version = ""
        self._parameters: dict[str, str] = {}
        self._incar: dict[str, str] = {}
        self._symbols: list[str] = []
        self._potentials: list[str] = []
        self._column = 0
        self._rows: list[list[float]] = []
        self._is_selective: bool | None = None
        self._matrices: dict[str, Floats] = {}
        self._n_calculations = 0
        self._energies: list[set[str]] = []
        self._n_unconverged = 0

    def start(self, element: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if not self._path and element != "modeling":
            raise RefusedRowError(LabelReason.PARSE, f"the XML is of {element[:40]!r}, not of VASP")
        self._path.append((element, attributes.get("name", "")))
        if len(self._path) > _MAX_DEPTH:
            raise RefusedRowError(LabelReason.PARSE, f"elements nested more than {_MAX_DEPTH} deep")
        if element == "varray":
            self._rows = []
        elif element == "rc":
            self._column = 0
        elif element == "calculation":
            self._n_calculations += 1
            self._energies = []
        elif element == "scstep":
            self._energies.append(set())
        elif element in ("i", "v", "c"):
            self._text, self._n_chars = [], 0

    def characters(self, text: str) -> None:
        """Text within an element."""
        if self._text is None:
            return
        self._n_chars += len(text)
        if self._n_chars <= _MAX_VALUE_CHARS:  # a longer one is a list that nobody asks for
            self._text.append(text)

    def end(self, element: str) -> None:
        """An element ends."""
        _, name = self._path.pop()
        text = "".join(self._text or ())
        if element == "i":
            self._take_value(name, text.strip()[:MAX_TEXT_CHARS])
        elif element == "v" and self._path[-1][0] == "varray" and self._is_wanted(self._path[-1][1]):
            self._take_row(self._path[-1][1], text.split())
        elif element == "c":
            self._take_cell(text.strip()[:MAX_TEXT_CHARS])
        elif element == "varray" and self._is_wanted(name) and self._rows:
            # the first of each name: structure at the start, forces and tensors before displacements
            n_rows = len(self._rows) if name in ("positions", "forces") else 3
            if [len(row) for row in self._rows] != [3] * n_rows:
                raise RefusedRowError(LabelReason.PARSE, f"{name} has {len(self._rows)} rows, not all of 3 numbers")
            self._matrices.setdefault(name, np.array(self._rows))
        elif element == "calculation":
            # The first and the last step of a minimisation print all parts of the energy, those between three of them;
            # the steps of linear response follow.
            short = [energies == _SHORT_ENERGY for energies in self._energies[1:]]
            n_between = short.index(False) if False in short else len(short)
            n_steps = min(n_between + 2, len(self._energies))
            self._n_unconverged += n_steps >= int(self._parameters.get("NELM", NELM_DEFAULT))
        if element in ("i", "v", "c"):
            self._text = None

    def _is_wanted(self, matrix: str) -> bool:
        """Whether a matrix is read: of structures that at the start alone, not the primitive cell that VASP found."""
        return matrix in _MATRICES and (matrix not in _OF_STRUCTURE or ("structure", "initialpos") in self._path)

    def _take_value(self, name: str, value: str) -> None:
        """A setting, the version of VASP, or the name of an energy."""
        rooms = [element for element, _ in self._path]
        if "scstep" in rooms:
            self._energies[-1].add(name)
        elif "generator" in rooms and name == "version":
            self._version = value
        elif name in _KEPT and "parameters" in rooms:
            # the first: other parts of VASP have settings of the same name further down
            self._parameters.setdefault(_KEPT[name], value)
        elif name in _KEPT and "incar" in rooms:
            self._incar[_KEPT[name]] = value

    def _take_row(self, matrix: str, words: list[str]) -> None:
        """A row of a matrix of numbers, or the movable directions of an ion."""
        if matrix == "selective":
            self._is_selective = bool(self._is_selective) or any(word.startswith("F") for word in words)
        elif len(self._rows) < MAX_ATOMS:
            try:
                self._rows.append([float(word) for word in words])
            except ValueError:
                detail = f"{matrix}: {' '.join(words)[:80]!r} where numbers belong"
                raise RefusedRowError(LabelReason.NONFINITE, detail) from None

    def _take_cell(self, text: str) -> None:
        """A cell of a table: the element of an atom, or the title of a potential."""
        table = next((name for element, name in reversed(self._path) if element == "array"), "")
        if table == "atoms" and self._column == 0 and len(self._symbols) < MAX_ATOMS:
            self._symbols.append(text)
        elif table == "atomtypes" and self._column == 4:
            self._potentials.append(text)
        self._column += 1

    def run(self) -> VaspRun:
        """What was read.

        Raises:
            RefusedRowError: no crystal.
        """
        lattice, frac_coords = self._matrices.get("basis"), self._matrices.get("positions")
        if lattice is None or frac_coords is None or len(frac_coords) != len(self._symbols):
            n_positions = 0 if frac_coords is None else len(frac_coords)
            detail = f"the vasprun.xml has {n_positions} positions for {len(self._symbols)} atoms"
            raise RefusedRowError(LabelReason.STRUCTURE, detail)
        forces, stress = self._matrices.get("forces"), self._matrices.get("stress")
        return VaspRun(
            version=self._version,
            settings=self._incar | self._parameters,
            potentials=tuple(self._potentials),
            symbols=tuple(self._symbols),
            lattice=lattice,
            frac_coords=frac_coords,
            finished=True,
            n_unconverged=self._n_unconverged,
            n_ionic_steps=self._n_calculations,
            max_force=None if forces is None else float(np.linalg.norm(forces, axis=1).max()),
            pressure_kbar=None if stress is None else float(np.trace(stress) / 3),
            selective=bool(self._is_selective),
            tensors={tensor: self._matrices[name] for name, tensor in _TENSORS.items() if name in self._matrices},
        )
