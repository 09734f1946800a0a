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
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gmt_tasks.sources.json_records import load_json, parse_record
from gmt_tasks.sources.parsed import (
    Floats,
    ParsedCrystal,
    Reading,
    Refusal,
    RefusedInputError,
    as_batch,
    reading_or_refusal,
    refusal_of,
)
from gmt_tasks.sources.remote.safe_unpickler import PickledObject, read_pickle_safely
from gmt_tasks.sources.row_errors import row_or_refusal
from models.crystals.crystal import CrystalBatch
from models.errors import Reason, SourceError
from models.quantities import TENSORS, Tensor
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
class JarvisRecord:
    """One record that carries a tensor.

    Attributes:
        file, row: where it stands; the row is 0-based.
        id: JARVIS id.
        crystal: not validated, or why it cannot be read.
        tensor: in our stored shape, index order and unit, input frame, or why it cannot be read.
    """

    file: str
    row: int
    id: str
    crystal: Reading
    tensor: Floats | Refusal


@dataclass(frozen=True)
class JarvisTensors:
    """The records of a file that carry one tensor, in file order.

    Attributes:
        records: all of them.
        ids: JARVIS ids of those whose crystal and tensor can be read, [n_crystals].
        crystals: not validated.
        tensors: in our stored shape, index order and unit, input frame, [n_crystals, ...].
    """

    records: list[JarvisRecord]
    ids: list[str]
    crystals: CrystalBatch
    tensors: Floats

    @classmethod
    def of(cls, quantity: Tensor, records: list[JarvisRecord]) -> "JarvisTensors":
        """The arrays of records."""
        ids, crystals, tensors = [], [], []
        for record in records:
            if isinstance(record.crystal, ParsedCrystal) and not isinstance(record.tensor, Refusal):
                ids.append(record.id)
                crystals.append(record.crystal)
                tensors.append(record.tensor)
        return cls(records, ids, as_batch(crystals), np.array(tensors).reshape(-1, *TENSORS[quantity].shape))


def has_jarvis_tensors(folder: Path) -> bool:
    """True when a folder holds one of the files."""
    return any(_path(folder, stem) is not None for stem in FILES)


def read_jarvis_tensors(folder: Path) -> dict[Tensor, JarvisTensors]:
    """Reads what there is of the two files, for a split that depends on every record.

    Raises:
        SourceError: as for `read_jarvis_folder`; a record has no readable crystal or a tensor of another shape.
    """
    tensors = read_jarvis_folder(folder)
    for quantity, of_quantity in tensors.items():
        for record in of_quantity.records:
            place, advice = f"{record.file} record {record.row} (0-based)", "Correct or remove the record; removing it"
            if isinstance(record.crystal, Refusal):
                problem = f"{place} has no readable crystal: {record.crystal.detail}"
                raise SourceError(f"{problem}. {advice} changes the split.")
            if isinstance(record.tensor, Refusal):
                problem = f"{place}: the {quantity.value} tensor {record.tensor.detail}"
                raise SourceError(f"{problem}. {advice} changes the split.")
    return tensors


def read_jarvis_folder(folder: Path) -> dict[Tensor, JarvisTensors]:
    """Reads what there is of the two files; a record that cannot be read is refused, and that one alone.

    Raises:
        SourceError: neither file is there; a file is refused (see safe_unpickler.py) or holds something else.
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
        SourceError: as for `read_jarvis_folder`.
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
    crystals: dict[int, Reading] = {}
    for quantity, key in keys.items():
        carrying = []
        for row, record in enumerate(records):
            value = record.get(key)
            # The published loaders skip what is missing, None or empty.
            if value is None or (isinstance(value, Sized) and len(value) == 0):
                continue
            if row not in crystals:
                crystals[row] = reading_or_refusal(_crystal, record)
            id_key = next((key for key in _ID_KEYS if key in record), None)
            own_id = f"record-{row}" if id_key is None else str(record[id_key])
            tensor = row_or_refusal(partial(_tensor, quantity, value), refusal_of)
            carrying.append(JarvisRecord(path.name, row, own_id, crystals[row], tensor))
        tensors[quantity] = JarvisTensors.of(quantity, carrying)
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


def _tensor(quantity: Tensor, value: Any) -> Floats:
    """The tensor in our order, shape and unit, once its entries are numbers in the shape of the file."""
    try:
        entries = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        entries = np.zeros(0)
    if entries.shape != _ENTRIES[quantity] or not np.isfinite(entries).all():
        raise RefusedInputError(Reason.PARSE, f"is no {_ENTRIES[quantity]} array of finite numbers")
    if quantity is Tensor.PIEZOELECTRIC:
        return voigt_to_piezo(reorder_vasp_voigt(entries))
    if quantity is Tensor.ELASTIC:
        return reorder_vasp_voigt(entries, n_voigt_axes=2) / KBAR_PER_GPA
    return entries


def _crystal(record: Mapping[str, Any]) -> ParsedCrystal:
    """The crystal of a record."""
    atoms = record.get("atoms", record.get("structure"))
    return parse_record({"atoms": _jarvis_atoms(atoms) if isinstance(atoms, PickledObject) else atoms})


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
