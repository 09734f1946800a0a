"""One finished calculation, described by its OUTCAR, vasprun.xml or both -> label rows in our units and order.

Both files of a job are one calculation: what both print must agree, and gives one label. The structure is that at the
start of the run, which the tensors are of: response runs do not move the ions, and IBRION 5 to 8 displace them from it.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from gmt_tasks.labels.label_kind import Floats, RefusedRowError
from gmt_tasks.labels.readers.source import Label, LabelRow, RefusedLabel
from gmt_tasks.labels.readers.vasp.method import method_of, remarks_on
from gmt_tasks.labels.readers.vasp.run import VaspRun, VaspTensor
from gmt_tasks.labels.reasons import LabelReason
from models.crystals.crystal import SYMBOLS
from models.tensors.voigt import reorder_vasp_voigt, voigt_to_piezo

SOURCE = "VASP"
KBAR_PER_GPA = 10.0

_E_ANGSTROM_PER_C_PER_M2 = 16.02176634  # e Angst / Angst^3 in C/m^2
_SAME_ANGSTROM = 1e-4
_SAME_TENSOR = 1e-3  # relative and absolute: the files print 6 and 8 digits
_SAME_CLAMPED = 0.25  # the print in e angstrom is not symmetrized
_ZERO_PIEZO = 0.02
"""C/m^2 below which a clamped-ion tensor is noise: a crystal with inversion has no other."""

_ATOMIC_NUMBER = {symbol: number for number, symbol in enumerate(SYMBOLS) if number}


def labels_of_job(source_id: str, runs: dict[str, VaspRun]) -> Iterator[Label]:
    """The labels of one job.

    Args:
        source_id: its id.
        runs: by the name of the file that describes it, one of each kind at most; the OUTCAR first.

    Yields:
        One label per kind that the job calculated, or why there is none; nothing for a job that asked for no response.

    Raises:
        RefusedRowError: it did not finish or converge, its files contradict each other, or it has no usable crystal.
    """
    run = next(iter(runs.values()))
    if not any(asks_for_response(each) for each in runs.values()):
        return
    _require_finished(runs)
    _require_agreement(runs)
    tensors = {name: tensor for each in reversed(runs.values()) for name, tensor in each.tensors.items()}
    selective = next((each.selective for each in runs.values() if each.selective is not None), None)
    crystal = _crystal_of(run)
    row = {"id": source_id, "source": SOURCE, **crystal, "frame": "cartesian", "method": method_of(run)}
    row |= {"remarks": remarks} if (remarks := remarks_on(run)) else {}
    rows = [*_dielectric(tensors), *_piezoelectric(tensors, run.lattice), *_elastic(tensors)]
    if not rows:
        detail = "a response was asked for (LEPSILON, LCALCEPS, or IBRION 6 with ISIF 3), but no tensor is printed"
        rpa = ", only one without local field effects of DFT" if VaspTensor.DIELECTRIC_RPA in tensors else ""
        no_outcar = ""
        if not any(name.upper().startswith("OUTCAR") for name in runs):
            no_outcar = "; piezoelectric and elastic tensors stand in the OUTCAR, which is missing"
        yield RefusedLabel(source_id, "", LabelReason.INCOMPLETE, detail + rpa + no_outcar)
    for kind, values in rows:
        if isinstance(values, str):
            yield RefusedLabel(source_id, kind, LabelReason.INCOMPLETE, values)
        elif selective and ("tensor" in values or "tensor_voigt" in values):
            detail = "ions are fixed by selective dynamics, so that the ionic part lacks their relaxation"
            yield RefusedLabel(source_id, kind, LabelReason.INCOMPLETE, detail)
        else:
            yield LabelRow(source_id, row | {"kind": kind} | values)


def asks_for_response(run: VaspRun) -> bool:
    """Whether a run was to give a tensor; relaxations and the like are not."""
    is_elastic = run.integer("IBRION", -1) == 6 and run.integer("ISIF", 2) >= 3
    return run.flag("LEPSILON") or run.flag("LCALCEPS") or is_elastic or bool(run.tensors)


def _require_finished(runs: dict[str, VaspRun]) -> None:
    """Refuses jobs that were killed, gave up, or moved the ions while the response was calculated."""
    for name, run in runs.items():
        if not run.finished:
            detail = f"{name} ends before 'General timing and accounting': the job was killed or is running"
            raise RefusedRowError(LabelReason.UNCONVERGED, detail)
    # the OUTCAR stands first and says how each minimisation ended; the other file gives the number of steps alone
    name, run = next(iter(runs.items()))
    if run.n_unconverged:
        detail = f"{run.n_unconverged} electronic minimisations ended at NELM steps without reaching EDIFF ({name})"
        raise RefusedRowError(LabelReason.UNCONVERGED, detail)
    if run.n_ionic_steps > 1 and run.integer("IBRION", -1) < 5:
        detail = f"{run.n_ionic_steps} ionic steps in the run that calculated the response"
        detail += ", so that it is not sure which structure its tensors are of: calculate it on the relaxed one"
        raise RefusedRowError(LabelReason.UNCONVERGED, detail)


def _require_agreement(runs: dict[str, VaspRun]) -> None:
    """Refuses two files that are not of one calculation."""
    if len(runs) < 2:
        return
    (first_name, first), (second_name, second) = runs.items()
    both = f"{first_name} and {second_name}"
    if first.symbols != second.symbols and all(symbol in _ATOMIC_NUMBER for symbol in second.symbols):
        raise RefusedRowError(LabelReason.INCONSISTENT, f"{both} are of different atoms")
    if first.frac_coords.shape != second.frac_coords.shape:
        raise RefusedRowError(LabelReason.INCONSISTENT, f"{both} are of different numbers of atoms")
    shift = first.frac_coords - second.frac_coords
    moved = np.abs((shift - np.round(shift)) @ second.lattice).max(initial=0.0)
    strained = np.abs(first.lattice - second.lattice).max()
    if max(moved, strained) > _SAME_ANGSTROM:
        detail = f"{both} begin with other structures: lattice {strained:.3g}, positions {moved:.3g} angstrom apart"
        raise RefusedRowError(LabelReason.INCONSISTENT, detail)
    for name in first.tensors.keys() & second.tensors.keys():
        one, other = first.tensors[name], second.tensors[name]
        if not np.allclose(one, other, rtol=_SAME_TENSOR, atol=_SAME_TENSOR):
            worst = np.abs(one - other).max()
            detail = f"{both} print different {name.value} tensors, {worst:.3g} apart"
            raise RefusedRowError(LabelReason.INCONSISTENT, detail)


def _crystal_of(run: VaspRun) -> dict[str, Any]:
    """Lattice, species and positions of a row."""
    foreign = [symbol for symbol in run.symbols if symbol not in _ATOMIC_NUMBER]
    if foreign:
        detail = f"{foreign[0]!r} is no element (fractional hydrogen, a virtual crystal or a damaged name)"
        raise RefusedRowError(LabelReason.STRUCTURE, detail)
    numbers = [_ATOMIC_NUMBER[symbol] for symbol in run.symbols]
    return {
        "lattice": run.lattice.tolist(),
        "species": numbers,
        "frac_coords": run.frac_coords.tolist(),
    }


Values = dict[str, Any] | str
"""Unit and values of a row, or what is missing for it."""


def _dielectric(tensors: dict[VaspTensor, Floats]) -> Iterator[tuple[str, Values]]:
    """The electronic tensor, and the total one where the ionic contribution was calculated."""
    electronic = tensors.get(VaspTensor.DIELECTRIC_ELECTRONIC)
    ionic = tensors.get(VaspTensor.DIELECTRIC_IONIC)
    if electronic is not None:
        total = {} if ionic is None else {"tensor": (electronic + ionic).tolist()}
        yield "dielectric_total", {"unit": "relative", "tensor_electronic": electronic.tolist()} | total
    elif ionic is not None:
        yield "dielectric_total", "only the ionic contribution is printed, without the electronic tensor"


def _piezoelectric(tensors: dict[VaspTensor, Floats], lattice: Floats) -> Iterator[tuple[str, Values]]:
    """The total stress tensor: clamped ions plus ionic contribution.

    Raises:
        RefusedRowError: the prints in C/m^2 and in e angstrom contradict each other.
    """
    clamped, ionic = tensors.get(VaspTensor.PIEZO_CLAMPED), tensors.get(VaspTensor.PIEZO_IONIC)
    in_e_angstrom = tensors.get(VaspTensor.PIEZO_CLAMPED_E_ANGSTROM)
    if clamped is not None and in_e_angstrom is not None:
        converted = in_e_angstrom * (_E_ANGSTROM_PER_C_PER_M2 / abs(np.linalg.det(lattice)))
        apart = float(np.linalg.norm(clamped - converted))
        if apart > _SAME_CLAMPED * np.linalg.norm(clamped) + _ZERO_PIEZO:
            detail = f"the clamped-ion tensors in C/m^2 and in e angstrom are {apart:.3g} C/m^2 apart"
            raise RefusedRowError(LabelReason.INCONSISTENT, detail)
    if clamped is not None and ionic is not None:
        tensor = voigt_to_piezo(reorder_vasp_voigt(clamped + ionic))
        yield "piezo_e_total", {"unit": "C/m^2", "tensor": tensor.tolist()}
    elif ionic is not None:
        yield "piezo_e_total", "only the ionic contribution is printed, without the clamped-ion tensor"
    elif clamped is not None and np.abs(clamped).max() > _ZERO_PIEZO:
        yield "piezo_e_total", "only the clamped-ion (electronic) tensor is printed, without the ionic contribution"


def _elastic(tensors: dict[VaspTensor, Floats]) -> Iterator[tuple[str, Values]]:
    """The stiffness with relaxed ions."""
    total = tensors.get(VaspTensor.ELASTIC_TOTAL)
    if total is not None:
        stiffness = reorder_vasp_voigt(total, n_voigt_axes=2) / KBAR_PER_GPA
        yield "elastic_stiffness", {"unit": "GPa", "tensor_voigt": stiffness.tolist()}
    elif VaspTensor.ELASTIC_CLAMPED in tensors:
        yield "elastic_stiffness", "only clamped-ion moduli are printed, without the ionic relaxation (TOTAL)"
