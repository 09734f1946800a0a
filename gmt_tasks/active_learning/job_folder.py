"""A folder of DFT jobs: per crystal a POSCAR and a label row to fill in, why each was chosen, and how to go on.

POSCAR and label row hold one cell, its atoms in one order, so that what VASP answers can be copied row by row. It is
the cell that the database stores, so tensors come back in the stored frame. The content id of the crystal stands in
every folder and in every label row: it links a label to its crystal although the calculation relaxes the cell, whether
the row is filled in or the output files of VASP are read where they lie.
"""

import csv
import json
import math
import shlex
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.active_learning.suggest import Batch, Suggestion
from gmt_tasks.export.structure_text import poscar, poscar_cell
from gmt_tasks.labels.kinds import KINDS
from gmt_tasks.labels.readers.suggestion_folders import SUGGESTIONS, TEMPLATE
from models.crystals.crystal import CrystalBatch
from models.errors import GmtError
from models.quantities import DERIVED, TENSORS

Floats = NDArray[np.float64]

ATOMATE2 = "atomate2_jobs.py"
_TEMPLATE = Path(__file__).with_name("atomate2_jobs.template")


def has_atomate2() -> bool:
    """True when atomate2 and jobflow are installed beside gmtscreen."""
    return all(find_spec(name) is not None for name in ("atomate2", "jobflow"))


def write_jobs(batch: Batch, folder: Path, *, atomate2: bool | None = None) -> list[Path]:
    """Writes the jobs.

    Args:
        batch: from `suggest`.
        folder: made; must not hold jobs already, so that none is lost.
        atomate2: whether to write the script that builds atomate2 flows; None where atomate2 is installed.

    Returns:
        The folders of the jobs, in order.

    Raises:
        GmtError: the folder holds suggestions already.
    """
    if (folder / SUGGESTIONS).exists():
        raise GmtError(f"{folder} holds suggestions already. Name another --out, or remove that folder.")
    jobs = []
    for rank, suggestion in enumerate(batch.suggestions):
        job = folder / job_name(rank, suggestion)
        job.mkdir(parents=True, exist_ok=True)
        crystal = poscar_cell(batch.crystals.select([rank]))
        title = f"{suggestion.formula} {suggestion.id}"
        (job / "POSCAR").write_text(poscar(crystal, title), encoding="utf-8")
        lines = [json.dumps(row) + "\n" for row in label_rows(batch.request.property, suggestion, crystal)]
        (job / TEMPLATE).write_text("".join(lines), encoding="utf-8")
        jobs.append(job)
    rows = [row_of(batch, rank) for rank in range(len(batch.suggestions))]
    with (folder / "suggestions.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(rows[0] if rows else ["rank"])
        for row in rows:
            writer.writerow([" ".join(cell) if isinstance(cell, list) else cell for cell in row.values()])
    if has_atomate2() if atomate2 is None else atomate2:
        (folder / ATOMATE2).write_text(_TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
    tensors = " and ".join(TENSORS[tensor].label for tensor in DERIVED[batch.request.property].from_tensors)
    script = _ATOMATE2_PART if (folder / ATOMATE2).exists() else ""
    words = {"n": len(jobs), "property": batch.request.property, "folder": shlex.quote(str(folder))}
    readme = _README.format(**words, tensors=tensors, template=TEMPLATE, script=script)
    (folder / "README.md").write_text(readme, encoding="utf-8")
    # Last: with this file the folder is complete.
    document = {
        "wish": _plain(asdict(batch.request) | {"leave_out": sorted(batch.request.leave_out)}),
        "suggestions": rows,
    }
    part = folder / f"{SUGGESTIONS}.part"
    part.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / SUGGESTIONS)
    return jobs


def job_name(rank: int, suggestion: Suggestion) -> str:
    """Folder of a job: place in the order, formula, start of the content id."""
    # Brackets and charges of a formula are no characters for the name of a folder.
    formula = "".join(character for character in suggestion.formula if character.isalnum())
    return f"{rank + 1:03d}_{formula}_{suggestion.id[:11]}"


def ids_in(path: Path) -> list[str]:
    """Content ids of a folder of jobs, or of a text file with one per line.

    Raises:
        GmtError: neither is there.
    """
    file = path / SUGGESTIONS if path.is_dir() else path
    if not file.is_file():
        raise GmtError(f"{path} is neither a folder with {SUGGESTIONS} nor a file of ids. Check the path.")
    text = file.read_text(encoding="utf-8")
    if file.name == SUGGESTIONS:
        return [str(row["id"]) for row in json.loads(text)["suggestions"]]
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def row_of(batch: Batch, rank: int) -> dict[str, Any]:
    """One job with its reasons, as suggestions.json and suggestions.csv have it."""
    suggestion = batch.suggestions[rank]
    tensors = DERIVED[batch.request.property].from_tensors
    return {
        "rank": rank + 1,
        "folder": job_name(rank, suggestion),
        **_plain(asdict(suggestion)),
        "property": batch.request.property,
        "unit": DERIVED[batch.request.property].unit,
        "calculations": list(dict.fromkeys(TENSORS[tensor].calculation.value for tensor in tensors)),
        "settles": expectation(batch.request.property, suggestion),
    }


def expectation(name: str, suggestion: Suggestion) -> str:
    """What the label is expected to be, in words."""
    lower, upper = suggestion.lower, suggestion.upper
    unit = DERIVED[name].unit.replace("1", "")
    bounds = f"between {lower:.4g} and {upper:.4g} (90 %)" if math.isfinite(lower) else "without interval"
    value = f"{name} {suggestion.value:.4g} {unit}".strip()
    return f"{value}, {bounds}; chance to be among the best {suggestion.promise:.0%}"


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """The values with null for numbers that are not finite."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}


def label_rows(name: str, suggestion: Suggestion, crystal: CrystalBatch) -> list[dict[str, Any]]:
    """Label rows to fill in: crystal, kind and unit are there, null stands where the calculation gives a tensor.

    Args:
        name: the property that is looked for.
        suggestion: the job.
        crystal: from `poscar_cell`.
    """
    common = {
        "id": suggestion.id,
        "source": "dft",
        "formula": suggestion.formula,
        "lattice": crystal.lattice[0].tolist(),
        "species": crystal.numbers.tolist(),
        "frac_coords": crystal.frac_coords.tolist(),
        "frame": "cartesian",
        "method": None,
    }
    rows = {}
    for tensor in DERIVED[name].from_tensors:
        label_kind = TENSORS[tensor].label_kind
        # A tensor that exceeds another one is calculated together with it.
        calculated = (tensor, TENSORS[tensor].floor)
        keys = [key for key, quantity in KINDS[label_kind].tensors.items() if quantity in calculated]
        # Both dielectric tensors come from one calculation and stand in one row.
        rows[label_kind] = common | {"kind": label_kind, "unit": KINDS[label_kind].units[0], **dict.fromkeys(keys)}
    return list(rows.values())


_ATOMATE2_PART = f"""
With atomate2: `python {ATOMATE2} list`, then `write` or `run`, then `collect labels.jsonl`; the script says how.
"""

_README = """# {n} DFT jobs for {property}

Wanted of each crystal: {tensors}. `suggestions.csv` has the reasons: `promise` is the chance to be among the best,
`uncertainty` its place in the order of uncertainty, `crowding` its likeness to a job above it, `settles` what the
label is expected to be. Calculate from the top.

`POSCAR` is the cell of the database. Relax it, but do not rotate it or change to a standard cell: a tensor is always in
the Cartesian frame of the lattice beside it.

## VASP

Calculate the responses on the relaxed structure, in folders of their own below the job's folder (`relax`, `response`,
`elastic`): dielectric and piezoelectric tensor with LEPSILON = .TRUE., IBRION = 8; stiffness with IBRION = 6, ISIF = 3,
both with a tight EDIFF and without selective dynamics. Leave OUTCAR and vasprun.xml where they are (also packed); then

    gmtscreen ingest {folder} --labels

(with the `--db` of `suggest`) reads every finished calculation: unit, Voigt order, electronic plus ionic part, and
whose answer it is, from the folder it lies in. Relaxations are passed over; jobs that were killed or did not converge
are named.

## Other codes

`{template}` is the label with gaps, its atoms in the order of the POSCAR: replace lattice and positions by the
relaxed ones, fill in the tensors (stiffness 6x6 in GPa and Voigt order 11, 22, 33, 23, 13, 12; piezoelectric 3x3x3 in
C/m^2, clamped-ion plus ionic; dielectric 3x3), name code and functional in `method`, and leave `id` as it is: it is
the crystal's. The same command reads the rows that are filled in and passes over the others.
{script}
A label whose crystal cannot be the relaxed form of the one that its id names is refused.
"""
