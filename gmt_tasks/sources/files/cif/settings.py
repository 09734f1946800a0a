"""Names of space groups to the settings that they may mean, over gemmi's table of the 530 settings and some more.

A name may leave open which axis is unique, where the origin lies, or whether axes are hexagonal: then it means several
settings, and nothing here chooses between them.
Source: International Tables B, table A1.4.2.7 (Hall symbols), through gemmi's table.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import gemmi
import numpy as np

from models.symmetry.fractional_operations import Operations

_MONOCLINIC = range(3, 16)
_CUBIC_WITH_MINUS = (*range(200, 207), *range(221, 231))
_WITH_DOUBLE_GLIDE = (39, 41, 64, 67, 68)
_MARKUP = re.compile(r"[\\~_{}$\"'`]|\((?=\d\))|(?<=\(\d)\)")
_TRAILING_NUMBER = re.compile(r"\s*\(?(?:#|no\.?)\s*\d+\)?$|\s*\(\d{2,3}\)$", re.IGNORECASE)
_WORDS: tuple[tuple[re.Pattern[str], dict[str, str]], ...] = (
    (re.compile(r"[\s:(,]*(?:origin|o)\s*(?:choice)?\s*([12])\)?$", re.IGNORECASE), {}),
    (re.compile(r"[\s:(,]*(hex|rhomb)[a-z]*\s*(?:axes|setting|cell)?\)?$", re.IGNORECASE), {"hex": "H", "rhomb": "R"}),
)
_LONGEST_NAME = 80
_SUFFIX = re.compile(r"(?:\s*:\s*|\s+|(?<=[\w)]))\(?(hr|rs|[hrsz]|[12])\)?$", re.IGNORECASE)
_EXTENSION = {"h": "H", "hr": "H", "r": "R", "rs": "R", "s": "1", "z": "2", "1": "1", "2": "2"}
"""Suffixes of names: H, R, 1, 2 of International Tables; S, Z (origin 1, 2), HR and RS of ICSD."""


@dataclass(frozen=True)
class Setting:
    """One setting of a space group.

    Attributes:
        name: Hermann-Mauguin symbol with its extension, e.g. "F d -3 m:2".
        number: of the space group, 1 to 230.
        hall: Hall symbol.
        extension: "1" or "2" (origin), "H" or "R" (axes), or empty.
        qualifier: axes and cell choice, e.g. "b1" or "ba-c"; may be empty.
        is_standard: whether International Tables choose it where a book has room for one.
    """

    name: str
    number: int
    hall: str
    extension: str
    qualifier: str
    is_standard: bool


def _table() -> tuple[Setting, ...]:
    rows = []
    for row in gemmi.spacegroup_table():
        extension = row.ext if row.ext.isalnum() else ""
        setting = Setting(row.xhm(), row.number, row.hall, extension, row.qualifier, row.is_reference_setting())
        rows.append(setting)
    return tuple(rows)


SETTINGS = _table()
"""All settings, in the order of the table."""


def _index() -> dict[str, tuple[Setting, ...]]:
    """Settings by every spelling: full, without the 1s of monoclinic axes, cubic ones without their minus."""
    index: defaultdict[str, list[Setting]] = defaultdict(list)
    for setting in SETTINGS:
        words = setting.name.partition(":")[0].split()
        spellings = {"".join(words)}
        if setting.number in _MONOCLINIC:
            spellings.add("".join(word for word in words if word != "1"))
        if setting.number in _CUBIC_WITH_MINUS:
            spellings.add("".join(words).replace("-3", "3"))
        if setting.extension == "H":  # as the Protein Data Bank writes hexagonal axes
            spellings.add("".join(["H", *words[1:]]))
        for spelling in spellings:
            index[spelling.lower()].append(setting)
    return {spelling: tuple(settings) for spelling, settings in index.items()}


_INDEX = _index()


@lru_cache(4096)
def settings_of_name(name: str) -> tuple[Setting, ...]:
    """The settings that a Hermann-Mauguin symbol may mean; none for one that is not known.

    Args:
        name: with or without blanks, short or full ("F 41/d -3 2/m"), with or without an extension (":2", "H", "Z").
    """
    if len(name) > _LONGEST_NAME:
        return ()
    plain = _TRAILING_NUMBER.sub("", _MARKUP.sub("", name).strip())
    if settings := _named(plain):
        return settings
    for pattern, meanings in _WORDS:
        if match := pattern.search(plain):
            word = match[1].lower()
            return _with_extension(_named(plain[: match.start()]), meanings.get(word, word))
    bare, colon, code = plain.partition(":")
    if colon:
        settings = _named(bare.strip())
        by_code = settings_with_code(settings, code)
        return by_code or settings
    if match := _SUFFIX.search(plain):
        settings, extension = _named(plain[: match.start()]), _EXTENSION[match[1].lower()]
        # A letter may say nothing more ("F m -3 m S"); a digit is then the rest of a mistyped symbol ("P 4 2 21").
        if match[1].isdigit():
            return tuple(setting for setting in settings if setting.extension == extension)
        return _with_extension(settings, extension)
    return ()


def _named(name: str) -> tuple[Setting, ...]:
    """The settings of a symbol without an extension, full, short, or with an e for either of two glide planes."""
    for symbol in (re.sub(r"\s+", "", name).lower(), _short(name)):
        if settings := _INDEX.get(symbol):
            return settings
        if "e" in symbol[1:]:
            with_either = re.compile(re.escape(symbol).replace("e", "[abc]"))
            spellings = [spelling for spelling in _INDEX if with_either.fullmatch(spelling)]
            settings = tuple(setting for spelling in spellings for setting in _INDEX[spelling])
            if settings := tuple(setting for setting in settings if setting.number in _WITH_DOUBLE_GLIDE):
                return settings
    return ()


def _short(name: str) -> str:
    """The short symbol of a full one: "F 41/d -3 2/m" is "fd-3m", "P 21/n 21/m 21/a" is "pnma"."""
    words = name.lower().split()
    if len(words) < 3 or ("1" in words[1:] and words[1] != "-3"):
        return ""
    is_cubic = words[2] in ("3", "-3")
    # The first axis keeps its rotation in tetragonal and hexagonal symbols.
    kept = 2 if re.match(r"[346]", words[1]) and not is_cubic else 1
    shortened = [re.sub(r"^(?:2|21|4|41|42|43)/", "", word) for word in words[kept:]]
    return "".join([*words[:kept], *shortened])


def _with_extension(settings: Iterable[Setting], extension: str) -> tuple[Setting, ...]:
    """The settings with an extension; all of them where none has it ("F m -3 m S" says nothing more)."""
    settings = tuple(settings)
    return tuple(setting for setting in settings if setting.extension == extension) or settings


def settings_with_code(settings: Iterable[Setting], code: str) -> tuple[Setting, ...]:
    """The settings with a coordinate-system code of International Tables ("b1", "2", "h", "ba-c"); perhaps none."""
    code = code.strip().lower().strip("()")
    extension = _EXTENSION.get(code)
    return tuple(
        setting
        for setting in settings
        if (extension and setting.extension == extension)
        or (setting.qualifier and setting.qualifier in (code, f"{code}1", code.removeprefix("-")))
    )


@lru_cache(256)
def settings_of_number(number: int) -> tuple[Setting, ...]:
    """All settings of a space-group number."""
    return tuple(setting for setting in SETTINGS if setting.number == number)


def settings_with_symbol(setting: Setting) -> tuple[Setting, ...]:
    """The settings that differ from one in their extension only: the other origin, the other axes."""
    symbol = setting.name.partition(":")[0]
    return tuple(other for other in settings_of_number(setting.number) if other.name.partition(":")[0] == symbol)


@lru_cache(1024)
def operations_of_hall(symbol: str) -> Operations | None:
    """The operations of a Hall symbol, with or without a change of basis; None if it is none."""
    try:
        operations = list(gemmi.symops_from_hall(symbol))
    except (RuntimeError, ValueError):
        return None
    denominator = gemmi.Op.DEN
    rotations = np.array([operation.rot for operation in operations], dtype=np.int64)
    translations = np.array([operation.tran for operation in operations]) / denominator
    if (rotations % denominator).any():
        return None
    return Operations(rotations // denominator, translations % 1.0)
