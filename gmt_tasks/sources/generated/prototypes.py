"""Hypothetical crystals: known structure types decorated with ions that balance and fit.

Every charge-balanced decoration of the types in `prototype_table` whose ions fit its sites is enumerated once; a seed
shuffles them so that any first n are a broad sample: three of five have a piezoelectric point group, and consecutive
crystals are of different structure types. Cells are scaled so that cation-anion distances equal the sums of Shannon's
radii; nothing is relaxed, so expect volumes within some 15 % of relaxed ones and free positions of the example.
"""

import gzip
import importlib.resources
import json
import random
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from hashlib import sha256
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from db.records import Lineage, LineageOperation
from gmt_tasks.sources.generated.decoration import Decoration, Geometry, analyse, decorations
from gmt_tasks.sources.generated.parameters import read_parameters, symbols, whole_number
from gmt_tasks.sources.generated.prototype_table import DEFAULT_ELEMENTS, PROTOTYPES
from gmt_tasks.sources.json_records import parse_record
from gmt_tasks.sources.parsed import ParsedCrystal, block_of_readings, reading_or_refusal
from gmt_tasks.sources.source import SourceBlock
from models.crystals.crystal import SYMBOLS
from models.errors import SourceError

NAME = "prototypes"
DATA_VERSION = 1
"""Raised whenever the table, the radii or the selection change what a seed gives."""

BLOCK = 1000

_LIBRARY = "analysis/prototypes/aflow_prototypes.json.gz"
_PATTERN = (True, False, True, False, True)  # piezoelectric or not: three of five
_NUMBER = {symbol: number for number, symbol in enumerate(SYMBOLS)}


def _used_elements(value: str) -> tuple[str, ...]:
    """A reader of elements that prototypes are decorated with."""
    listed = symbols(value)
    unused = [symbol for symbol in listed if symbol not in DEFAULT_ELEMENTS]
    if unused:
        raise ValueError(f"{unused[0]} is not among the elements of prototypes: {' '.join(DEFAULT_ELEMENTS)}")
    return listed


_READERS = {"n": whole_number(), "seed": whole_number(), "elements": _used_elements}


class PrototypesSource:
    """Decorated structure types as a source.

    Args:
        n: number of crystals.
        seed: chooses and orders them; the same seed gives the same crystals on every machine.
        elements: elements that may occur.
        name: the source as the user wrote it.
    """

    def __init__(
        self, n: int = 1000, seed: int = 0, elements: Sequence[str] = DEFAULT_ELEMENTS, name: str = NAME
    ) -> None:
        self.name = name
        self.n = n
        self.seed = seed
        self.elements = tuple(sorted(set(elements)))

    @classmethod
    def from_text(cls, text: str) -> "PrototypesSource":
        """Reads `prototypes` or `prototypes:n=5000,seed=1,elements=Ba+Sr+Ti+O`, in any order.

        Raises:
            SourceError: an unknown parameter, a value that is no whole number, or an element that is never used.
        """
        return cls(**read_parameters(text, _READERS), name=text)

    def fingerprint(self) -> str:
        """sha256 of the parameters, the data version and the library of structure types."""
        parameters = f"{DATA_VERSION} {self.n} {self.seed} {'+'.join(self.elements)}"
        return sha256(parameters.encode() + _library_bytes()).hexdigest()

    def blocks(self, start: int = 0) -> Iterator[SourceBlock]:
        """The crystals from position `start` on, 1,000 to a block.

        Raises:
            SourceError: there are fewer than `n` decorations of these elements.
        """
        chosen = self._chosen
        for first in range(start, len(chosen), BLOCK):
            part = chosen[first : first + BLOCK]
            readings = [reading_or_refusal(decorated_crystal, decoration, self.seed) for decoration in part]
            yield block_of_readings(first, readings, [decoration_id(decoration) for decoration in part])

    @cached_property
    def _chosen(self) -> list[Decoration]:
        """The n decorations in their order."""
        shuffled = random.Random(self.seed)
        by_type = [list(decorations(geometry, self.elements)) for geometry in geometries()]
        for of_type in by_type:
            shuffled.shuffle(of_type)
        shuffled.shuffle(by_type)
        available = sum(map(len, by_type))
        if available < self.n:
            raise SourceError(f"{available} decorations fit, {self.n} were asked for. Lower n or allow more elements.")
        pools = {}
        for is_piezo in (True, False):
            of_kind = [d for d in by_type if d and d[0].geometry.prototype.piezo_allowed is is_piezo]
            # The first of each type, then the second of each, and so on: neighbours are of different types.
            rounds = chain.from_iterable(zip_longest(*of_kind))
            pools[is_piezo] = (decoration for decoration in rounds if decoration is not None)
        chosen: list[Decoration] = []
        while len(chosen) < self.n:
            is_piezo = _PATTERN[len(chosen) % len(_PATTERN)]
            following = next(pools[is_piezo], None) or next(pools[not is_piezo])
            chosen.append(following)
        return chosen


def decorated_crystal(decoration: Decoration, seed: int | None = None) -> ParsedCrystal:
    """A decoration with its type, oxidation states, fit and lineage.

    Args:
        decoration: of one of the structure types.
        seed: by which it was chosen; None where it was asked for.
    """
    geometry, prototype = decoration.geometry, decoration.geometry.prototype
    of_class = np.array([_NUMBER[element] for element in decoration.elements], dtype=np.int64)
    extra = {
        "prototype": prototype.name,
        "aflow": prototype.aflow,
        "prototype_spacegroup": prototype.spacegroup,
        "oxidation_states": dict(zip(decoration.elements, decoration.charges, strict=True)),
        "misfit": round(decoration.misfit, 4),
    }
    examples = [site.element for site in geometry.cations + geometry.anions]
    replaced = dict(zip(examples, decoration.elements, strict=True))
    return ParsedCrystal(
        geometry.structure.lattice * decoration.scale,
        geometry.structure.frac_coords,
        of_class[geometry.class_of_site],
        ("unrelaxed: cell scaled to ionic radii",),
        extra=extra,
        lineage=Lineage(prototype.aflow, LineageOperation.DECORATION, json.dumps(replaced), seed),
    )


def decoration_id(decoration: Decoration) -> str:
    """E.g. "prototypes:ABX3-perovskite:BaTiO3"; unique, because a formula occurs once per structure type."""
    multiplicities = decoration.geometry.multiplicities
    divisor = int(np.gcd.reduce(multiplicities))
    # Cations by rising charge, then anions by rising charge: BaTiO3, LiGaO2, LaCuOSe.
    ions = zip(decoration.charges, decoration.elements, strict=True)
    keys = [(charge < 0, charge, element) for charge, element in ions]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    parts = ((decoration.elements[k], multiplicities[k] // divisor) for k in order)
    formula = "".join(f"{element}{count if count > 1 else ''}" for element, count in parts)
    return f"{NAME}:{decoration.geometry.prototype.name}:{formula}"


@cache
def _library_bytes() -> bytes:
    """The AFLOW prototypes that pymatgen ships, packed."""
    library = importlib.resources.files("pymatgen").joinpath(_LIBRARY)
    if not library.is_file():
        raise SourceError(f"The installed pymatgen ships no {_LIBRARY}. Install the version that pyproject.toml names.")
    return library.read_bytes()


@cache
def geometries() -> tuple[Geometry, ...]:
    """The structure types of the table, analysed."""
    library: dict[str, list[dict[str, Any]]] = {}
    for entry in json.loads(gzip.decompress(_library_bytes())):
        library.setdefault(entry["tags"]["aflow"], []).append(entry)
    geometries = []
    for prototype in PROTOTYPES:
        entries = library.get(prototype.aflow, [])
        if prototype.mineral is not None:  # some types are in the library several times, with other parameters
            entries = [entry for entry in entries if entry["tags"]["mineral"] == prototype.mineral]
        if len(entries) != 1:
            raise SourceError(f"The installed pymatgen has {len(entries)} prototypes {prototype.aflow}, expected 1.")
        structure = parse_record(entries[0]["snl"])
        symbols = [SYMBOLS[number] for number in structure.numbers]
        geometries.append(analyse(prototype, structure, symbols))
    return tuple(geometries)
