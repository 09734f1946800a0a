"""Crystals from JSON objects, by our own reading of the field's schemas.

Foreign JSON is only ever data here: `@module` and `@class` keys are ignored, never imported (monty's decoder imports
and calls what such a key names). Five shapes are known: our columns (`lattice`, `species`, `frac_coords`), pymatgen's
Structure (`lattice.matrix`, `sites`), OPTIMADE (`attributes.lattice_vectors`, ...), JARVIS (`atoms.lattice_mat`, ...)
and moyo's cell (`lattice.basis`, `positions`, `numbers`); the first of `structure`, `atoms` may wrap them.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from gmt_tasks.sources.parsed import (
    Floats,
    ParsedCrystal,
    Reading,
    Refusal,
    RefusedInputError,
    atomic_numbers,
    ordered_species,
    reading_or_refusal,
    require_finite,
)
from models.errors import Reason

_MIN_VOLUME = 1e-6
"""Of a cell in cubic angstrom, below which Cartesian positions say nothing about fractional ones."""

_ID_KEYS = ("id", "material_id", "jid", "uuid")
_INCOMPLETE_FEATURES = {"implicit_atoms", "site_attachments", "assemblies"}
"""OPTIMADE's words for atoms without a site, groups of atoms on one, and sites that are occupied only together."""

_PYMATGEN_KEYS = {"@module", "@class", "@version", "lattice", "sites", "charge", "properties"}


def load_json(text: str | bytes, first_line: int = 1) -> Any:
    """Parses JSON text.

    Args:
        text: the text; bytes are UTF-8.
        first_line: 1-based line of its file at which it begins.

    Raises:
        RefusedInputError: not JSON (`parse`, with line and column), a key twice, or nested too deeply for a crystal.
    """
    try:
        return json.loads(text, object_pairs_hook=_unique_keys)
    except json.JSONDecodeError as error:
        place = f"line {first_line + error.lineno - 1} column {error.colno}"
        raise RefusedInputError(Reason.PARSE, f"{place}: {error.msg}") from error
    except (RecursionError, ValueError) as error:
        raise RefusedInputError(Reason.PARSE, f"not readable as JSON: {str(error)[:200]}") from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; refuses one with a key twice, since which of the two is meant nobody can say."""
    record = dict(pairs)
    if len(record) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RefusedInputError(Reason.PARSE, f"key {twice[:40]!r} occurs twice in one object")
    return record


def records_of(value: Any) -> list[Any] | None:
    """The records of a document that is a list or an OPTIMADE answer; None if it is one record itself.

    Raises:
        RefusedInputError: the list is empty.
    """
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
    if not isinstance(value, list):
        return None
    if not value:
        raise RefusedInputError(Reason.EMPTY, "the list holds no crystals")
    return value


def refused_or_parsed(record: Any) -> Reading:
    """One crystal from one JSON value, or why it is none with the id that the record has nevertheless."""
    reading = reading_or_refusal(parse_record, record)
    if isinstance(reading, Refusal) and isinstance(record, Mapping):
        return replace(reading, source_id=_identifier(record))
    return reading


def parse_record(record: Any) -> ParsedCrystal:
    """One crystal from one JSON value in any of the known shapes.

    Raises:
        RefusedInputError: with the reason from the closed list and the key that is missing or wrong.
    """
    try:
        return _parse(record)
    except KeyError as error:
        raise RefusedInputError(Reason.PARSE, f"key {str(error)[:60]} is missing") from error
    except (TypeError, AttributeError, ValueError, ArithmeticError, IndexError, RecursionError) as error:
        detail = f"a key holds a value of the wrong kind: {str(error)[:200]}"
        raise RefusedInputError(Reason.PARSE, detail) from error


def _parse(record: Any) -> ParsedCrystal:
    """Chooses the shape by the keys that only it has."""
    if not isinstance(record, Mapping):
        raise RefusedInputError(Reason.PARSE, f"expected a JSON object, found {type(record).__name__}")
    for wrapper in ("structure", "atoms"):
        if isinstance(record.get(wrapper), Mapping):
            return _with_outer(_parse(record[wrapper]), record, wrapper)
    if isinstance(record.get("attributes"), Mapping):
        return _with_outer(_optimade(record["attributes"]), record, "attributes")
    if "lattice_mat" in record:
        return _jarvis(record)
    if "lattice" not in record:
        keys = ", ".join(sorted(map(str, record))[:8])[:200]
        detail = f"no crystal under the keys found ({keys}); see the documentation of inputs"
        raise RefusedInputError(Reason.PARSE, detail)
    if not isinstance(record["lattice"], Mapping):
        return _columns(record)
    return _pymatgen(record) if "sites" in record else _moyo(record)


def _with_outer(inner: ParsedCrystal, record: Mapping[str, Any], wrapper: str) -> ParsedCrystal:
    """Adds the id and the keys beside a wrapped structure."""
    extra = {key: value for key, value in record.items() if key != wrapper and key not in _ID_KEYS}
    source_id = _identifier(record) or inner.source_id
    return replace(inner, source_id=source_id, extra={**inner.extra, **extra})


def _columns(record: Mapping[str, Any]) -> ParsedCrystal:
    """Our own columns: lattice (9 numbers or 3 x 3, angstrom), species, frac_coords."""
    species = record["species"]
    if not isinstance(species, list):  # a text would be taken apart: CO is no carbon and oxygen
        raise RefusedInputError(Reason.PARSE, f"species is a {type(species).__name__}, expected a list")
    numbers, notes = atomic_numbers(species)
    lattice, frac_coords = _cell(record["lattice"]), _positions(record["frac_coords"], len(species))
    require_finite(lattice, frac_coords)
    extra = _rest(record, {"lattice", "species", "frac_coords"})
    return ParsedCrystal(lattice, frac_coords, numbers, notes, _identifier(record), extra)


def _pymatgen(record: Mapping[str, Any]) -> ParsedCrystal:
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
    extra = {k: v for k, v in _rest(record, _PYMATGEN_KEYS).items() if not k.startswith("@")}
    return ParsedCrystal(lattice, frac_coords, numbers, rounded + merged, _identifier(record), extra)


def _optimade(attributes: Mapping[str, Any]) -> ParsedCrystal:
    """OPTIMADE structure attributes; positions are Cartesian, species may be mixtures or vacancies."""
    incomplete = _INCOMPLETE_FEATURES.intersection(attributes.get("structure_features") or [])
    if incomplete:
        detail = f"structure_features names {', '.join(sorted(incomplete))}: the sites listed are not all atoms"
        raise RefusedInputError(Reason.DISORDERED, detail)
    lattice = _cell(attributes["lattice_vectors"])
    at_sites = attributes["species_at_sites"]
    frac_coords = _fractional(lattice, attributes["cartesian_site_positions"], len(at_sites))
    declared = {species["name"]: species for species in attributes.get("species") or []}
    occupancies = []
    for name in at_sites:
        species = declared.get(name, {"chemical_symbols": [name], "concentration": [1.0]})
        parts = zip(species["chemical_symbols"], species["concentration"], strict=True)
        # Without the vacancies the site sums to less than 1 and ends as disordered.
        occupancies.append([(_label(symbol), float(share)) for symbol, share in parts if symbol != "vacancy"])
    labels, rounded = ordered_species(occupancies)
    numbers, merged = atomic_numbers(labels)
    used = {"lattice_vectors", "cartesian_site_positions", "species_at_sites", "species"}
    return ParsedCrystal(lattice, frac_coords, numbers, rounded + merged, None, _rest(attributes, used))


def _jarvis(atoms: Mapping[str, Any]) -> ParsedCrystal:
    """JARVIS Atoms.to_dict()."""
    lattice, elements = _cell(atoms["lattice_mat"]), atoms["elements"]
    numbers, notes = atomic_numbers(elements)
    if atoms.get("cartesian"):
        frac_coords = _fractional(lattice, atoms["coords"], len(elements))
    else:
        frac_coords = _positions(atoms["coords"], len(elements))
    require_finite(lattice, frac_coords)
    used = {"lattice_mat", "elements", "coords", "cartesian", "abc", "angles", "props"}
    return ParsedCrystal(lattice, frac_coords, numbers, notes, _identifier(atoms), _rest(atoms, used))


def _moyo(record: Mapping[str, Any]) -> ParsedCrystal:
    """moyo's serialised cell: `basis` lists a, b, c one after the other, `positions` are fractional."""
    numbers, notes = atomic_numbers(record["numbers"])
    lattice, frac_coords = _cell(record["lattice"]["basis"]), _positions(record["positions"], len(numbers))
    require_finite(lattice, frac_coords)
    extra = _rest(record, {"lattice", "positions", "numbers"})
    return ParsedCrystal(lattice, frac_coords, numbers, notes, _identifier(record), extra)


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
    volume = np.linalg.det(lattice)
    if abs(volume) < _MIN_VOLUME:
        raise RefusedInputError(Reason.DEGENERATE_CELL, f"volume {volume:.3g} angstrom^3")
    return np.linalg.solve(lattice.T, positions.T).T.astype(np.float64)


def _label(value: Any) -> str:
    """The symbol of a species."""
    if not isinstance(value, str):
        raise RefusedInputError(Reason.UNKNOWN_SPECIES, f"{value!r} is no element symbol")
    return value


def _identifier(record: Mapping[str, Any]) -> str | None:
    """The first id key that holds a text or a whole number."""
    for key in _ID_KEYS:
        value = record.get(key)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":  # 0 is an id
            return str(value)
    return None


def _rest(record: Mapping[str, Any], used: set[str]) -> dict[str, Any]:
    """What travels along as metadata."""
    return {key: value for key, value in record.items() if key not in used and key not in _ID_KEYS}
