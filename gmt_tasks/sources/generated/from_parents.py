"""What sources share that make crystals from others: parents that stay the same in a run, and blocks of a fixed order.

The fingerprint of such a source is a sha256 of its parameters and of its parents' structures, and behind it the content
ids of the stored ones among them. An unfinished run therefore says which parents it began with, and a source of the
same text takes these; only when no run is unfinished are the parents looked up anew.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from gmt_tasks.sources.generated.parents import Parent, StoredCrystals, digest_of, find_parents
from gmt_tasks.sources.parsed import ParsedCrystal, block_of_readings, reading_or_refusal
from gmt_tasks.sources.source import SourceBlock

if TYPE_CHECKING:
    from gmt_tasks.gates.gates import Gates

BLOCK = 1000

S = TypeVar("S", bound="SourceFromParents")


class SourceFromParents(ABC):
    """A source that makes crystals from parents.

    Args:
        name: the source as the user wrote it.
        parents: in order.
    """

    GATES: ClassVar[tuple[str, ...]] = ()
    """Names of the gates that its crystals have to pass; all of them if there are none."""

    def __init__(self, name: str, parents: Sequence[Parent]) -> None:
        self.name = name
        self.parents = tuple(parents)

    @abstractmethod
    def parameters(self) -> str:
        """Everything but the parents that decides about the crystals, with the version of the rules that make them."""

    @abstractmethod
    def n_inputs(self) -> int:
        """How many crystals the source has."""

    @abstractmethod
    def crystal(self, position: int) -> ParsedCrystal:
        """The crystal at a position, with its id and its lineage; the same on every machine."""

    def gates(self) -> "Gates":
        """What the crystals have to pass, see docs/gates.md."""
        from gmt_tasks.gates.gates import Gates  # with what searches for space groups
        from gmt_tasks.gates.report import Gate

        return Gates(order=tuple(gate for gate in Gate if gate in self.GATES)) if self.GATES else Gates()

    def fingerprint(self) -> str:
        """sha256 of parameters and parents, then the content ids of stored parents."""
        digest = sha256(f"{self.parameters()}\n{digest_of(self.parents)}".encode()).hexdigest()
        return " ".join([digest, *(parent.id for parent in self.parents if parent.is_stored)])

    def blocks(self, start: int = 0) -> Iterator[SourceBlock]:
        """The crystals from position `start` on, 1,000 to a block."""
        n_inputs = self.n_inputs()
        for first in range(start, n_inputs, BLOCK):
            rows = range(first, min(first + BLOCK, n_inputs))
            readings = [reading_or_refusal(self.crystal, row) for row in rows]
            ids = [each.source_id or f"{self.name}#{row}" for row, each in zip(rows, readings, strict=True)]
            yield replace(block_of_readings(first, readings, ids), gates=self.gates())


def open_from_parents(
    text: str,
    of: str,
    database: str | Path | None,
    make: Callable[[list[Parent]], S],
    *,
    with_prototypes: bool = False,
) -> S:
    """The source with the parents of the run that it goes on in, else with those that its text means now.

    Args:
        text: the source as the user wrote it.
        of: the id or formula of its parents.
        database: of the command.
        make: the source of parents.
        with_prototypes: see `find_parents`.

    Raises:
        SourceError: no crystal is meant, or an id means several.
    """
    crystals = StoredCrystals(database)

    def source_of(ids: list[str]) -> S:
        return make(find_parents(of, crystals.load(ids), with_prototypes=with_prototypes))

    for fingerprint in crystals.fingerprints_of_unfinished(text):
        began_with = fingerprint.split()[1:]
        # of another version of these rules the fingerprint differs: that run cannot be gone on with
        if len(crystals.load(began_with)) == len(began_with):
            source = source_of(began_with)
            if source.fingerprint() == fingerprint:
                return source
    return source_of(crystals.ids_of(of))
