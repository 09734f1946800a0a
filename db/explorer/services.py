"""What the web application needs and `db` must not import: symmetry, literature, file formats, words for people."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from db.query.hits import Hits
from db.records import Floats
from models.quantities import Tensor


class IeeeFrame(NamedTuple):
    """The axes in which handbooks print the tensors of a crystal.

    Attributes:
        rotation: from the input frame to the IEEE frame, shape [3, 3].
        axes: how the frame lies, in words.
        tensors: in that frame, each in its quantity's stored shape and unit.
    """

    rotation: Floats
    axes: str
    tensors: dict[Tensor, Floats]


class LiteratureValue(NamedTuple):
    """A published value beside the predicted one, both in the unit of the property's name."""

    property: str
    literature: float
    predicted: float
    source: str


class Services(Protocol):
    """Implemented beside the commands (flows/explorer_services.py); `facts` are those of `ResultStore.show`."""

    def ieee_frame(self, facts: dict[str, Any], result: dict[str, Any]) -> IeeeFrame:
        """The IEEE frame of a crystal and the tensors of one of its results in it.

        Raises:
            GmtError: the crystal has no IEEE frame that its symmetry fixes; the text says why.
        """
        ...

    def structure_text(self, facts: dict[str, Any], format: str) -> str:
        """A crystal as a file: `cif`, `poscar` or `extxyz`.

        Raises:
            GmtError: there is no such format.
        """
        ...

    def literature(self, source_ids: Sequence[str], result: dict[str, Any]) -> list[LiteratureValue]:
        """Published values of a crystal that has some, beside those of a result."""
        ...

    def write_parquet(self, blocks: Iterable[Hits], fields: Sequence[str], file: Path) -> None:
        """Writes hits with the given fields, structures and tensors as one Parquet file, block by block."""
        ...

    def csv(self, blocks: Iterable[Hits], fields: Sequence[str]) -> Iterator[str]:
        """Hits with the given fields and every tensor component as CSV, some at a time; the head comes in any case."""
        ...

    def extxyz(self, hits: Hits) -> str:
        """Hits as frames of extended XYZ, with tensors and intervals."""
        ...

    def reliability(self, result: dict[str, Any]) -> list[str]:
        """How reliable a result is, in sentences."""
        ...

    def scoreboard(self) -> dict[str, Any]:
        """The scoreboard that came with the program: `tables` of figures, as gmt_tasks/evaluation/scoreboard makes it.

        Raises:
            GmtError: there is one that cannot be read.
        """
        ...

    def second_opinions(self, facts: dict[str, Any]) -> list[dict[str, Any]]:
        """The second opinions about a crystal for reading, the newest first.

        Each has `model`, `potential`, `facts` (pairs of a name and a text), `moduli` with `moduli_note`, `modes`,
        `notes`.
        """
        ...
