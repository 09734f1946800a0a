"""Documents of the Materials Project -> label rows.

Elasticity documents hold `raw`, the tensor in the frame of the document's structure, beside `ieee_format`, rounded to
1 GPa: only `raw` is taken. Dielectric and piezoelectric documents hold tensors that pymatgen has rotated into its IEEE
frame; that is undone (pymatgen_frame.py). A document that lacks its structure gets the
summary's, which may be of another calculation: whether tensor and structure fit is for the label check to say.

Source: emmet-core, `elasticity.py` and `polar.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from gmt_tasks.labels.label_kind import RefusedRowError
from gmt_tasks.labels.readers.pymatgen_frame import IEEE_FRAME, in_frame_of_structure
from gmt_tasks.labels.readers.rows import labels_or_refusal, point_groups, refused_label
from gmt_tasks.labels.readers.source import Label, LabelRow, RefusedLabel
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.settings import RemoteSettings, load_remote_settings
from gmt_tasks.sources.json_records import refused_or_parsed
from gmt_tasks.sources.parsed import Floats, ParsedCrystal, as_batch
from gmt_tasks.sources.remote.materials_project import IDS_PER_REQUEST, Api, Collection
from gmt_tasks.sources.remote.materials_project_query import MaterialsQuery, Route
from gmt_tasks.sources.remote.mirrored_source import bring_up_to_date
from gmt_tasks.sources.row_errors import row_or_refusal
from models.crystals.crystal import SYMBOLS, find_invalid
from models.errors import SourceError
from models.quantities import Tensor
from models.tensors.voigt import voigt_to_piezo

_DOIS = {
    Route.ELASTICITY: "10.1038/sdata.2015.9",
    Route.DIELECTRIC: "10.1038/sdata.2016.134",
    Route.PIEZOELECTRIC: "10.1038/sdata.2015.53",
}
_METHODS = {
    Route.ELASTICITY: "VASP, PBE or PBE+U, stresses of strained cells",
    Route.DIELECTRIC: "VASP, PBE or PBE+U, DFPT",
    Route.PIEZOELECTRIC: "VASP, PBE or PBE+U, DFPT",
}
_KINDS = {
    Route.ELASTICITY: "elastic_stiffness",
    Route.DIELECTRIC: "dielectric_total",
    Route.PIEZOELECTRIC: "piezo_e_total",
}


class MaterialsLabels:
    """Labels from mirrors of the three collections.

    Args:
        query: which materials.
        settings: how they are fetched.
    """

    def __init__(self, query: MaterialsQuery, settings: RemoteSettings) -> None:
        self.name = query.name
        self._settings = settings
        api = Api(settings)
        self._collections = [Collection(query, route, api) for route in query.routes]
        self._fingerprints: list[str] = []

    def fingerprint(self) -> str:
        """Those of the mirrors, once they are up to date."""
        if not self._fingerprints:
            mirrors = [collection.mirror(self._settings) for collection in self._collections]
            for mirror, collection in zip(mirrors, self._collections, strict=True):
                bring_up_to_date(mirror, self.name, collection.refresh, self._settings, may_be_empty=True)
            if not any(len(mirror) for mirror in mirrors):
                raise SourceError(f"{self.name} has no label: no document matches. Check the criteria.")
            self._fingerprints = [mirror.fingerprint() for mirror in mirrors]
        return " ".join(self._fingerprints)

    def rows(self) -> Iterator[Label]:
        """The labels of every document, collection by collection."""
        self.fingerprint()
        for collection in self._collections:
            for page in collection.mirror(self._settings).pages(0, IDS_PER_REQUEST):
                yield from label_rows(collection.route, [body for _, body in page])


def open_labels(text: str) -> MaterialsLabels:
    """Elasticity, dielectric and piezoelectric documents as labels, all three or those named by `has_props=`.

    Raises:
        SourceError: as for `open_candidates`.
    """
    return MaterialsLabels(MaterialsQuery.from_text(text), load_remote_settings())


def label_rows(route: Route, documents: Sequence[Mapping[str, Any]]) -> Iterator[Label]:
    """The labels of some documents; what cannot be one is refused with its reason.

    Args:
        route: which collection they are of.
        documents: as the mirror holds them: the fields asked for, and `structure`.
    """
    names, kind = [str(document.get("id", "")) for document in documents], _KINDS[route]
    crystals = [
        row_or_refusal(partial(_crystal, document), partial(refused_label, name, kind))
        for name, document in zip(names, documents, strict=True)
    ]
    # one search for all of them
    classes = iter(point_groups([crystal for crystal in crystals if isinstance(crystal, ParsedCrystal)]))
    for name, document, crystal in zip(names, documents, crystals, strict=True):
        if isinstance(crystal, ParsedCrystal):
            yield from labels_or_refusal(partial(_labels, route, document, crystal, next(classes)), name, kind)
        else:
            yield crystal


def _labels(route: Route, document: Mapping[str, Any], crystal: ParsedCrystal, point_group: str) -> Iterator[Label]:
    """The labels of one document whose structure can be computed with."""
    row = _common(route, document, crystal, point_group)
    if document.get("deprecated") is True or document.get("state") == "failed":
        detail = f"the source marks it {'deprecated' if document.get('deprecated') else 'failed'}"
        yield RefusedLabel(row["id"], _KINDS[route], LabelReason.OUT_OF_RANGE, detail)
    elif route is Route.ELASTICITY:
        yield from _elastic(document, row)
    elif route is Route.DIELECTRIC:
        yield _dielectric(document, row, crystal)
    else:
        yield _piezoelectric(document, row, crystal)


def _crystal(document: Mapping[str, Any]) -> ParsedCrystal:
    """The structure of a document; raises `RefusedRowError` unless it has one that can be computed with."""
    if not isinstance(document.get("structure"), Mapping):
        raise RefusedRowError(LabelReason.NO_STRUCTURE, "neither the document nor the summary has a structure")
    crystal = refused_or_parsed(document["structure"])
    if not isinstance(crystal, ParsedCrystal):
        raise RefusedRowError(LabelReason.STRUCTURE, f"{crystal.reason.value}: {crystal.detail}")
    for reason, detail in find_invalid(as_batch([crystal])).values():
        raise RefusedRowError(LabelReason.STRUCTURE, f"{reason.value}: {detail}")
    return crystal


def _common(route: Route, document: Mapping[str, Any], crystal: ParsedCrystal, point_group: str) -> dict[str, Any]:
    """What every label row of a document says."""
    counts = np.bincount(crystal.numbers)
    shares = [(SYMBOLS[z], counts[z] // np.gcd.reduce(counts)) for z in np.flatnonzero(counts)]
    formula = "".join(f"{symbol}{count if count > 1 else ''}" for symbol, count in shares)
    return {
        "id": str(document["id"]),
        "source": f"Materials Project {route.value}",
        "formula": document.get("formula_pretty") or formula,
        "point_group": point_group,
        "nsites": len(crystal.numbers),
        "lattice": crystal.lattice.tolist(),
        "species": crystal.numbers.tolist(),
        "frac_coords": crystal.frac_coords.tolist(),
        "structure_of": document.get("structure_of", "document"),
        "licence": document.get("licence", "CC-BY-4.0"),
        "doi": _DOIS[route],
        "method": _METHODS[route],
    }


def _elastic(document: Mapping[str, Any], row: dict[str, Any]) -> Iterator[Label]:
    """The stiffness in the frame of the structure, and the averaged moduli as labels of their own."""
    tensor = document.get("elastic_tensor")
    raw = tensor.get("raw") if isinstance(tensor, Mapping) else None
    kind = _KINDS[Route.ELASTICITY]
    if raw is None:
        detail = "no elastic_tensor.raw; ieee_format is rounded to 1 GPa and in another frame, and is not taken"
        yield RefusedLabel(row["id"], kind, LabelReason.PARSE, detail)
    else:
        entries = _entries(raw, (6, 6))
        if entries is None:
            detail = "elastic_tensor.raw is no 6x6 matrix of finite numbers"
            yield RefusedLabel(row["id"], kind, LabelReason.PARSE, detail)
        else:
            own = {"kind": kind, "unit": "GPa", "frame": "structure", "tensor_voigt": entries.tolist()}
            yield LabelRow(row["id"], row | own)
    moduli = [_nested(document, "bulk_modulus", "vrh"), _nested(document, "shear_modulus", "vrh")]
    if all(value is not None for value in moduli):
        own = {"kind": "moduli_vrh", "unit": "GPa", "K_vrh": moduli[0], "G_vrh": moduli[1]}
        yield LabelRow(row["id"], row | own)


def _dielectric(document: Mapping[str, Any], row: dict[str, Any], crystal: ParsedCrystal) -> Label:
    """Total and electronic permittivity, rotated back into the frame of the structure."""
    kind = _KINDS[Route.DIELECTRIC]
    total, electronic = (_entries(document.get(key), (3, 3)) for key in ("total", "electronic"))
    if total is None or electronic is None:
        missing = "total" if total is None else "electronic"
        detail = f"{missing} is no 3x3 matrix of finite numbers"
        return RefusedLabel(row["id"], kind, LabelReason.PARSE, detail)
    published = {Tensor.DIELECTRIC_TOTAL: total, Tensor.DIELECTRIC_ELECTRONIC: electronic}
    tensors = in_frame_of_structure(crystal, row["point_group"], published)
    own = {
        "kind": kind,
        "unit": "relative",
        "frame": IEEE_FRAME,
        "tensor": tensors[Tensor.DIELECTRIC_TOTAL].tolist(),
        "tensor_electronic": tensors[Tensor.DIELECTRIC_ELECTRONIC].tolist(),
    }
    return LabelRow(row["id"], row | own)


def _piezoelectric(document: Mapping[str, Any], row: dict[str, Any], crystal: ParsedCrystal) -> Label:
    """The total piezoelectric stress tensor, rotated back; the document's 3x6 is in our Voigt order."""
    kind = _KINDS[Route.PIEZOELECTRIC]
    voigt = _entries(document.get("total"), (3, 6))
    if voigt is None:
        return RefusedLabel(row["id"], kind, LabelReason.PARSE, "total is no 3x6 matrix of finite numbers")
    published = {Tensor.PIEZOELECTRIC: voigt_to_piezo(voigt)}
    tensor = in_frame_of_structure(crystal, row["point_group"], published)[Tensor.PIEZOELECTRIC]
    # in group 1 nothing can show whether the rotation was right
    frame = f"{IEEE_FRAME}_unverifiable_P1" if row["point_group"] == "1" else IEEE_FRAME
    return LabelRow(row["id"], row | {"kind": kind, "unit": "C/m^2", "frame": frame, "tensor": tensor.tolist()})


def _entries(value: Any, shape: tuple[int, ...]) -> Floats | None:
    """The entries of a tensor; None unless it has the shape and finite numbers."""
    try:
        entries = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return entries if entries.shape == shape and np.isfinite(entries).all() else None


def _nested(document: Mapping[str, Any], *keys: str) -> float | None:
    value: Any = document
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value)
    return float(value) if is_number else None
