"""The Materials Project's API as mp-api meets it, with three crystals whose tensors are known exactly.

Documents are made with pymatgen's own classes, as emmet's builders make them: tensors of dielectric and piezoelectric
documents turned into pymatgen's IEEE frame, `ieee_format` of elasticity rounded to 1 GPa, `raw` left alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.analysis.elasticity.elastic import ElasticTensor
from pymatgen.analysis.piezo import PiezoTensor
from pymatgen.core.structure import Structure
from pymatgen.core.tensors import Tensor

from tests.gmt_tasks.sources.remote.local_server import Answer, Request

RELEASE = "2025.09.25"
_SUFFIXES = {"min": lambda value, bound: value >= bound, "max": lambda value, bound: value <= bound}
_PATHS = {"k_vrh": "bulk_modulus.vrh", "g_vrh": "shear_modulus.vrh"}


def turned(structure: Structure, angle: float = 0.7) -> tuple[Structure, NDArray[np.float64]]:
    """The crystal in another orientation, and the rotation."""
    axis = np.array([1.0, 2.0, -1.0]) / np.sqrt(6)
    cross = np.cross(np.eye(3), axis)
    rotation = np.eye(3) - np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    if np.linalg.det(rotation) < 0:
        raise ValueError("no rotation")
    lattice = structure.lattice.matrix @ rotation.T
    return Structure(lattice, structure.species, structure.frac_coords), rotation


def _wurtzite() -> Structure:
    lattice = [[3.11, 0, 0], [-1.555, 1.555 * np.sqrt(3), 0], [0, 0, 4.98]]
    z = [0.0, 0.5, 0.381, 0.881]
    sites = [[1 / 3, 2 / 3, z[0]], [2 / 3, 1 / 3, z[1]], [1 / 3, 2 / 3, z[2]], [2 / 3, 1 / 3, z[3]]]
    return Structure(lattice, ["Al", "Al", "N", "N"], sites)


def _diamond() -> Structure:
    return Structure(np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * 2.73, ["Si", "Si"], [[0, 0, 0], [0.25] * 3])


def _rock_salt() -> Structure:
    return Structure(np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * 2.82, ["Na", "Cl"], [[0, 0, 0], [0.5] * 3])


@dataclass
class Material:
    """A crystal and its tensors in the frame of its structure: stiffness 6x6 GPa, ε 3x3, e 3x3x3 C/m²."""

    name: str
    structure: Structure
    stiffness: NDArray[np.float64]
    electronic: NDArray[np.float64]
    total: NDArray[np.float64]
    piezo: NDArray[np.float64]
    summary: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def made(cls, name: str, structure: Structure, seed: int, **summary: Any) -> "Material":
        """With random tensors that obey the crystal's symmetry, in a general orientation."""
        structure, _ = turned(structure)
        rng = np.random.default_rng(seed)
        raw = rng.normal(size=(6, 6)) * 2
        stiffness = ElasticTensor.from_voigt(np.diag([300.0, 280, 260, 30, 25, 20]) + raw + raw.T)
        eps = Tensor(np.diag([4.0, 4.5, 5.0]) + 0.1)
        piezo = PiezoTensor.from_voigt(rng.normal(size=(3, 6)))
        electronic = np.array(eps.fit_to_structure(structure))
        return cls(
            name,
            structure,
            np.array(ElasticTensor(stiffness.fit_to_structure(structure)).voigt),
            electronic,
            electronic * 2,
            np.array(piezo.fit_to_structure(structure)),
            {"band_gap": 3.0, "energy_above_hull": 0.0, "nsites": len(structure)} | summary,
        )

    @property
    def moduli(self) -> dict[str, Any]:
        tensor = ElasticTensor.from_voigt(self.stiffness)
        means = {"bulk_modulus": tensor.k_vrh, "shear_modulus": tensor.g_vrh}
        return {
            name: {"vrh": float(value), "voigt": float(value), "reuss": float(value)} for name, value in means.items()
        }

    def document(self, route: str) -> dict[str, Any]:
        """As the API sends it."""
        common = {
            "material_id": self.name,
            "formula_pretty": self.structure.reduced_formula,
            "last_updated": self.summary.get("last_updated", "2024-01-01T00:00:00Z"),
            "deprecated": False,
            "builder_meta": {"license": self.summary.get("license", "BY-C"), "build_date": RELEASE},
        }
        if route == "summary":
            hull = {"formation_energy_per_atom": -1.0, "is_stable": True, "is_metal": False, "theoretical": False}
            own = {"structure": self.structure.as_dict(), **hull, **self.moduli, **self.summary}
        elif route == "elasticity":
            ieee = ElasticTensor.from_voigt(self.stiffness).convert_to_ieee(self.structure)
            tensor = {"raw": self.stiffness.tolist(), "ieee_format": ieee.round(0).voigt.tolist()}
            own = {
                "structure": self.structure.as_dict(),
                "elastic_tensor": tensor,
                "state": "successful",
                **self.moduli,
            }
        elif route == "dielectric":
            parts = {"electronic": self.electronic, "total": self.total}
            own = {key: Tensor(value).convert_to_ieee(self.structure).tolist() for key, value in parts.items()}
        else:
            own = {"total": PiezoTensor(self.piezo).convert_to_ieee(self.structure).zeroed().voigt.tolist()}
        return {**common, **own}


def materials() -> list[Material]:
    """Three of them, in the order in which the API lists them."""
    return [
        Material.made("mp-661", _wurtzite(), 1, band_gap=4.0),
        Material.made("mp-149", _diamond(), 2, band_gap=0.6),
        Material.made("mp-22862", _rock_salt(), 3, band_gap=5.0, energy_above_hull=0.02),
    ]


class MaterialsProject:
    """The API: `/heartbeat` and `/materials/ROUTE/`, `_limit`, `_skip`, `_fields`; unknown parameters are ignored."""

    def __init__(self, found: list[Material]) -> None:
        self.materials = found
        self.without: dict[str, set[str]] = {}
        self.meta_key = "total_doc"
        self.ignored: set[str] = set()

    def __call__(self, request: Request) -> Answer:
        if request.path.strip("/") == "heartbeat":
            return Answer.json({"db_version": RELEASE, "version": "0.87.3", "access_controlled_batch_ids": []})
        route = request.path.strip("/").removeprefix("materials/")
        if request.headers.get("x-api-key") != "k" * 32:
            return Answer.json({"detail": "Invalid API key"}, status=403)
        if route not in ("summary", "elasticity", "dielectric", "piezoelectric"):
            return Answer.json({"detail": "Not Found"}, status=404)
        found = [each.document(route) for each in self.materials]
        query = {key: value for key, value in request.query.items() if key not in self.ignored}
        found = [each for each in found if _matches(each, query)]
        skip, limit = int(request.query.get("_skip", 0)), int(request.query.get("_limit", 100))
        fields = set(request.query["_fields"].split(",")) - self.without.get(route, set())
        page = [{key: each[key] for key in each if key in fields} for each in found[skip : skip + limit]]
        return Answer.json({"data": page, "meta": {self.meta_key: len(found)}})


def _matches(document: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    for key, value in query.items():
        name, _, bound = key.rpartition("_")
        if key == "material_ids" and document["material_id"] not in value.split(","):
            return False
        if key == "chemsys" and chemsys_of(document) not in value.split(","):
            return False
        if bound in _SUFFIXES:
            number: Any = document
            for part in _PATHS.get(name, name).split("."):
                number = number.get(part) if isinstance(number, Mapping) else None
            if number is not None and not _SUFFIXES[bound](number, float(value)):
                return False
    return True


def chemsys_of(document: Mapping[str, Any]) -> str:
    """E.g. Al-N."""
    return {"AlN": "Al-N", "Si": "Si", "NaCl": "Cl-Na"}[document["formula_pretty"]]
