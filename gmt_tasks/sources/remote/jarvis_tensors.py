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
from gmt_tasks.sources.parsed import Floats, ParsedCrystal, RefusedInputError, as_batch
from gmt_tasks.sources.remote.safe_unpickler import PickledObject, read_pickle_safely
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
        SourceError: neither file is there; a file is refused (see safe_unpickler.py) or holds something else; a record
            has no readable crystal or a tensor of another shape.
    """
    tensors: dict[Tensor, JarvisTensors] = {}
    for stem, keys in FILES.items():
        path = _path(folder, stem)
        if path is not None:
            tensors |= _read_file(path, keys)
    if not tensors:
        names = " or ".join(f"{stem}.pkl" for stem in FILES)
        raise SourceError(
            f"No {names} in {folder} (.json and .json.gz are read too). Name the folder that holds the files released "
            "with GMTNet with --data."
        )
    return tensors


def read_jarvis_file(path: Path) -> dict[Tensor, JarvisTensors]:
    """Reads one file; under another name than the released ones, whatever tensors its records have.

    Raises:
        SourceError: as for `read_jarvis_tensors`.
    """
    stem = path.name.partition(".")[0]
    every_key = {quantity: key for keys in FILES.values() for quantity, key in keys.items()}
    return _read_file(path, FILES.get(stem, every_key))


def _path(folder: Path, stem: str) -> Path | None:
    """The released file in a folder, in whichever form it is there."""
    paths = [folder / f"{stem}{suffix}" for suffix in SUFFIXES]
    return next((path for path in paths if path.exists()), None)


def _read_file(path: Path, keys: dict[Tensor, str]) -> dict[Tensor, JarvisTensors]:
    """The tensors under some keys; the crystal of a record is read once, however many tensors it has."""
    records = _records(path)
    tensors = {}
    crystals: dict[int, ParsedCrystal] = {}
    for quantity, key in keys.items():
        # The published loaders skip what is missing, None or empty.
        rows = [row for row, record in enumerate(records) if record.get(key) is not None and np.size(record[key]) > 0]
        for row in rows:
            crystals[row] = crystals.get(row) or _crystal(records[row], path.name, row)
        values = [_tensor(quantity, records[row][key], path.name, row) for row in rows]
        entries = np.array(values).reshape(-1, *_ENTRIES[quantity])
        if quantity is Tensor.PIEZOELECTRIC:
            entries = voigt_to_piezo(reorder_vasp_voigt(entries))
        elif quantity is Tensor.ELASTIC:
            entries = reorder_vasp_voigt(entries, n_voigt_axes=2) / KBAR_PER_GPA
        ids = []
        for row in rows:
            id_key = next((key for key in _ID_KEYS if key in records[row]), None)
            ids.append(f"record-{row}" if id_key is None else str(records[row][id_key]))
        tensors[quantity] = JarvisTensors(ids, as_batch([crystals[row] for row in rows]), entries)
    return tensors


def _records(path: Path) -> list[Mapping[str, Any]]:
    """The records of a file, as they are in it."""
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


def _tensor(quantity: Tensor, value: Any, name: str, row: int) -> Floats:
    """The entries in the order of the file, once their shape is right and they are numbers."""
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


def _crystal(record: Mapping[str, Any], name: str, row: int) -> ParsedCrystal:
    """The crystal of a record."""
    atoms = record.get("atoms", record.get("structure"))
    try:
        return parse_record({"atoms": _jarvis_atoms(atoms) if isinstance(atoms, PickledObject) else atoms})
    except (RefusedInputError, KeyError, AttributeError, IndexError, TypeError) as error:
        detail = error.detail if isinstance(error, RefusedInputError) else repr(error)
        raise SourceError(
            f"{name} record {row} (0-based) has no readable crystal: {detail}. Correct or remove the record; removing "
            "it changes the split."
        ) from error


def _jarvis_atoms(pickled: PickledObject) -> dict[str, Any]:
    """A pickled JARVIS Atoms or pymatgen Structure as a JARVIS dictionary."""
    state = pickled.state
    if pickled.class_name == "jarvis.core.atoms.Atoms":
        elements = [str(symbol) for symbol in state["elements"]]
        return {"lattice_mat": state["lattice_mat"], "coords": state["frac_coords"], "elements": elements}
    if pickled.class_name != "pymatgen.core.structure.Structure":
        raise RefusedInputError(Reason.PARSE, f"a {pickled.class_name} is no crystal")
    sites = [site.state for site in state["_sites"]]
    coords, elements = [site["_frac_coords"] for site in sites], []
    for site in sites:
        # A composition maps elements to amounts; an element was made by a call with its symbol.
        amounts = list(site["_species"].state["_data"].items())
        if len(amounts) != 1 or amounts[0][1] != 1:
            raise RefusedInputError(Reason.DISORDERED, "a site is shared or partly empty")
        elements.append(str(amounts[0][0].arguments[0]))
    return {"lattice_mat": state["_lattice"].state["_matrix"], "coords": coords, "elements": elements}
