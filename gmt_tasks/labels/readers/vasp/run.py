"""What one output file of VASP says of a calculation, and how it travels out of the child that read it.

Tensors are as VASP prints them: dielectric ones relative, piezoelectric ones in C/m^2, elastic moduli in kbar, in the
Voigt order XX, YY, ZZ, XY, YZ, ZX and in the Cartesian frame of the lattice vectors. They are converted in job.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.label_kind import RefusedRowError
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.sandbox.messages import Message

Floats = NDArray[np.float64]

MAX_TEXT_CHARS = 200
"""Longest setting, symbol or title that is kept."""


SETTINGS = (
    "AEXX", "ENCUT", "GGA", "HFSCREEN", "IBRION", "ISIF", "ISPIN", "IVDW", "LCALCEPS", "LDAU", "LEPSILON", "LHFCALC",
    "LNONCOLLINEAR", "LRPA", "LSORBIT", "LUSE_VDW", "LVDW", "METAGGA", "NELM", "NSW",
)  # fmt: skip
"""INCAR tags that are kept. VASP echoes the INCAR and then prints what it uses: that counts."""

NELM_DEFAULT = 60
"""Electronic steps that VASP takes at most where nothing else is asked for."""


class VaspTensor(StrEnum):
    """A tensor of an output file, by what it contains."""

    DIELECTRIC_ELECTRONIC = "dielectric_electronic"
    """With local field effects in DFT, clamped ions."""
    DIELECTRIC_RPA = "dielectric_rpa"
    """Without local field effects, or with those of Hartree alone: not the tensor that is learned."""
    DIELECTRIC_IONIC = "dielectric_ionic"
    PIEZO_CLAMPED = "piezo_clamped"
    PIEZO_CLAMPED_E_ANGSTROM = "piezo_clamped_e_angstrom"
    PIEZO_IONIC = "piezo_ionic"
    ELASTIC_CLAMPED = "elastic_clamped"
    ELASTIC_TOTAL = "elastic_total"

    @property
    def shape(self) -> tuple[int, int]:
        """Of the printed matrix."""
        rows = {"dielectric": (3, 3), "piezo": (3, 6), "elastic": (6, 6)}
        return rows[self.value.partition("_")[0]]


@dataclass(frozen=True)
class VaspRun:
    """One calculation as one of its output files describes it.

    Attributes:
        version: of VASP, "6.4.2".
        settings: by INCAR tag, as printed.
        potentials: title of each type's potential, "PAW_PBE Ga_d 06Jul2010".
        symbols: element of each atom.
        lattice: rows a, b, c in angstrom at the start of the run, [3, 3].
        frac_coords: at the start of the run, [n_atoms, 3].
        finished: the file has its proper end.
        n_unconverged: electronic minimisations that ended at NELM.
        n_ionic_steps: ionic steps, displaced structures included.
        max_force: largest force of the first step in eV/angstrom; None where not printed.
        pressure_kbar: external pressure of the first step; None where not printed.
        selective: some degrees of freedom of ions are fixed; None where the file does not say.
        tensors: as printed.
    """

    version: str
    settings: Mapping[str, str]
    potentials: tuple[str, ...]
    symbols: tuple[str, ...]
    lattice: Floats
    frac_coords: Floats
    finished: bool
    n_unconverged: int = 0
    n_ionic_steps: int = 0
    max_force: float | None = None
    pressure_kbar: float | None = None
    selective: bool | None = None
    tensors: Mapping[VaspTensor, Floats] = field(default_factory=dict)

    def flag(self, tag: str) -> bool:
        """A logical setting; False where it is not printed."""
        return self.settings.get(tag, "F").strip(".").upper().startswith("T")

    def integer(self, tag: str, default: int) -> int:
        """An integer setting."""
        try:
            return int(self.settings.get(tag, default))
        except ValueError:
            return default


_NUMBERS = ("max_force", "pressure_kbar")
_COUNTS = ("n_unconverged", "n_ionic_steps")


def encode_run(run: VaspRun) -> Message:
    """The run as a message: texts and numbers as JSON, lattice, positions and tensors as arrays."""
    content = {
        "version": run.version,
        "settings": dict(run.settings),
        "potentials": list(run.potentials),
        "symbols": list(run.symbols),
        "finished": run.finished,
        "selective": run.selective,
        "tensors": [name.value for name in run.tensors],
    }
    content |= {name: getattr(run, name) for name in (*_NUMBERS, *_COUNTS)}
    return Message(content, (run.lattice, run.frac_coords, *run.tensors.values()))


def encode_refusal(error: RefusedRowError) -> Message:
    """Why a file gives no run, as a message."""
    return Message([error.reason.value, error.detail])


def decode_run(message: Message) -> VaspRun | RefusedRowError:
    """What a child read of a file, checked; the counterpart of `encode_run` and `encode_refusal`.

    Raises:
        ValueError, TypeError, KeyError: the message is none of theirs.
    """
    content = message.content
    if isinstance(content, list):
        reason, detail = content
        return RefusedRowError(LabelReason(reason), _text(detail, 1000))
    lattice, frac_coords, *tensors = message.arrays
    names = [VaspTensor(name) for name in content["tensors"]]
    symbols = tuple(_text(symbol) for symbol in content["symbols"])
    shapes = [array.shape for array in message.arrays]
    if shapes != [(3, 3), (len(symbols), 3), *(name.shape for name in names)] or len(set(names)) != len(names):
        raise ValueError(f"arrays of shapes {shapes} for {len(symbols)} atoms and {len(names)} tensors")
    return VaspRun(
        version=_text(content["version"]),
        settings={_text(tag): _text(value) for tag, value in content["settings"].items()},
        potentials=tuple(_text(title) for title in content["potentials"]),
        symbols=symbols,
        lattice=lattice.astype(np.float64),
        frac_coords=frac_coords.astype(np.float64),
        finished=content["finished"] is True,
        n_unconverged=int(content["n_unconverged"]),
        n_ionic_steps=int(content["n_ionic_steps"]),
        max_force=_number(content["max_force"]),
        pressure_kbar=_number(content["pressure_kbar"]),
        selective=None if content["selective"] is None else content["selective"] is True,
        tensors={name: tensor.astype(np.float64) for name, tensor in zip(names, tensors, strict=True)},
    )


def _text(value: Any, longest: int = MAX_TEXT_CHARS) -> str:
    """A text of a child, bounded; raises TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a text belongs")
    return value[:longest]


def _number(value: Any) -> float | None:
    """A number of a child, or None."""
    return None if value is None else float(value)
