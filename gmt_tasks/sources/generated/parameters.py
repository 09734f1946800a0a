"""Parameters of made sources as the user writes them: `name:key=value,key=value`."""

from collections.abc import Callable, Mapping
from typing import Any

from models.crystals.crystal import SYMBOLS
from models.errors import SourceError

LARGEST = 10**9
"""Of a whole number; more is a slip."""

Read = Callable[[str], Any]
"""What makes a value of its text; raises ValueError, whose text says what is allowed."""


def read_parameters(text: str, readers: Mapping[str, Read]) -> dict[str, Any]:
    """The parameters behind the colon of a source's text, in any order.

    Args:
        text: of the source, e.g. "strained:of=BaTiO3,n=20".
        readers: what reads the value of each key.

    Raises:
        SourceError: an unknown key, one that comes twice, or a value that its reader refuses; names what is allowed.
    """
    name, _, listed = text.partition(":")
    parameters: dict[str, Any] = {}
    for part in filter(None, listed.split(",")):
        key, equals, value = part.partition("=")
        if key not in readers or not equals:
            allowed = ", ".join(f"{key}=..." for key in readers)
            raise SourceError(f"{part!r} is no parameter of {name}. Allowed are {allowed}.")
        if key in parameters:
            raise SourceError(f"{name} has the parameter {key} twice. Give it once.")
        try:
            parameters[key] = readers[key](value)
        except ValueError as error:
            raise SourceError(f"{part!r} of {name} cannot be used: {error}.") from None
    return parameters


def whole_number(least: int = 0) -> Read:
    """A reader of whole numbers from `least` on."""

    def read(value: str) -> int:
        if not (value.isascii() and value.isdigit() and len(value) < 11 and least <= int(value) <= LARGEST):
            raise ValueError(f"a whole number of at least {least} is wanted")
        return int(value)

    return read


def fraction(least: float, most: float) -> Read:
    """A reader of numbers above `least` and up to `most`."""

    def read(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = least
        # NaN is in no range
        if not least < number <= most:
            raise ValueError(f"a number above {least:g}, at most {most:g} is wanted")
        return number

    return read


def text_value(value: str) -> str:
    """A reader of ids and formulas."""
    if not value.strip():
        raise ValueError("an id or a formula is wanted")
    return value.strip()


def symbols(value: str) -> tuple[str, ...]:
    """A reader of element symbols joined by "+"; sorted, each once."""
    listed = value.split("+")
    unknown = [symbol for symbol in listed if symbol not in SYMBOLS[1:]]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no element symbol; write e.g. Ba+Sr+Ti+O")
    return tuple(sorted(set(listed)))
