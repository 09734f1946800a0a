"""Point defects as a source: every vacancy and antisite of a crystal that symmetry tells apart, in a supercell.

Sites are those that no operation of the crystal's space group maps onto each other; each defect carries how many sites
of the supercell are like it. Neutral cells, one defect each, nothing relaxed.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np

from db.records import Lineage, LineageOperation
from gmt_tasks.sources.generated.from_parents import SourceFromParents, open_from_parents
from gmt_tasks.sources.generated.parameters import read_parameters, text_value, whole_number
from gmt_tasks.sources.generated.parents import Parent
from gmt_tasks.sources.parsed import ParsedCrystal
from models.crystals.crystal import SYMBOLS
from models.errors import SourceError
from models.symmetry.operations import cell_operations

NAME = "defects"
DATA_VERSION = 1
"""Raised whenever the rules change what a parent gives."""

MAX_REPEATS = 20

_SYMPREC_ANGSTROM = 0.01
_KINDS = (LineageOperation.VACANCY, LineageOperation.ANTISITE)

Repeats = tuple[int, int, int]


def read_kinds(value: str) -> tuple[LineageOperation, ...]:
    """Kinds of defects joined by "+".

    Raises:
        ValueError: one is neither vacancy nor antisite.
    """
    unknown = [kind for kind in value.split("+") if kind not in _KINDS]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(_KINDS)}; join several with +")
    return tuple(kind for kind in _KINDS if kind in value.split("+"))


def read_supercell(value: str) -> Repeats:
    """Repeats along a, b and c, "2x2x1".

    Raises:
        ValueError: no three whole numbers from 1 to 20.
    """
    parts = value.split("x")
    if len(parts) != 3 or not all(part in map(str, range(1, MAX_REPEATS + 1)) for part in parts):
        raise ValueError(f"three whole numbers from 1 to {MAX_REPEATS} are wanted, e.g. 2x2x2")
    a, b, c = map(int, parts)
    return a, b, c


_READERS = {"of": text_value, "kinds": read_kinds, "supercell": read_supercell, "max_atoms": whole_number(1)}


@dataclass(frozen=True)
class Defect:
    """A vacancy or an antisite.

    Attributes:
        host: index of the parent.
        site: of the parent, the first of its orbit.
        placed: symbol of the element that takes the place; "" for a vacancy.
        n_sites: sites of the parent's cell that are like it.
    """

    host: int
    site: int
    placed: str
    n_sites: int


class DefectsSource(SourceFromParents):
    """Point defects of parents as a source.

    Args:
        name: the source as the user wrote it.
        parents: in order; all defects of the first come first, its vacancies before its antisites.
        kinds: of defects.
        supercell: repeats along a, b, c; None takes the most compact cell of at most `max_atoms` atoms.
        max_atoms: see above; ignored where a supercell is given.
    """

    GATES = ("distances",)
    """The others say nothing here: a defect may be charged."""

    def __init__(
        self,
        name: str,
        parents: Sequence[Parent],
        *,
        kinds: tuple[LineageOperation, ...] = _KINDS,
        supercell: Repeats | None = None,
        max_atoms: int = 64,
    ) -> None:
        super().__init__(name, parents)
        self.kinds = kinds
        self.supercell = supercell
        self.max_atoms = max_atoms

    @classmethod
    def from_text(cls, text: str, database: str | Path | None = None) -> "DefectsSource":
        """Reads `defects:of=ID|FORMULA[,kinds=vacancy+antisite][,supercell=2x2x2 or max_atoms=64]`, in any order.

        Raises:
            SourceError: an unknown parameter, a value out of range, both sizes, or no such crystal.
        """
        parameters = read_parameters(text, _READERS)
        of = parameters.pop("of", None)
        if of is None:
            raise SourceError(f"{NAME} needs a crystal: {NAME}:of=ID or {NAME}:of=FORMULA, e.g. of=BaTiO3.")
        if {"supercell", "max_atoms"} <= set(parameters):
            raise SourceError(f"{NAME} takes supercell or max_atoms, not both. Omit one.")
        return open_from_parents(text, of, database, lambda parents: cls(text, parents, **parameters))

    def parameters(self) -> str:
        """See `SourceFromParents`."""
        size = self.max_atoms if self.supercell is None else self.supercell
        return f"{NAME} {DATA_VERSION} {'+'.join(self.kinds)} {size}"

    def n_inputs(self) -> int:
        """See `SourceFromParents`.

        Raises:
            SourceError: there is no such defect, e.g. no antisite in an element.
        """
        if not self._defects:
            asked = " or ".join(self.kinds)
            raise SourceError(f"{len(self.parents)} crystals have no {asked} in the asked cell. Ask for another kind.")
        return len(self._defects)

    def crystal(self, position: int) -> ParsedCrystal:
        """See `SourceFromParents`."""
        defect = self._defects[position]
        parent, repeats = self.parents[defect.host], self._repeats[defect.host]
        # cell after cell, the first one first: a site of the parent has the same number in the supercell
        corners = np.array(list(product(*map(range, repeats))), dtype=np.float64)
        frac_coords = (corners[:, None] + parent.frac_coords[None]).reshape(-1, 3) / np.array(repeats)
        n_cells = len(corners)
        numbers = np.tile(parent.numbers, n_cells)
        removed = SYMBOLS[int(parent.numbers[defect.site])]
        if defect.placed:
            numbers[defect.site] = SYMBOLS.index(defect.placed)
        else:
            frac_coords, numbers = np.delete(frac_coords, defect.site, axis=0), np.delete(numbers, defect.site)
        detail = {
            "site": defect.site,
            "removed": removed,
            "placed": defect.placed or None,
            "supercell": list(repeats),
            "multiplicity": defect.n_sites * n_cells,
        }
        size = "x".join(map(str, repeats))
        operation = LineageOperation.ANTISITE if defect.placed else LineageOperation.VACANCY
        return ParsedCrystal(
            parent.lattice * np.array(repeats)[:, None],
            frac_coords,
            numbers,
            ("defect: nothing is relaxed, the cell is neutral",),
            source_id=f"{NAME}:{parent.id}:{size}:{defect.placed or 'V'}_{removed}@{defect.site}",
            extra={"parent": parent.id, **detail},
            lineage=Lineage(parent.id, operation, json.dumps(detail)),
        )

    @cached_property
    def _repeats(self) -> list[Repeats]:
        return [self.supercell or compact_supercell(parent, self.max_atoms) for parent in self.parents]

    @cached_property
    def _defects(self) -> list[Defect]:
        defects: list[Defect] = []
        for host, parent in enumerate(self.parents):
            for kind in self.kinds:
                defects += self._of_kind(host, parent, kind)
        return defects

    def _of_kind(self, host: int, parent: Parent, kind: LineageOperation) -> Iterator[Defect]:
        operations = cell_operations(parent.as_batch(), 0, _SYMPREC_ANGSTROM)
        # a crystal in which no symmetry is found has no equivalent sites
        orbits = np.arange(len(parent.numbers)) if operations is None else operations.orbits
        symbols = sorted({SYMBOLS[number] for number in parent.numbers})
        for site, n_sites in zip(*np.unique(orbits, return_counts=True), strict=True):
            own = SYMBOLS[int(parent.numbers[site])]
            placed = [""] if kind is LineageOperation.VACANCY else [symbol for symbol in symbols if symbol != own]
            # the only atom of a cell cannot be missing
            if kind is LineageOperation.VACANCY and len(parent.numbers) * np.prod(self._repeats[host]) == 1:
                continue
            for symbol in placed:
                yield Defect(host, int(site), symbol, int(n_sites))


def compact_supercell(parent: Parent, max_atoms: int) -> Repeats:
    """The repeats whose periodic images are farthest apart, the fewest atoms first; 1x1x1 where none fits.

    Args:
        parent: the crystal.
        max_atoms: most atoms of the supercell.
    """
    most = min(max_atoms // len(parent.numbers), MAX_REPEATS)
    steps = np.array(list(product((-1, 0, 1), repeat=3)))
    steps = steps[np.any(steps != 0, axis=1)]
    best: tuple[float, int, Repeats] | None = None
    for a, b, c in product(range(1, most + 1), repeat=3):
        if a * b * c * len(parent.numbers) > max_atoms:
            continue
        rows = parent.lattice * np.array([a, b, c])[:, None]
        nearest = float(np.linalg.norm(steps @ rows, axis=1).min())
        rank = (-round(nearest, 6), a * b * c, (a, b, c))
        best = rank if best is None or rank < best else best
    return (1, 1, 1) if best is None else best[2]
