"""JARVIS-DFT records -> label rows: stiffness and mean permittivity of the lists, full tensors of GMTNet's files.

Tensors come as VASP writes them: Voigt order xx, yy, zz, xy, yz, zx, stiffness in kbar in VASP's own files and in GPa
in the lists. Which of the two a record has is seen from its bulk modulus, which stands beside the tensor in GPa; where
the two fit neither way, the record contradicts itself and is refused.

The lists name only the largest entry of each DFPT tensor (`dfpt_piezo_max_*`). No invariant follows from that, so that
no label is made of it; the full tensors are in the files released with GMTNet.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gmt_tasks.labels.kinds import KINDS
from gmt_tasks.labels.readers.rows import labels_or_refusal, point_groups
from gmt_tasks.labels.readers.source import Label, LabelRow, LabelSource, RefusedLabel
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.settings import load_remote_settings
from gmt_tasks.sources.json_records import refused_or_parsed
from gmt_tasks.sources.parsed import ParsedCrystal, Refusal
from gmt_tasks.sources.remote.jarvis import RECORDS_PER_WRITE, PublishedList, local_files
from gmt_tasks.sources.remote.jarvis_tensor_source import read_tensor_files, tensor_file_fingerprint
from gmt_tasks.sources.remote.jarvis_tensors import KBAR_PER_GPA, JarvisRecord, JarvisTensors
from gmt_tasks.sources.remote.mirrored_source import bring_up_to_date
from models.quantities import Tensor
from models.tensors.voigt import reorder_vasp_voigt

UNIT_TOLERANCE = 0.25
"""Bulk moduli of tensor and record may differ by this much; in the lists they do by up to a tenth."""

_LIST = {"licence": "CC-BY-4.0", "doi": "10.6084/m9.figshare.6815699"}
_FILE = {"licence": "CC-BY-4.0", "doi": "10.48550/arXiv.2406.12888"}
_LIST_METHODS = {
    "elastic_stiffness": "VASP, OptB88vdW, finite differences",
    "dielectric_scalar_mean": "VASP, OptB88vdW, independent particles (LOPTICS)",
}


def open_labels(text: str) -> LabelSource:
    """Labels of a published list (stiffness, mean permittivity), or the tensors of the files released with GMTNet.

    Raises:
        SourceError: as for `open_crystals`.
    """
    local = local_files(text)
    if local is not None:
        return TensorFileLabels(text, local)
    return PublishedLabels(PublishedList(text, load_remote_settings()))


class PublishedLabels:
    """Labels of a published list.

    Args:
        published: the list.
    """

    def __init__(self, published: PublishedList) -> None:
        self.name = published.name
        self._published = published
        self._fingerprint = ""

    def fingerprint(self) -> str:
        """That of the mirror, once it is up to date."""
        if not self._fingerprint:
            bring_up_to_date(self._published.mirror, self.name, self._published.refresh, self._published.settings)
            self._fingerprint = self._published.mirror.fingerprint()
        return self._fingerprint

    def rows(self) -> Iterator[Label]:
        """The labels of every record."""
        self.fingerprint()
        for page in self._published.mirror.pages(0, RECORDS_PER_WRITE):
            yield from dft_labels([body for _, body in page])


def dft_labels(records: Sequence[Mapping[str, Any]]) -> Iterator[Label]:
    """The labels of some records of a list.

    Args:
        records: as the mirror holds them, without unknown numbers.
    """
    for record in records:
        if "elastic_tensor" not in record and "epsx" not in record:
            continue
        yield from labels_or_refusal(partial(_labels, record), str(record.get("id", "")))


def _labels(record: Mapping[str, Any]) -> Iterator[Label]:
    """The labels of one record that has some."""
    crystal = refused_or_parsed(record)
    if not isinstance(crystal, ParsedCrystal):
        detail = f"{crystal.reason.value}: {crystal.detail}"
        yield RefusedLabel(record["id"], "", LabelReason.STRUCTURE, detail)
        return
    if "elastic_tensor" in record:
        yield _stiffness(record, crystal)
    if "epsx" in record:
        yield _mean_permittivity(record, crystal)


def _row(record: Mapping[str, Any], crystal: ParsedCrystal, kind: str, unit: str) -> dict[str, Any]:
    method = _LIST_METHODS[kind].replace("OptB88vdW", str(record.get("func", "OptB88vdW")))
    return _crystal_row(record["id"], "JARVIS-DFT", crystal) | {"kind": kind, "unit": unit, "method": method, **_LIST}


def _crystal_row(jid: str, source: str, crystal: ParsedCrystal) -> dict[str, Any]:
    return {
        "id": jid,
        "source": source,
        "lattice": crystal.lattice.tolist(),
        "species": crystal.numbers.tolist(),
        "frac_coords": crystal.frac_coords.tolist(),
    }


def _stiffness(record: Mapping[str, Any], crystal: ParsedCrystal) -> LabelRow | RefusedLabel:
    """The stiffness tensor in our order and in GPa."""
    kind = "elastic_stiffness"
    try:
        entries = np.array(record["elastic_tensor"], dtype=np.float64)
    except (TypeError, ValueError):
        entries = np.zeros(0)
    entries = entries.reshape(6, 6) if entries.size == 36 else entries
    if entries.shape != (6, 6) or not np.isfinite(entries).all():
        detail = f"elastic_tensor is no 6x6 matrix of finite numbers but of shape {list(entries.shape)}"
        return RefusedLabel(record["id"], kind, LabelReason.PARSE, detail)
    stiffness = reorder_vasp_voigt(entries, n_voigt_axes=2)
    # Voigt's bulk modulus is the mean of the entries without shear, so that a wrong order cannot touch it
    stated, bulk = _number(record.get("bulk_modulus_kv")), float(stiffness[:3, :3].mean())
    if stated is None:
        detail = f"no bulk_modulus_kv beside the tensor, so that its unit is not known (K_V of its numbers {bulk:.4g})"
        return RefusedLabel(record["id"], kind, LabelReason.UNIT, detail)
    factors = (1.0, KBAR_PER_GPA)
    factor = next((f for f in factors if abs(bulk / f - stated) <= UNIT_TOLERANCE * abs(stated)), None)
    if factor is None:
        detail = f"K_V of the tensor is {bulk:.4g}, the record says {stated:.4g} GPa: neither GPa nor kbar"
        return RefusedLabel(record["id"], kind, LabelReason.INCONSISTENT, detail)
    row = _row(record, crystal, kind, "GPa") | {"frame": "structure", "tensor_voigt": (stiffness / factor).tolist()}
    return LabelRow(record["id"], row | ({"unit_as_published": "kbar"} if factor != 1 else {}))


def _mean_permittivity(record: Mapping[str, Any], crystal: ParsedCrystal) -> LabelRow | RefusedLabel:
    """A third of the trace of the electronic permittivity, which does not depend on the frame."""
    kind = "dielectric_scalar_mean"
    entries = [_number(record.get(key)) for key in ("epsx", "epsy", "epsz")]
    diagonal = [entry for entry in entries if entry is not None]
    if len(diagonal) != 3:
        detail = f"{3 - len(diagonal)} of epsx, epsy, epsz are missing"
        return RefusedLabel(record["id"], kind, LabelReason.PARSE, detail)
    gap = _number(record.get("optb88vdw_bandgap"))
    if gap is not None and gap <= 0:
        detail = "the record says that the band gap is 0: the permittivity of a metal is no such constant"
        return RefusedLabel(record["id"], kind, LabelReason.OUT_OF_RANGE, detail)
    row = _row(record, crystal, kind, "relative")
    return LabelRow(record["id"], row | {"eps_electronic": sum(diagonal) / 3, "eps_total": None})


def _number(value: Any) -> float | None:
    """A finite number; the lists write some as text."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


class TensorFileLabels:
    """The tensors of the files released with GMTNet.

    Args:
        name: the source as the user wrote it.
        path: the file or folder.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path

    def fingerprint(self) -> str:
        """Changes with the content of the files."""
        return tensor_file_fingerprint(self._path)

    def rows(self) -> Iterator[Label]:
        """Every tensor of every record, quantity by quantity, in file order."""
        for quantity, records in read_tensor_files(self._path).items():
            yield from _tensor_rows(quantity, records)


def _tensor_rows(quantity: Tensor, records: JarvisTensors) -> Iterator[Label]:
    """The labels of one tensor of every record."""
    # the first kind that holds the tensor is that of full DFT tensors
    kind = next(kind for kind in KINDS.values() if quantity in kind.tensors.values())
    key = next(key for key, tensor in kind.tensors.items() if tensor is quantity)
    crystals = [record.crystal for record in records.records]
    classes = iter(point_groups([crystal for crystal in crystals if isinstance(crystal, ParsedCrystal)]))

    def label(record: JarvisRecord, crystal: ParsedCrystal, point_group: str) -> Iterator[Label]:
        if isinstance(record.tensor, Refusal):
            detail = f"{key} of record {record.row} (0-based) {record.tensor.detail}"
            yield RefusedLabel(record.id, kind.name, LabelReason.PARSE, detail)
            return
        own = {"kind": kind.name, "unit": kind.units[0], "frame": "structure", key: record.tensor.tolist()}
        more = {"point_group": point_group, "method": "VASP, OptB88vdW", **_FILE}
        yield LabelRow(record.id, _crystal_row(record.id, "JARVIS-DFT (GMTNet)", crystal) | own | more)

    for record in records.records:
        if isinstance(record.crystal, ParsedCrystal):
            read = partial(label, record, record.crystal, next(classes))
            yield from labels_or_refusal(read, record.id, kind.name)
        else:
            detail = f"record {record.row} (0-based), {record.crystal.reason.value}: {record.crystal.detail}"
            yield RefusedLabel(record.id, kind.name, LabelReason.STRUCTURE, detail)
