"""OUTCAR -> what it says of a calculation, line by line: files of hundreds of megabytes pass through a few of memory.

Source: VASP 5.2 to 6.5, https://www.vasp.at/wiki: OUTCAR, LEPSILON, LCALCEPS, IBRION. The total elastic moduli are
those of TOTAL ELASTIC MODULI; SYMMETRIZED ELASTIC MODULI are of clamped ions. The piezoelectric tensor of the electrons
is printed in e angstrom and in C/m^2, the ionic contribution in C/m^2 alone.
"""

import re
from collections.abc import Iterator
from itertools import islice

import numpy as np

from gmt_tasks.labels.label_kind import Floats, RefusedRowError
from gmt_tasks.labels.readers.vasp.run import MAX_TEXT_CHARS, NELM_DEFAULT, SETTINGS, VaspRun, VaspTensor
from gmt_tasks.labels.reasons import LabelReason
from models.crystals.crystal import MAX_ATOMS

_LANDMARKS = {
    b"TITEL": b"TITEL",
    b"ions": b"ions per type",
    b"LDA+U": b"LDA+U is selected",
    b"position": b"position of ions in fractional coordinates",
    b"direct": b"direct lattice vectors",
    b"POSITION": b"TOTAL-FORCE",
    b"external": b"external pressure",
    b"MACROSCOPIC": b"STATIC DIELECTRIC TENSOR",
    b"PIEZOELECTRIC": b"PIEZOELECTRIC TENSOR",
    b"SYMMETRIZED": b"ELASTIC MODULI",
    b"TOTAL": b"ELASTIC MODULI",
    b"General": b"General timing",
}
"""What tells a line by its first word: nearly all lines are numbers, and looked at no further than that."""

_TAGS = {tag.encode(): tag for tag in SETTINGS}
_SETTING = re.compile(rb"^ *[A-Z_]+ *= *([^\s;]+)")
_PLAIN_NUMBER = re.compile(rb"-?\d*\.\d+")
_ITERATION = re.compile(rb"Iteration\s+(\d+)\(\s*(\d+)\s*\)")
_LONGEST_WORD = 200  # characters in which a line's first word ends, unless it is a rule of dashes
_LONGEST_HEAD = 4  # lines between the title of a table and its first row
_UNPRINTABLE = (b"*", b"nan", b"inf")

_XYZ = (b"x", b"y", b"z")
_PAIRS = (b"XX", b"YY", b"ZZ", b"XY", b"YZ", b"ZX")


def read_outcar(lines: Iterator[bytes]) -> VaspRun:
    """The run that the lines of an OUTCAR describe.

    Args:
        lines: of the file, in order; none is read twice.

    Raises:
        RefusedRowError: it has no crystal, or a table in it cannot be read as numbers.
    """
    outcar = _Outcar(lines)
    outcar.read()
    return outcar.run()


class _Outcar:
    """An OUTCAR that is being read.

    Args:
        lines: of the file.
    """

    def __init__(self, lines: Iterator[bytes]) -> None:
        self._lines = lines
        self._version = ""
        self._settings: dict[str, str] = {}
        self._potentials: list[str] = []
        self._atoms_per_type: list[int] = []
        self._lattice: Floats | None = None
        self._frac_coords: Floats | None = None
        self._max_force: float | None = None
        self._pressure: float | None = None
        self._tensors: dict[VaspTensor, Floats] = {}
        self._finished = False
        self._loops = _ElectronicLoops()

    def read(self) -> None:
        """Reads to the end."""
        first_line = next(self._lines, b"").split()
        if first_line and first_line[0].startswith(b"vasp."):
            self._version = first_line[0].decode("latin-1").removeprefix("vasp.")[:MAX_TEXT_CHARS]
        for line in self._lines:
            word = line[:_LONGEST_WORD].split(None, 1)[:1]
            if not word:
                continue
            # a tag may touch its sign: METAGGA=R2SCAN
            start = word[0].partition(b"=")[0]
            if start in _LANDMARKS and _LANDMARKS[start] in line:
                self._take(_LANDMARKS[start], line)
            elif start in _TAGS and (match := _SETTING.match(line)):
                # the last print is what VASP uses
                self._settings[_TAGS[start]] = match[1].decode("latin-1")[:MAX_TEXT_CHARS]
            elif start.startswith(b"--"):
                self._loops.take(line)

    def _take(self, landmark: bytes, line: bytes) -> None:
        """Reads what a landmark announces."""
        match landmark:
            case b"TITEL":
                self._potentials.append(line.partition(b"=")[2].decode("latin-1").strip()[:MAX_TEXT_CHARS])
            case b"ions per type":
                self._atoms_per_type = [int(n) for n in line.partition(b"=")[2].split()]
            case b"LDA+U is selected":
                self._settings["LDAU"] = "T"
            case b"position of ions in fractional coordinates" if self._frac_coords is None:
                self._frac_coords = self._rows_of_atoms(3, "positions")
            case b"direct lattice vectors" if self._lattice is None:
                # beside each lattice vector stands the reciprocal one
                rows = [_numbers(line, 6, "lattice vectors") for line in islice(self._lines, 3)]
                self._lattice = np.array(rows).reshape(-1, 6)[:, :3]
            case b"TOTAL-FORCE" if self._max_force is None:
                next(self._lines, b"")
                forces = self._rows_of_atoms(6, "forces")[:, 3:]
                self._max_force = float(np.linalg.norm(forces, axis=1).max(initial=0.0))
            case b"external pressure" if self._pressure is None:
                self._pressure = _numbers(line.partition(b"=")[2].split(b"kB")[0], 1, "external pressure")[0]
            case b"General timing":
                self._finished = True
            case b"STATIC DIELECTRIC TENSOR" | b"PIEZOELECTRIC TENSOR" | b"ELASTIC MODULI":
                self._take_tensor(line)

    def _take_tensor(self, title: bytes) -> None:
        """Keeps the first print of a tensor: later ones are of displaced ions."""
        name = _tensor_of_title(title)
        if name is None:
            return
        labels = {(3, 3): (), (3, 6): _XYZ, (6, 6): _PAIRS}[name.shape]
        tensor = self._table(name, labels)
        self._tensors.setdefault(name, tensor)

    def _table(self, name: VaspTensor, labels: tuple[bytes, ...]) -> Floats:
        """The rows of a table below its title; head and rules are passed over."""
        n_rows, n_columns = name.shape
        rows: list[list[float]] = []
        for line in islice(self._lines, _LONGEST_HEAD + n_rows):
            words = line.split()
            is_head = not words or words[0].startswith(b"--") or words[0] == b"Direction" or words[:2] == [b"XX", b"YY"]
            if is_head and not rows:
                continue
            # a table that is cut short must not go on in the next one
            if labels and words[:1] != [labels[len(rows)]]:
                break
            rows.append(_numbers(b" ".join(words[bool(labels) :]), n_columns, name.value))
            if len(rows) == n_rows:
                return np.array(rows)
        detail = f"the table {name.value} has {len(rows)} of {n_rows} rows"
        raise RefusedRowError(LabelReason.UNCONVERGED, f"{detail}: the OUTCAR was cut or changed")

    def _rows_of_atoms(self, n_columns: int, what: str) -> Floats:
        """One row of numbers per atom."""
        n_atoms = sum(self._atoms_per_type)
        if not 0 < n_atoms <= MAX_ATOMS:
            raise RefusedRowError(LabelReason.STRUCTURE, f"{n_atoms} atoms by the types before the {what}")
        rows = [_numbers(line, n_columns, what) for line in islice(self._lines, n_atoms)]
        if len(rows) < n_atoms:
            raise RefusedRowError(LabelReason.UNCONVERGED, f"the OUTCAR ends within the {what}")
        return np.array(rows)

    def run(self) -> VaspRun:
        """What was read.

        Raises:
            RefusedRowError: no version of VASP, or no crystal.
        """
        if not self._version:
            raise RefusedRowError(LabelReason.PARSE, "no OUTCAR of VASP: it does not begin with the version")
        if self._lattice is None or self._frac_coords is None:
            detail = "the OUTCAR ends before lattice and positions"
            raise RefusedRowError(LabelReason.UNCONVERGED, f"{detail}: the job was killed or is running")
        # each potential is named once per type, in their order
        titles = self._potentials[: len(self._atoms_per_type)]
        if len(titles) != len(self._atoms_per_type):
            detail = f"{len(titles)} potentials (TITEL) for {len(self._atoms_per_type)} types of ions"
            raise RefusedRowError(LabelReason.STRUCTURE, detail)
        symbols: list[str] = []
        for title, n_atoms in zip(titles, self._atoms_per_type, strict=True):
            symbols += [symbol_of_potential(title)] * n_atoms
        return VaspRun(
            version=self._version,
            settings=self._settings,
            potentials=tuple(titles),
            symbols=tuple(symbols),
            lattice=self._lattice,
            frac_coords=self._frac_coords,
            finished=self._finished,
            n_unconverged=self._loops.n_unconverged(int(self._settings.get("NELM", NELM_DEFAULT))),
            n_ionic_steps=self._loops.n_ionic_steps,
            max_force=self._max_force,
            pressure_kbar=self._pressure,
            tensors=self._tensors,
        )


class _ElectronicLoops:
    """How the electronic minimisations ended: VASP 6 says so, VASP 5 stops after NELM steps without a word."""

    def __init__(self) -> None:
        self.n_ionic_steps = 0
        self._n_given_up = 0
        self._open: list[int] = []  # steps of loops that nothing ended
        self._step = 0

    def take(self, line: bytes) -> None:
        """A step of a loop, whose number begins anew with each loop, or the end that VASP announces."""
        if b"aborting loop" in line:
            self._n_given_up += b"EDIFF is reached" not in line
            self._step = 0
        elif match := _ITERATION.search(line):
            step = int(match[2])
            if self._step and step <= self._step:
                self._open.append(self._step)
            self.n_ionic_steps = max(self.n_ionic_steps, int(match[1]))
            self._step = step

    def n_unconverged(self, n_steps_allowed: int) -> int:
        """Loops that were given up, announced or not."""
        left = [*self._open, self._step]
        return self._n_given_up + sum(step >= n_steps_allowed for step in left)


def symbol_of_potential(title: str) -> str:
    """Element of a potential's title: "PAW_PBE Ga_d 06Jul2010" -> "Ga"; "H.5" and the like are kept, and no element."""
    words = title.split()
    # ultrasoft potentials of old are titled "US Al"; some titles are the bare element
    name = words[1] if len(words) > 1 else title
    return name.partition("_")[0]


def _tensor_of_title(title: bytes) -> VaspTensor | None:
    """Which tensor a title announces; None for what is not learned."""
    words = title.decode("latin-1")
    is_ionic = "IONIC" in words
    is_rpa = "excluding local field" in words or "RPA" in words
    if "DIELECTRIC" in words:
        if is_ionic:
            return VaspTensor.DIELECTRIC_IONIC
        return VaspTensor.DIELECTRIC_RPA if is_rpa else VaspTensor.DIELECTRIC_ELECTRONIC
    if "PIEZOELECTRIC" in words:
        if re.search(r"\(e\s+Angst\)", words):
            return None if is_ionic or is_rpa else VaspTensor.PIEZO_CLAMPED_E_ANGSTROM
        if "(C/m^2)" not in words or is_rpa:
            return None
        return VaspTensor.PIEZO_IONIC if is_ionic else VaspTensor.PIEZO_CLAMPED
    if "(kBar)" not in words:
        return None
    titles = {"TOTAL ELASTIC": VaspTensor.ELASTIC_TOTAL, "SYMMETRIZED ELASTIC": VaspTensor.ELASTIC_CLAMPED}
    return next((name for start, name in titles.items() if words.strip().startswith(start)), None)


def _numbers(text: bytes, n: int, what: str) -> list[float]:
    """Exactly n numbers of a row that Fortran printed in fixed columns: a minus sign may touch the number before it."""
    words = text.replace(b"-", b" -").split()
    if len(words) != n or not all(map(_PLAIN_NUMBER.fullmatch, words)):
        shown = text.strip()[:80].decode("latin-1")
        is_unprintable = any(mark in text.lower() for mark in _UNPRINTABLE)
        reason = LabelReason.NONFINITE if is_unprintable else LabelReason.PARSE
        raise RefusedRowError(reason, f"{what}: {shown!r} where {n} numbers belong")
    return [float(word) for word in words]
