"""Writers of the field's public dumps, as plain dictionaries: each gives a document of some crystals and their ids."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from models.crystals.crystal import SYMBOLS, reduced_formula


@dataclass(frozen=True)
class Sample:
    """A crystal and the id under which it is published."""

    name: str
    lattice: np.ndarray
    frac_coords: np.ndarray
    numbers: np.ndarray

    @property
    def symbols(self) -> list[str]:
        return [SYMBOLS[z] for z in self.numbers]

    @property
    def cartesian(self) -> list[list[float]]:
        return (self.frac_coords @ self.lattice).tolist()


def sample(seed: int, n_atoms: int) -> Sample:
    random = np.random.default_rng(seed)
    lattice = 5 * np.eye(3) + random.normal(size=(3, 3))
    return Sample(f"agm{seed:06d}-x", lattice, random.random((n_atoms, 3)), random.integers(1, 95, n_atoms))


SAMPLES = st.lists(
    st.builds(sample, st.integers(0, 10**6), st.integers(1, 5)), min_size=1, max_size=4, unique_by=lambda s: s.name
)


def pymatgen(crystal: Sample) -> dict[str, Any]:
    parts = zip(crystal.symbols, crystal.frac_coords.tolist(), crystal.cartesian, strict=True)
    sites = [{"species": [{"element": s, "occu": 1}], "abc": f, "xyz": x, "label": s} for s, f, x in parts]
    lattice = {"matrix": crystal.lattice.tolist(), "pbc": [True, True, True], "a": 5.0}
    return {"@module": "pymatgen.core.structure", "@class": "Structure", "lattice": lattice, "sites": sites}


def entry(crystal: Sample) -> dict[str, Any]:
    names, counts = np.unique(crystal.symbols, return_counts=True)
    return {
        "@class": "ComputedStructureEntry",
        "energy": -1.5,
        "composition": dict(zip(names.tolist(), counts.astype(float).tolist(), strict=True)),
        "entry_id": crystal.name,
        "data": {"mat_id": "another", "e_above_hull": 0.0, "nsites": len(crystal.numbers)},
        "structure": pymatgen(crystal),
    }


def optimade(crystal: Sample) -> dict[str, Any]:
    return {
        "lattice_vectors": crystal.lattice.tolist(),
        "cartesian_site_positions": crystal.cartesian,
        "species_at_sites": crystal.symbols,
        "nsites": len(crystal.numbers),
        "chemical_formula_reduced": reduced_formula(crystal.numbers),
        "dimension_types": [1, 1, 1],
        "nperiodic_dimensions": 3,
    }


def ndarray(values: Any, kind: str) -> dict[str, Any]:
    array = np.array(values)
    return {"__ndarray__": [list(array.shape), kind, array.ravel().tolist()]}


def ase_new(crystal: Sample) -> dict[str, Any]:
    return {
        "cell": {"array": ndarray(crystal.lattice, "float64"), "__ase_objtype__": "cell"},
        "positions": ndarray(crystal.cartesian, "float64"),
        "numbers": ndarray(crystal.numbers, "int64"),
        "pbc": ndarray([True] * 3, "bool"),
        "ctime": 24.1,
        "unique_id": "0a1b",
        "key_value_pairs": {"material_id": crystal.name},
    }


def ase_old(crystal: Sample) -> dict[str, Any]:
    return {
        "cell": crystal.lattice.tolist(),
        "positions": crystal.cartesian,
        "numbers": crystal.numbers.tolist(),
        "pbc": [True] * 3,
        "key_value_pairs": {"material_id": crystal.name},
    }


def ase_database(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    ids = range(1, len(rows) + 1)
    return {str(row_id): row for row_id, row in zip(ids, rows, strict=True)} | {
        "ids": list(ids),
        "nextid": len(rows) + 1,
    }


def by_index(values: Sequence[Any], keys: Sequence[str] | None = None) -> dict[str, Any]:
    return dict(zip(keys or map(str, range(len(values))), values, strict=True))


def split(samples: Sequence[Sample]) -> dict[str, Any]:
    rows = [[pymatgen(s), 1.72] for s in samples]
    return {"index": [s.name for s in samples], "columns": ["structure", "n"], "data": rows}


def table(samples: Sequence[Sample]) -> dict[str, Any]:
    fields = [{"name": "index", "type": "string"}, {"name": "structure", "type": "string"}]
    rows = [{"index": s.name, "structure": pymatgen(s), "gap": None} for s in samples]
    return {"schema": {"fields": fields, "primaryKey": ["index"], "pandas_version": "1.4.0"}, "data": rows}


def frames(samples: Sequence[Sample]) -> dict[str, Any]:
    """MPtrj: two materials, each with frames that repeat the id of the material."""
    nested: dict[str, Any] = {}
    for row, s in enumerate(samples):
        frame = {"structure": pymatgen(s), "mp_id": f"mp-{row % 2}", "force": [[0.0] * 3], "energy_per_atom": -1.0}
        nested.setdefault(f"mp-{row % 2}", {})[f"mp-{row % 2}-{s.name}"] = frame
    return nested


Writer = Callable[[Sequence[Sample]], Any]
WRITERS: dict[str, Writer] = {
    "Matbench (pandas split)": split,
    "pandas split, ids in a column": lambda samples: {
        "index": list(range(len(samples))),
        "columns": ["material_id", "final_structure", "gap"],
        "data": [[s.name, pymatgen(s), None] for s in samples],
    },
    "pandas columns by id": lambda samples: {
        "structure": by_index([pymatgen(s) for s in samples], [s.name for s in samples]),
        "gap": by_index([1.0] * len(samples), [s.name for s in samples]),
    },
    "pandas columns of JSON text": lambda samples: {
        "mpid": by_index([s.name for s in samples]),
        "structure": by_index([json.dumps(pymatgen(s)) for s in samples]),
    },
    "pandas columns of our keys": lambda samples: {
        "id": by_index([s.name for s in samples]),
        "lattice": by_index([s.lattice.tolist() for s in samples]),
        "species": by_index([s.symbols for s in samples]),
        "frac_coords": by_index([s.frac_coords.tolist() for s in samples]),
    },
    "pandas records": lambda samples: [{"structure": pymatgen(s), "material_id": s.name} for s in samples],
    "pandas index": lambda samples: {s.name: {"structure": pymatgen(s), "gap": 1.0} for s in samples},
    "pandas table": table,
    "WBM": lambda samples: {
        "material_id": by_index([s.name for s in samples]),
        "computed_structure_entry": by_index([{**entry(s), "entry_id": "another"} for s in samples]),
    },
    "Alexandria": lambda samples: {"entries": [entry(s) for s in samples]},
    "list of entries": lambda samples: [entry(s) for s in samples],
    "map to structures": lambda samples: {s.name: pymatgen(s) for s in samples},
    "map to entries": lambda samples: {"structures": {s.name: {"initial_structure": pymatgen(s)} for s in samples}},
    "map to columns": lambda samples: {
        s.name: {"lattice": s.lattice.tolist(), "species": s.symbols, "frac_coords": s.frac_coords.tolist()}
        for s in samples
    },
    "list under another name": lambda samples: {"version": 2, "crystals": [entry(s) for s in samples]},
    "OPTIMADE answer": lambda samples: {
        "data": [{"id": s.name, "type": "structures", "attributes": optimade(s)} for s in samples],
        "meta": {"more_data_available": False},
    },
    "OPTIMADE, id among the attributes": lambda samples: {
        "data": [{"type": "structures", "attributes": {**optimade(s), "immutable_id": s.name}} for s in samples]
    },
    "OPTIMADE flat": lambda samples: [{**optimade(s), "immutable_id": s.name} for s in samples],
    "OPTIMADE under data": lambda samples: [{"data": {"id": s.name, "attributes": optimade(s)}} for s in samples],
    "ASE, new encoding": lambda samples: ase_database([ase_new(s) for s in samples]),
    "ASE, old encoding": lambda samples: ase_database([ase_old(s) for s in samples]),
}
"""Documents whose crystals carry their names as ids."""
