"""OUTCAR and vasprun.xml as VASP 6 prints them, made of a crystal and its tensors in our units and order."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

VASP_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0))
"""VASP's XX YY ZZ XY YZ ZX."""

OURS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
NAMES = ("XX", "YY", "ZZ", "XY", "YZ", "ZX")
RULE = "-" * 104


@dataclass(frozen=True)
class Job:
    """A finished calculation; tensors relative, in C/m^2 [3, 3, 3] and in GPa [6, 6], our Voigt order, lattice frame.

    Attributes:
        printed_pairs: the order in which Voigt columns are printed; another one than VASP's is a mistake.
        electronic_steps: of the ground state; NELM is 60.
    """

    lattice: Floats
    frac: Floats
    symbols: tuple[str, ...]
    eps_electronic: Floats | None = None
    eps_ionic: Floats | None = None
    piezo_clamped: Floats | None = None
    piezo_ionic: Floats | None = None
    stiffness: Floats | None = None
    clamped_stiffness: Floats | None = None
    settings: dict[str, str] = field(default_factory=dict)
    printed_pairs: tuple[tuple[int, int], ...] = VASP_PAIRS
    electronic_steps: int = 12
    converged: bool = True
    finished: bool = True
    rpa: bool = False
    force: float = 0.0
    n_ionic_steps: int = 1
    fixed: bool = False

    @property
    def types(self) -> list[tuple[str, int]]:
        """Element and number of atoms of each type, in the order of the atoms."""
        types: list[tuple[str, int]] = []
        for symbol in self.symbols:
            if types and types[-1][0] == symbol:
                types[-1] = (symbol, types[-1][1] + 1)
            else:
                types.append((symbol, 1))
        return types

    @property
    def tags(self) -> dict[str, str]:
        """What VASP uses."""
        ibrion = "6" if self.stiffness is not None else "8" if self.eps_ionic is not None else "-1"
        epsilon = "T" if self.eps_electronic is not None or self.rpa else "F"
        isif = "3" if self.stiffness is not None else "2"
        return {
            "ENCUT": "600.0", "NELM": "60", "NSW": "1", "IBRION": ibrion, "ISIF": isif, "ISPIN": "1",
            "LNONCOLLINEAR": "F", "LSORBIT": "F", "GGA": "PS", "LHFCALC": "F", "LEPSILON": epsilon, "LRPA": "F",
        } | self.settings  # fmt: skip

    def printed(self, tensor: Floats, n_voigt: int) -> Floats:
        """A tensor as the matrix that is printed, entry by entry."""
        if n_voigt == 1:
            return np.array([[tensor[i, j, k] for j, k in self.printed_pairs] for i in range(3)])
        index = {pair: n for n, pair in enumerate(OURS)}
        rows = [index[tuple(sorted(pair))] for pair in self.printed_pairs]
        return np.array([[10 * tensor[i, j] for j in rows] for i in rows])  # kbar


def outcar(job: Job) -> str:
    """The text of the OUTCAR."""
    lines = [
        " vasp.6.3.2 27Jun22 (build Feb 01 2023 10:22:31) complex",
        " executed on             LinuxIFC date 2026.01.12  10:23:05",
        " running on   32 total cores", "", RULE, "", " INCAR:", "   IBRION = 8", "",
        *(f" POTCAR:    PAW_PBE {symbol} 05Jan2001" for symbol, _ in job.types), "",
    ]  # fmt: skip
    for symbol, _ in job.types:
        lines += [f"   VRHFIN ={symbol}: s2p1", "   LEXCH  = PE", f"   TITEL  = PAW_PBE {symbol} 05Jan2001"]
        lines += ["   POMASS =   28.085; ZVAL   =    4.000    mass and valenz"]
        lines += ["   ENMAX  =  400.000; ENMIN  =  300.000 eV", ""]
    lines += [" Dimension of arrays:", "   k-points in BZ     NKDIM =    543   number of bands    NBANDS=     32"]
    lines += ["   total plane-waves  NPLWV =  32768"]
    lines += [f"   number of ions     NIONS = {len(job.symbols):6d}"]
    lines += ["   ions per type =             " + "".join(f"{n:4d}" for _, n in job.types), ""]
    tags = job.tags
    lines += [" Electronic Relaxation 1", f"   ENCUT  =  {tags['ENCUT']} eV  44.10 Ry    6.64 a.u."]
    lines += [f"   NELM   =    {tags['NELM']};   NELMIN=  2; NELMDL= -5     # of ELM steps"]
    others = [tag for tag in tags if tag not in ("ENCUT", "NELM")]
    lines += [f"   {tag:7s}= {tags[tag]:>6s}    what it means" for tag in others]
    reciprocal = np.linalg.inv(job.lattice).T
    lines += ["", "  energy-cutoff  :      600.00", f"  volume of cell :  {abs(np.linalg.det(job.lattice)):11.2f}"]
    lines += ["      direct lattice vectors                 reciprocal lattice vectors"]
    pairs = zip(job.lattice, reciprocal, strict=True)
    lines += [f"  {fixed(direct, 13, 9)}  {fixed(other, 13, 9)}" for direct, other in pairs]
    lines += ["", " position of ions in fractional coordinates (direct lattice) "]
    lines += [f" {fixed(row, 12, 8)}" for row in job.frac] + [""]
    for step in range(job.n_ionic_steps):
        lines += _ground_state(job, step + 1)
    lines += _tensors(job)
    if job.finished:
        lines += [" General timing and accounting informations for this job:", " " + "=" * 56, "  "]
        lines += ["                  Total CPU time used (sec):      682.091", ""]
        lines += ["                  Voluntary context switches:         7263"]
    return "\n".join(lines) + "\n"


def _ground_state(job: Job, step: int) -> list[str]:
    lines = []
    for iteration in range(job.electronic_steps):
        lines += [f"{'-' * 39} Iteration {step:6d}({iteration + 1:4d})  {'-' * 39}", ""]
        lines += ["  free  energy   TOTEN  =       -15.05460221 eV"]
    if job.converged:
        lines += [f"{'-' * 24} aborting loop because EDIFF is reached {'-' * 40}", ""]
    lines += ["  external pressure =       -0.42 kB  Pullay stress =        0.00 kB", ""]
    lines += [" POSITION                                       TOTAL-FORCE (eV/Angst)", " " + "-" * 83]
    cartesian = job.frac @ job.lattice
    force = np.array([job.force, 0.0, 0.0])
    lines += [fixed(row, 13, 5) + "   " + fixed(force, 14, 6) for row in cartesian]
    return [*lines, " " + "-" * 83, f"    total drift:                      {fixed(np.zeros(3), 14, 6)}"]


def _tensors(job: Job) -> list[str]:
    lines: list[str] = []
    if job.eps_electronic is not None:
        lines += _dielectric("(including local field effects in DFT)", job.eps_electronic)
    if job.rpa:
        lines += _dielectric("(including local field effects in RPA (Hartree))", 4 * np.eye(3))
    if job.piezo_clamped is not None:
        volume = abs(np.linalg.det(job.lattice))
        clamped = job.printed(job.piezo_clamped, 1)
        title = " PIEZOELECTRIC TENSOR  for field in x, y, z        "
        lines += [*_piezo(f"{title}(e  Angst)", clamped * volume / 16.02176634), ""]
        lines += _piezo(f"{title}(C/m^2)", clamped)
        lines += [" ", " BORN EFFECTIVE CHARGES (in e, cummulative output)", " " + "-" * 49, " ion    1"]
        lines += ["    1     2.54988    -0.38491    -0.38491", ""]
    if job.clamped_stiffness is not None:
        lines += _elastic("  ELASTIC MODULI  (kBar)", job.printed(job.clamped_stiffness, 2))
        lines += _elastic("  SYMMETRIZED ELASTIC MODULI (kBar)", job.printed(job.clamped_stiffness, 2))
    if job.stiffness is not None:
        lines += _elastic(" ELASTIC MODULI CONTR FROM IONIC RELAXATION (kBar)", -np.ones((6, 6)))
        lines += _elastic(" TOTAL ELASTIC MODULI (kBar)", job.printed(job.stiffness, 2))
    if job.eps_ionic is not None:
        lines += _dielectric("IONIC CONTRIBUTION", job.eps_ionic)
    if job.piezo_ionic is not None:
        title = " PIEZOELECTRIC TENSOR IONIC CONTR  for field in x, y, z        (C/m^2)"
        lines += [*_piezo(title, job.printed(job.piezo_ionic, 1)), "", RULE]
    return lines


def _dielectric(title: str, tensor: Floats) -> list[str]:
    rule = " " + "-" * 54
    rows = ["      " + fixed(row, 13, 6) for row in tensor]
    return [f" MACROSCOPIC STATIC DIELECTRIC TENSOR {title}", rule, *rows, rule, "", ""]


def _piezo(title: str, matrix: Floats) -> list[str]:
    head = "          " + "          ".join(NAMES)
    rows = [f"  {name} {fixed(row, 12, 5)}" for name, row in zip("xyz", matrix, strict=True)]
    return [title, head, "  " + "-" * 80, *rows]


def _elastic(title: str, matrix: Floats) -> list[str]:
    head = " Direction    " + "          ".join(NAMES)
    rows = [f" {name}   {fixed(row, 12, 4)}" for name, row in zip(NAMES, matrix, strict=True)]
    return [title, head, " " + "-" * 80, *rows, " " + "-" * 80, "", ""]


def fixed(row: Iterable[float], width: int, digits: int) -> str:
    """Numbers in Fortran's fixed columns."""
    return "".join(f"{value:{width}.{digits}f}" for value in row)


def vasprun(job: Job) -> str:
    """The text of the vasprun.xml."""
    tags = job.tags
    kinds = {"IBRION": "int", "NELM": "int", "NSW": "int", "ISIF": "int", "ISPIN": "int", "GGA": "string"}
    settings = [_value(tag, value, kinds.get(tag, "logical")) for tag, value in tags.items() if tag != "ENCUT"]
    atoms = [f"<rc><c>{symbol:2s}</c><c>{1:4d}</c></rc>" for symbol in job.symbols]
    types = [
        f"<rc><c>{n:4d}</c><c>{symbol:2s}</c><c>  28.085</c><c>  4.0</c><c> PAW_PBE {symbol} 05Jan2001   </c></rc>"
        for symbol, n in job.types
    ]
    head = ['<?xml version="1.0" encoding="ISO-8859-1"?>', "<modeling>", " <generator>"]
    head += ['  <i name="program" type="string">vasp </i>', '  <i name="version" type="string">6.3.2  </i>']
    head += [" </generator>", " <incar>", '  <i type="int" name="IBRION">     2</i>', " </incar>"]
    head += [' <structure name="primitive_cell" >', *_crystal(job.lattice / 2), " </structure>", " <kpoints>"]
    head += [' <generation param="Gamma"><v type="int" name="divisions"> 6 6 6 </v></generation>']
    head += [_varray("kpointlist", np.zeros((1, 3))), _varray("weights", np.ones((1, 1))), " </kpoints>"]
    head += [' <parameters><separator name="electronic" >', '  <i name="ENMAX">    600.00000000</i>', *settings]
    head += ["  </separator>", ' <separator name="response functions" ><i type="int" name="NELM">   1</i></separator>']
    head += [" </parameters>", f" <atominfo><atoms> {len(atoms)} </atoms><types> {len(types)} </types>"]
    head += ['  <array name="atoms" ><dimension dim="1">ion</dimension><field type="string">element</field>']
    head += ['   <field type="int">atomtype</field><set>', *atoms, "  </set></array>", '  <array name="atomtypes" >']
    head += ['   <dimension dim="1">type</dimension><field type="int">atomspertype</field>']
    head += ['   <field type="string">element</field><field>mass</field><field>valence</field>']
    head += ['   <field type="string">pseudopotential</field><set>', *types, "  </set></array>", " </atominfo>"]
    selective = [_rows("selective", [" T  T  F "] * len(job.symbols), ' type="logical"')] if job.fixed else []
    positions = _varray("positions", job.frac)
    body = [' <structure name="initialpos" >', *_crystal(job.lattice), positions, *selective, " </structure>"]
    for step in range(job.n_ionic_steps):
        body += [" <calculation>", *_steps(job), " <structure>", *_crystal(job.lattice), positions, " </structure>"]
        body += [_varray("forces", np.tile([job.force, 0, 0], (len(job.symbols), 1)))]
        body += [_varray("stress", -0.42 * np.eye(3))]
        if step == 0:
            for name, tensor in (("epsilon", job.eps_electronic), ("epsilon_ion", job.eps_ionic)):
                body += [_varray(name, tensor)] if tensor is not None else []
        body += [" </calculation>"]
    body += [' <structure name="finalpos" >', *_crystal(job.lattice), positions, " </structure>"]
    return "\n".join([*head, *body, *(["</modeling>"] if job.finished else [])]) + "\n"


def _value(tag: str, value: str, kind: str) -> str:
    return f'  <i type="{kind}" name="{tag}"> {value}  </i>'


def _crystal(lattice: Floats) -> list[str]:
    return ["  <crystal>", _varray("basis", lattice), '   <i name="volume">     87.42001940 </i>', "  </crystal>"]


def _rows(name: str, rows: Iterable[str], extra: str = "") -> str:
    inner = "\n".join(f"    <v{extra}>{row}</v>" for row in rows)
    return f'   <varray name="{name}" >\n{inner}\n   </varray>'


def _varray(name: str, matrix: Floats) -> str:
    return _rows(name, (fixed(row, 17, 8) for row in matrix))


def _steps(job: Job) -> list[str]:
    """Ground state, the first and last step with all parts of the energy; then linear response."""
    short = "".join(f'<i name="{name}"> -15.0 </i>' for name in ("e_fr_energy", "e_wo_entrp", "e_0_energy"))
    full = '<i name="alphaZ"> 73.8 </i>' + short
    energies = [full, *[short] * (job.electronic_steps - 2), full, short, short]
    return [f"  <scstep><energy>{energy}</energy></scstep>" for energy in energies]


def write_job(folder: Path, job: Job, *, files: str = "both") -> Path:
    """The output files of a job in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if files in ("both", "outcar"):
        (folder / "OUTCAR").write_text(outcar(job), encoding="utf-8")
    if files in ("both", "vasprun"):
        (folder / "vasprun.xml").write_text(vasprun(job), encoding="latin-1")
    return folder


def label_values(rows: Iterable[Any]) -> dict[str, dict[str, Any]]:
    """The rows of a source by kind."""
    return {row.row["kind"]: row.row for row in rows}
