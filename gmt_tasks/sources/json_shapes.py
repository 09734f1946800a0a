"""The shapes in which the field writes one crystal as a JSON object, and the reader of each.

Foreign JSON is only ever data here: `@module` and `@class` keys are ignored, never imported (monty's decoder imports
and calls what such a key names). Six shapes are known: our columns (`lattice`, `species`, `frac_coords`), pymatgen's
Structure (`lattice.matrix`, `sites`), moyo's cell (`lattice.basis`, `positions`, `numbers`), OPTIMADE
(`lattice_vectors`, ...), JARVIS (`lattice_mat`, ...) and ASE (`cell`, `positions`, `numbers`; positions Cartesian).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from gmt_tasks.sources.parsed import (
    Floats,
    Ints,
    RefusedInputError,
    atomic_numbers,
    fractional,
    ordered_species,
    require_finite,
)
from models.errors import Doubt, Reason

Record = Mapping[str, Any]


class CrystalFields(NamedTuple):
    """What a reader takes from an object: the fields of a `ParsedCrystal` but for its id."""

    lattice: Floats
    frac_coords: Floats
    numbers: Ints
    notes: tuple[str, ...]
    extra: dict[str, Any]


INCOMPLETE_FEATURES = frozenset(("implicit_atoms", "site_attachments", "assemblies"))
"""OPTIMADE's words for atoms without a site, groups of atoms on one, and sites that are occupied only together."""

_PYMATGEN_KEYS = frozenset(("@module", "@class", "@version", "lattice", "sites", "charge", "properties"))
_ASE_KEYS = frozenset(("cell", "positions", "numbers", "pbc", "key_value_pairs", "__ase_objtype__"))


Reader = Callable[[Record], CrystalFields]


def shapes_of(record: Record) -> list[Reader]:
    """The readers of all shapes that a record has by its keys; a table that has a shape's columns has none."""
    readers: list[Reader] = []
    lattice = record.get("lattice")
    if isinstance(lattice, dict):
        if "sites" in record:
            readers.append(_pymatgen)
        elif "basis" in lattice:
            readers.append(_moyo)
    elif "lattice" in record and ("species" in record or "frac_coords" in record):
        readers.append(_columns)
    if "lattice_vectors" in record and not isinstance(record["lattice_vectors"], Mapping):
        readers.append(_optimade)
    if "lattice_mat" in record and not isinstance(record["lattice_mat"], Mapping):
        readers.append(_jarvis)
    if "cell" in record and "positions" in record and "numbers" in record:
        cell = record["cell"]
        # An array as ASE encodes it, or a list; another object is a table's column.
        if not isinstance(cell, Mapping) or "array" in cell or "__ndarray__" in cell:
            readers.append(_ase)
    return readers


def periodicity_notes(key: str, value: Any) -> tuple[str, ...]:
    """A doubt if a file says that a crystal is not periodic along every axis.

    Args:
        key: what the file calls it.
        value: one flag per axis, or one for all; anything else says nothing.
    """
    flags = value if isinstance(value, (list, tuple)) else [value]
    if all(flags) or not all(isinstance(flag, (bool, int)) for flag in flags):
        return ()
    shown = " ".join("T" if flag else "F" for flag in flags[:3])
    return (f"{Doubt.PERIODICITY}: {key} is {shown}, read as periodic along every axis",)


def _columns(record: Record) -> CrystalFields:
    """Our own columns: lattice (9 numbers or 3 x 3, angstrom), species, frac_coords."""
    species = record["species"]
    if not isinstance(species, list):  # a text would be taken apart: CO is no carbon and oxygen
        raise RefusedInputError(Reason.PARSE, f"species is a {type(species).__name__}, expected a list")
    numbers, notes = atomic_numbers(species)
    lattice, frac_coords = _cell(record["lattice"]), _positions(record["frac_coords"], len(species))
    require_finite(lattice, frac_coords)
    if "pbc" in record:
        notes += periodicity_notes("pbc", record["pbc"])
    extra = _rest(record, ("lattice", "species", "frac_coords"))
    return CrystalFields(lattice, frac_coords, numbers, notes, extra)


def _pymatgen(record: Record) -> CrystalFields:
    """pymatgen's Structure.as_dict()."""
    lattice = _cell(record["lattice"]["matrix"])
    sites = record["sites"]
    frac_coords = _positions([site["abc"] for site in sites], len(sites))
    require_finite(lattice, frac_coords)
    occupancies = []
    for site in sites:
        parts = [(_label(part["element"]), float(part.get("occu", 1))) for part in site["species"]]
        occupancies.append(parts)
    # Unknown species first: a dummy atom on a shared site is no disorder.
    atomic_numbers([label for species in occupancies for label, _ in species])
    labels, rounded = ordered_species(occupancies)
    numbers, merged = atomic_numbers(labels)
    notes = rounded + merged + periodicity_notes("lattice.pbc", record["lattice"].get("pbc", True))
    extra = {k: v for k, v in _rest(record, _PYMATGEN_KEYS).items() if not k.startswith("@")}
    return CrystalFields(lattice, frac_coords, numbers, notes, extra)


def _moyo(record: Record) -> CrystalFields:
    """moyo's serialised cell: `basis` lists a, b, c one after the other, `positions` are fractional."""
    numbers, notes = atomic_numbers(record["numbers"])
    lattice, frac_coords = _cell(record["lattice"]["basis"]), _positions(record["positions"], len(numbers))
    require_finite(lattice, frac_coords)
    extra = _rest(record, ("lattice", "positions", "numbers"))
    return CrystalFields(lattice, frac_coords, numbers, notes, extra)


def _optimade(attributes: Record) -> CrystalFields:
    """OPTIMADE structure attributes; positions are Cartesian, species may be mixtures or vacancies."""
    incomplete = INCOMPLETE_FEATURES.intersection(attributes.get("structure_features") or [])
    if incomplete:
        detail = f"structure_features names {', '.join(sorted(incomplete))}: the sites listed are not all atoms"
        raise RefusedInputError(Reason.DISORDERED, detail)
    lattice = _cell(attributes["lattice_vectors"])
    at_sites = attributes["species_at_sites"]
    if not isinstance(at_sites, list):
        raise RefusedInputError(Reason.PARSE, f"species_at_sites is a {type(at_sites).__name__}, expected a list")
    frac_coords = _fractional(lattice, attributes["cartesian_site_positions"], len(at_sites))
    species_list = attributes.get("species") or []
    if isinstance(species_list, str):  # as tables without nested columns hold it
        species_list = json.loads(species_list)
    declared = {species["name"]: species for species in species_list}
    occupancies = []
    for name in at_sites:
        species = declared.get(name, {"chemical_symbols": [name], "concentration": [1.0]})
        parts = zip(species["chemical_symbols"], species["concentration"], strict=True)
        # Without the vacancies the site sums to less than 1 and ends as disordered.
        occupancies.append([(_label(symbol), float(share)) for symbol, share in parts if symbol != "vacancy"])
    labels, rounded = ordered_species(occupancies)
    numbers, merged = atomic_numbers(labels)
    notes = rounded + merged + periodicity_notes("dimension_types", attributes.get("dimension_types") or True)
    n_periodic = attributes.get("nperiodic_dimensions")
    if not notes and isinstance(n_periodic, int) and n_periodic != 3:
        notes += (f"{Doubt.PERIODICITY}: nperiodic_dimensions is {n_periodic}, read as periodic along every axis",)
    used = ("lattice_vectors", "cartesian_site_positions", "species_at_sites", "species")
    return CrystalFields(lattice, frac_coords, numbers, notes, _rest(attributes, used))


def _jarvis(atoms: Record) -> CrystalFields:
    """JARVIS Atoms.to_dict()."""
    lattice, elements = _cell(atoms["lattice_mat"]), atoms["elements"]
    numbers, notes = atomic_numbers(elements)
    if atoms.get("cartesian"):
        frac_coords = _fractional(lattice, atoms["coords"], len(elements))
    else:
        frac_coords = _positions(atoms["coords"], len(elements))
    require_finite(lattice, frac_coords)
    used = ("lattice_mat", "elements", "coords", "cartesian", "abc", "angles", "props")
    return CrystalFields(lattice, frac_coords, numbers, notes, _rest(atoms, used))


def _ase(atoms: Record) -> CrystalFields:
    """ASE's Atoms, as its JSON database, its JSON encoder or `todict` writes them; positions are Cartesian.

    Source of the encodings: ASE 3.29, ase/io/jsonio.py (`MyEncoder`, `object_hook`), ase/db/jsondb.py.
    """
    lattice = _cell(_decoded(atoms["cell"]))
    species = np.array(_decoded(atoms["numbers"])).ravel().tolist()
    numbers, notes = atomic_numbers(species)
    frac_coords = _fractional(lattice, _decoded(atoms["positions"]), len(species))
    notes += periodicity_notes("pbc", _decoded(atoms.get("pbc", True)))
    pairs = atoms.get("key_value_pairs")
    extra = {**(pairs if isinstance(pairs, Mapping) else {}), **_rest(atoms, _ASE_KEYS)}
    return CrystalFields(lattice, frac_coords, numbers, notes, extra)


def _decoded(value: Any) -> Any:
    """An array from one of ASE's encodings, as nested lists; anything else as it is."""
    if isinstance(value, Mapping) and "array" in value:  # a Cell is an object around its array
        value = value["array"]
    if not isinstance(value, Mapping) or "__ndarray__" not in value:
        return value
    shape, dtype, flat = value["__ndarray__"]
    # The type is only compared: a name of numpy's could ask for any object.
    if str(dtype).rstrip("0123456789") not in ("float", "int", "uint", "bool"):
        raise RefusedInputError(Reason.PARSE, f"an array of {str(dtype)[:40]}")
    numbers = np.array(flat)
    if numbers.ndim != 1 or numbers.size != np.prod([int(n) for n in shape]):
        raise RefusedInputError(Reason.PARSE, f"an array of {numbers.size} numbers, announced as {str(shape)[:40]}")
    return numbers.reshape([int(n) for n in shape]).tolist()


def _cell(value: Any) -> Floats:
    """Lattice rows from 9 numbers or 3 x 3, shape [3, 3]."""
    lattice = np.array(value, dtype=np.float64)
    if lattice.size != 9:
        raise RefusedInputError(Reason.PARSE, f"the lattice has {lattice.size} numbers, expected 9")
    return lattice.reshape(3, 3)


def _positions(value: Any, n_atoms: int) -> Floats:
    """Positions from n x 3 or 3n numbers, shape [n_atoms, 3]."""
    positions = np.array(value, dtype=np.float64)
    if positions.size != 3 * n_atoms:
        detail = f"{positions.size} position numbers for {n_atoms} species, expected {3 * n_atoms}"
        raise RefusedInputError(Reason.PARSE, detail)
    return positions.reshape(-1, 3)


def _fractional(lattice: Floats, cartesian: Any, n_atoms: int) -> Floats:
    """Fractional from Cartesian positions (angstrom), shape [n_atoms, 3]."""
    positions = _positions(cartesian, n_atoms)
    require_finite(lattice, positions)
    return fractional(lattice, positions)


def _label(value: Any) -> str:
    """The symbol of a species."""
    if not isinstance(value, str):
        raise RefusedInputError(Reason.UNKNOWN_SPECIES, f"{value!r} is no element symbol")
    return value


def _rest(record: Record, used: Iterable[str]) -> dict[str, Any]:
    """What travels along as metadata."""
    return {key: value for key, value in record.items() if key not in used}
