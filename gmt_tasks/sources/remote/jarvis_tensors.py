"""The JARVIS-DFT tensor files that came with GMTNet: `jarvis_diele_piezo` and `jarvis_elastic`, as pickle or JSON.

A file is a list of records. A record has `JARVIS_ID`, `atoms` (JARVIS's Atoms.to_dict, or the Atoms object itself),
optionally `structure` (a pymatgen Structure), and tensors in the Cartesian frame of that cell:

* `dielectric` (3x3, relative): VASP's static tensor without the ionic part, which stands in `dielectric_ionic`;
* `piezoelectric_C_m2` (3x6, C/m², zero for many);
* `elastic_total_kbar` (6x6, kbar);

Voigt order is VASP's: xx, yy, zz, xy, yz, zx. A tensor that is missing, null or empty is not known.

Source: the loaders published with arXiv:2406.12888 (divelab/AIRS, OpenMat/GMTNet).
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gmt_tasks.sources.json_records import load_json, parse_record
from gmt_tasks.sources.parsed import Floats, ParsedCrystal, RefusedInputError
from gmt_tasks.sources.remote.safe_unpickler import Inert, read_pickle_safely
from models.crystals.crystal import CrystalBatch
from models.errors import Reason, SourceError
from models.quantities import Tensor
from models.tensors.voigt import reorder_vasp_voigt, voigt_to_piezo

KBAR_PER_GPA = 10.0

FILES: dict[str, dict[Tensor, str]] = {
    "jarvis_diele_piezo": {
        Tensor.DIELECTRIC_ELECTRONIC: "dielectric",
        Tensor.PIEZOELECTRIC: "piezoelectric_C_m2",
    },
    "jarvis_elastic": {Tensor.ELASTIC: "elastic_total_kbar"},
}
"""Which tensors a file has, and under which key."""

SUFFIXES = (".pkl", ".json", ".json.gz")
_ENTRIES = {Tensor.DIELECTRIC_ELECTRONIC: (3, 3), Tensor.PIEZOELECTRIC: (3, 6), Tensor.ELASTIC: (6, 6)}
_ID_KEYS = ("JARVIS_ID", "jid", "id")


@dataclass(frozen=True)
class JarvisTensors:
    """The records of a file that carry one tensor, in file order.

    Attributes:
        ids: JARVIS ids, [n_crystals].
        crystals: not validated.
        tensors: in our stored shape, index order and unit, input frame, [n_crystals, ...].
    """

    ids: list[str]
    crystals: CrystalBatch
    tensors: Floats


def has_jarvis_tensors(folder: Path) -> bool:
    """True when a folder holds one of the files."""
    return any(_path(folder, stem) is not None for stem in FILES)


def read_jarvis_tensors(folder: Path) -> dict[Tensor, JarvisTensors]:
    """Reads what there is of the two files.

    Raises:
        SourceError: neither file is there; a file is refused (see inert_pickle.py) or holds something else; a record
            has no readable crystal or a tensor of another shape.
    """
    found: dict[Tensor, JarvisTensors] = {}
    for stem, keys in FILES.items():
        path = _path(folder, stem)
        if path is not None:
            found |= _read_file(path, keys)
    if not found:
        names = " or ".join(f"{stem}.pkl" for stem in FILES)
        raise SourceError(
            f"No {names} in {folder} (.json and .json.gz are read too). Name the folder that holds the files released "
            "with GMTNet with --data."
        )
    return found


def read_jarvis_file(path: Path) -> dict[Tensor, JarvisTensors]:
    """Reads one file; under another name than the released ones, whatever tensors its records have.

    Raises:
        SourceError: as for `read_jarvis_tensors`.
    """
    stem = path.name.partition(".")[0]
    known = {quantity: key for keys in FILES.values() for quantity, key in keys.items()}
    return _read_file(path, FILES.get(stem, known))


def _path(folder: Path, stem: str) -> Path | None:
    paths = [folder / f"{stem}{suffix}" for suffix in SUFFIXES]
    return next((path for path in paths if path.exists()), None)


def _read_file(path: Path, keys: dict[Tensor, str]) -> dict[Tensor, JarvisTensors]:
    records = _records(path)
    found = {}
    crystals: dict[int, ParsedCrystal] = {}
    for quantity, key in keys.items():
        rows = [row for row, record in enumerate(records) if _is_known(record.get(key))]
        for row in rows:
            crystals[row] = crystals.get(row) or _crystal(records[row], path.name, row)
        tensors = [_tensor(quantity, records[row][key], path.name, row) for row in rows]
        chosen = [crystals[row] for row in rows]
        batch = CrystalBatch.from_arrays(
            [c.lattice for c in chosen], [c.frac_coords for c in chosen], [c.numbers for c in chosen]
        )
        entries = np.array(tensors).reshape(-1, *_ENTRIES[quantity])
        found[quantity] = JarvisTensors([_id(records[row], row) for row in rows], batch, _ours(quantity, entries))
    return found


def _records(path: Path) -> list[Mapping[str, Any]]:
    if path.suffix == ".pkl":
        content = read_pickle_safely(path)
    else:
        try:
            content = load_json(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
        except (RefusedInputError, OSError, EOFError) as error:
            raise SourceError(f"{path.name} is not readable as JSON: {error}. Copy it again.") from error
    if not isinstance(content, list) or not all(isinstance(record, Mapping) for record in content):
        raise SourceError(
            f"{path.name} holds a {type(content).__name__}, not a list of records. Give the file as released."
        )
    return content


def _is_known(value: Any) -> bool:
    """Whether a record has the tensor: the published loaders skip what is missing, None or empty."""
    return value is not None and np.size(value) > 0


def _tensor(quantity: Tensor, value: Any, name: str, row: int) -> Floats:
    """The entries as listed, once their shape is right and they are numbers."""
    try:
        entries = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        entries = np.zeros(0)
    if entries.shape != _ENTRIES[quantity] or not np.isfinite(entries).all():
        raise SourceError(
            f"{name} record {row} (0-based): the {quantity.value} tensor is no {_ENTRIES[quantity]} array of finite "
            "numbers. Correct or remove the record; removing it changes the split."
        )
    return entries


def _ours(quantity: Tensor, entries: Floats) -> Floats:
    """Our index order and unit, [n_crystals, ...]."""
    if quantity is Tensor.PIEZOELECTRIC:
        return voigt_to_piezo(reorder_vasp_voigt(entries))
    if quantity is Tensor.ELASTIC:
        return reorder_vasp_voigt(entries, n_voigt_axes=2) / KBAR_PER_GPA
    return entries


def _id(record: Mapping[str, Any], row: int) -> str:
    return next((str(record[key]) for key in _ID_KEYS if key in record), f"record-{row}")


def _crystal(record: Mapping[str, Any], name: str, row: int) -> ParsedCrystal:
    atoms = record.get("atoms", record.get("structure"))
    try:
        return parse_record({"atoms": _described(atoms) if isinstance(atoms, Inert) else atoms})
    except (RefusedInputError, KeyError, AttributeError, IndexError, TypeError) as error:
        detail = error.detail if isinstance(error, RefusedInputError) else repr(error)
        raise SourceError(
            f"{name} record {row} (0-based) has no readable crystal: {detail}. Correct or remove the record; removing "
            "it changes the split."
        ) from error


def _described(found: Inert) -> dict[str, Any]:
    """A pickled JARVIS Atoms or pymatgen Structure as a JARVIS dictionary."""
    if found.kind == "jarvis.core.atoms.Atoms":
        state = found.state
        return {
            "lattice_mat": state["lattice_mat"],
            "coords": state["frac_coords"],
            "elements": [str(symbol) for symbol in state["elements"]],
        }
    if found.kind == "pymatgen.core.structure.Structure":
        sites = [site.state for site in found.state["_sites"]]
        return {
            "lattice_mat": found.state["_lattice"].state["_matrix"],
            "coords": [site["_frac_coords"] for site in sites],
            "elements": [_only_element(site["_species"]) for site in sites],
        }
    raise RefusedInputError(Reason.PARSE, f"a {found.kind} is no crystal")


def _only_element(composition: Inert) -> str:
    """The element of a site that holds one."""
    elements = list(composition.state["_data"].items())
    if len(elements) != 1 or elements[0][1] != 1:
        raise RefusedInputError(Reason.DISORDERED, "a site is shared or partly empty")
    return str(elements[0][0].arguments[0])
