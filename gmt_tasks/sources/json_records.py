"""One crystal from one JSON value: where in it the crystal stands, what its id is, and whether it agrees with itself.

A crystal in one of the known shapes (gmt_tasks/sources/json_shapes.py) is the record itself or one of its values, four
levels deep at most, also as JSON text. A record that holds several that differ is refused: nobody can say which one is
meant. The id is the first of `ID_KEYS` in the outermost object on the way to the crystal that has one; after each
object its `data`, `attributes` and `key_value_pairs` count too.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gmt_tasks.sources.json_shapes import Reader, Record, shapes_of
from gmt_tasks.sources.parsed import ID_KEYS, ParsedCrystal, Reading, Refusal, RefusedInputError, reading_or_refusal
from gmt_tasks.sources.stated_composition import composition_notes
from models.errors import Reason

_KEYS_OF_SHAPES = (
    ("lattice", "sites"),
    ("lattice", "species", "frac_coords"),
    ("lattice_vectors", "cartesian_site_positions", "species_at_sites"),
    ("lattice_mat", "coords", "elements"),
    ("cell", "positions", "numbers"),
)
_MAX_LEVELS = 4
_INNER_IDS = ("data", "attributes", "key_value_pairs")
_MAX_SHOWN = 200


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
        advice = " (a file with one JSON value per line is a .jsonl)" if error.msg == "Extra data" else ""
        raise RefusedInputError(Reason.PARSE, f"{place}: {error.msg}{advice}") from error
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


def refused_or_parsed(record: Any) -> Reading:
    """One crystal from one JSON value, or why it is none with the id that the record has nevertheless."""
    reading = reading_or_refusal(parse_record, record)
    if isinstance(reading, Refusal) and isinstance(record, Mapping):
        return replace(reading, source_id=own_identifier([record])[0])
    return reading


def parse_record(record: Any) -> ParsedCrystal:
    """One crystal from one JSON value in any of the known shapes.

    Raises:
        RefusedInputError: with the reason from the closed list and the key that is missing or wrong.
    """
    try:
        return _parse(with_parsed_text(record))
    except KeyError as error:
        raise RefusedInputError(Reason.PARSE, f"key {str(error)[:60]} is missing") from error
    except (TypeError, AttributeError, ValueError, ArithmeticError, IndexError, RecursionError) as error:
        detail = f"a key holds a value of the wrong kind: {str(error)[:200]}"
        raise RefusedInputError(Reason.PARSE, detail) from error


def with_parsed_text(value: Any) -> Any:
    """A crystal that was written as JSON text, parsed; everything else as it is.

    Raises:
        RefusedInputError: a text that looks like a crystal is no JSON.
    """
    if isinstance(value, str) and value[:1] == "{" and ('"lattice' in value or '"positions"' in value):
        return load_json(value)
    return value


def _parse(record: Any) -> ParsedCrystal:
    """Finds the crystal in a record and gives it what stands beside it on the way: its id and its metadata."""
    if not isinstance(record, Mapping):
        raise RefusedInputError(Reason.PARSE, f"expected a JSON object, found {type(record).__name__}")
    candidates = _candidates(record, (), ())
    if not candidates:
        raise _no_crystal(record)
    keys, levels, readers = candidates[0]
    if len(candidates) > 1 and any(other_levels[-1] != levels[-1] for _, other_levels, _ in candidates):
        names = ", ".join(".".join(path) or "its own keys" for path, _, _ in candidates)[:_MAX_SHOWN]
        raise RefusedInputError(Reason.PARSE, f"several structures in one record ({names}); keep one of them")
    if len(readers) > 1:
        names = ", ".join(sorted(map(str, levels[-1])))[:_MAX_SHOWN]
        raise RefusedInputError(Reason.PARSE, f"one record in several shapes ({names}); keep the keys of one")
    lattice, frac_coords, numbers, notes, extra = readers[0](levels[-1])
    own_id, holder, id_key = own_identifier(levels)
    if levels[-1] is holder:
        extra.pop(id_key, None)
    # What stands further out was written for this use: it goes before what came along inside.
    for level, wrapper in zip(reversed(levels[:-1]), reversed(keys), strict=True):
        used = (wrapper, id_key) if level is holder else (wrapper,)
        extra |= {key: value for key, value in level.items() if key not in used}
    notes += composition_notes(extra, numbers)
    inner = extra.get("data")
    if isinstance(inner, Mapping):
        notes += composition_notes(inner, numbers)
    return ParsedCrystal(lattice, frac_coords, numbers, notes, own_id, extra)


Path = tuple[str, ...]
Candidate = tuple[Path, tuple[Record, ...], list[Reader]]


def _candidates(record: Record, keys: Path, outer: tuple[Record, ...]) -> list[Candidate]:
    """The crystals in a record: the keys that lead to each, all objects on the way, outermost first, and its shapes."""
    levels, readers = (*outer, record), shapes_of(record)
    candidates = [(keys, levels, readers)] if readers else []
    if len(keys) < _MAX_LEVELS:
        for key, value in record.items():
            inner = with_parsed_text(value) if isinstance(value, str) else value
            if isinstance(inner, dict):
                candidates += _candidates(inner, (*keys, str(key)), levels)
    return candidates


def _no_crystal(record: Record) -> RefusedInputError:
    """Why a record holds no crystal: what is missing where one begins, or the keys that were found."""
    for wrapper in ("structure", "atoms", "attributes"):
        if isinstance(record.get(wrapper), Mapping):
            return _no_crystal(record[wrapper])
    for keys in _KEYS_OF_SHAPES:
        missing = [key for key in keys if key not in record]
        if 0 < len(missing) < len(keys) - (keys[0] not in record):
            return RefusedInputError(Reason.PARSE, f"key {missing[0]!r} is missing")
    shown = ", ".join(sorted(map(str, record))[:8])[:_MAX_SHOWN]
    detail = f"no crystal under the keys found ({shown}); see the documentation of inputs"
    return RefusedInputError(Reason.PARSE, detail)


def own_identifier(levels: Sequence[Record]) -> tuple[str | None, Record | None, str]:
    """The id of a record, the object that holds it, and its key there.

    Args:
        levels: the objects on the way to the crystal, the outermost first.
    """
    for level in levels:
        for name in ("", *_INNER_IDS):
            holder = level.get(name) if name else level
            if not isinstance(holder, dict) and holder is not level:
                continue
            for key in ID_KEYS:
                value = holder.get(key)
                if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":  # 0 is an id
                    return str(value), holder, key
    return None, None, ""
