"""Crystals that a network writes as a source: `generated:space_group=..,elements=..,n=..`.

Each crystal that is begun is an input. One that finds no place for its atoms is refused with its reason, so that what a
generator costs is counted like everything else. Crystals come in batches with random numbers of their own: a run that
was stopped goes on with the very next one.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from db.records import Lineage, LineageOperation
from gmt_tasks.sources.generated.parameters import fraction, read_parameters, symbols, text_value, whole_number
from gmt_tasks.sources.parsed import ParsedCrystal, Reading, Refusal, block_of_readings
from gmt_tasks.sources.source import SourceBlock
from models.crystals.crystal import SYMBOLS
from models.errors import Reason, SourceError

if TYPE_CHECKING:
    from models.wyckoff.draft import Draft
    from models.wyckoff.generator import Generator
    from models.wyckoff.sampler import Wanted, Written

NAME = "generated"
_ELEMENTS_END = 101  # the generator's network knows elements up to 100

DATA_VERSION = 1
"""Raised whenever the rules change what a seed gives."""


def _space_groups(value: str) -> tuple[int, ...]:
    """A reader of space-group numbers joined by "+"."""
    numbers = [int(part) if part.isascii() and part.isdigit() and len(part) < 4 else 0 for part in value.split("+")]
    if not all(1 <= number <= 230 for number in numbers):
        raise ValueError("numbers of space groups from 1 to 230 are wanted, e.g. 99 or 99+160")
    return tuple(sorted(set(numbers)))


def _known(value: str) -> "Known":
    """A reader of what becomes of known crystals."""
    if value not in tuple(Known):
        raise ValueError("refuse or keep is wanted")
    return Known(value)


_READERS = {
    "space_group": _space_groups,
    "elements": symbols,
    "required": symbols,
    "without": symbols,
    "n": whole_number(1),
    "seed": whole_number(),
    "max_atoms": whole_number(1),
    "temperature": fraction(0, 5),
    "known": _known,
    "model": text_value,
}


class Known(StrEnum):
    """What becomes of crystals like those that the generator was trained on."""

    REFUSE = "refuse"
    KEEP = "keep"


@dataclass(frozen=True)
class Choices:
    """What crystals are to be written.

    Attributes:
        space_group: numbers to choose from; empty for all.
        elements: symbols that may be used; empty for all that the generator knows.
        required: symbols that must be used.
        without: symbols that must not be used.
        max_atoms: of a primitive cell.
        temperature: 1 draws as the network learned, less draws likelier crystals.
        known: what becomes of crystals like those that the generator was trained on.
    """

    space_group: tuple[int, ...] = ()
    elements: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    max_atoms: int = 40
    temperature: float = 1.0
    known: Known = Known.REFUSE

    @property
    def usable(self) -> tuple[str, ...]:
        """Symbols that may be used; empty for all that the generator knows."""
        if not self.elements and not self.without:
            return ()
        return tuple(symbol for symbol in self.elements or SYMBOLS[1:_ELEMENTS_END] if symbol not in self.without)

    def wanted(self) -> "Wanted":
        """The same for the network."""
        from models.wyckoff.sampler import Wanted

        elements, required = (tuple(map(SYMBOLS.index, listed)) for listed in (self.usable, self.required))
        return Wanted(self.space_group, elements, required, self.max_atoms, self.temperature)


_KNOWN = Refusal(
    Reason.IN_TRAINING_DATA, "formula, space group and kinds of occupied positions are those of a training crystal"
)
_GIVEN_UP = Refusal(
    Reason.GENERATION_FAILED, "no place was found that keeps the atoms apart, or the cell has no room for all elements"
)


class GeneratedSource:
    """Crystals written by a network as a source.

    Args:
        name: the source as the user wrote it.
        choices: what they are to be.
        n: crystals that are begun.
        seed: of all draws.
        model: path of a generator's card; empty for the one that comes with the program.

    Raises:
        SourceError: an element is required that may not be used.
    """

    def __init__(
        self, name: str = NAME, choices: Choices | None = None, *, n: int = 1000, seed: int = 0, model: str = ""
    ) -> None:
        self.name, self.choices, self.n, self.seed, self.model = name, choices or Choices(), n, seed, model
        if (self.choices.elements or self.choices.without) and not self.choices.usable:
            raise SourceError("No element may be used. Name one in elements that is not in without.")
        missing = set(self.choices.required) - set(self.choices.usable or self.choices.required)
        if missing:
            raise SourceError(
                f"{min(missing)} is required and may not be used. Add it to elements, or do not require it."
            )

    @classmethod
    def from_text(cls, text: str) -> "GeneratedSource":
        """Reads `generated[:space_group=99+160,elements=Ba+Ti+O,required=Ba,n=1000,seed=0,...]`, in any order.

        Raises:
            SourceError: an unknown parameter, or a value out of range.
        """
        parameters = read_parameters(text, _READERS)
        names = [field.name for field in fields(Choices) if field.name in parameters]
        return cls(text, Choices(**{name: parameters.pop(name) for name in names}), **parameters)

    def fingerprint(self) -> str:
        """sha256 of the parameters and of the generator's weights."""
        parameters = f"{NAME} {DATA_VERSION} {self.choices} {self.n} {self.seed} {self._generator().card.sha256}"
        return sha256(parameters.encode()).hexdigest()

    def blocks(self, start: int = 0) -> Iterator[SourceBlock]:
        """The crystals from position `start` on, a batch of the generator to a block."""
        from gmt_tasks.gates.gates import Gates  # with what searches for space groups
        from models.wyckoff.generator import BATCH  # torch takes a second

        generator, wanted = self._generator(), self.choices.wanted()
        first_batch = start - start % BATCH if start < self.n else self.n
        for first in range(first_batch, self.n, BATCH):
            count = min(BATCH, self.n - first)
            # a batch is always begun as a whole: its crystals share their random numbers
            written = generator.write_batch(wanted, self.seed, first // BATCH)
            readings = self._readings(generator, written)[max(start - first, 0) : count]
            skipped = max(start - first, 0)
            ids = [f"{NAME}:{generator.identity}:{self.seed}:{first + row}" for row in range(skipped, count)]
            crystals = (reading for reading in readings if isinstance(reading, ParsedCrystal))
            groups = [reading.extra["generated"]["space_group"] for reading in crystals]
            block = block_of_readings(first + skipped, readings, ids)
            yield replace(block, gates=Gates(), spacegroups=np.array(groups, dtype=np.int64))

    def _readings(self, generator: "Generator", written: "Written") -> list[Reading]:
        """What became of the crystals of a batch."""
        from models.wyckoff.draft import crystals_of
        from models.wyckoff.generator import BATCH

        readings: list[Reading] = [_GIVEN_UP] * BATCH
        is_known = generator.is_known(crystals_of(written.drafts)).tolist()
        found = zip(written.rows.tolist(), written.drafts, written.log_probability.tolist(), is_known, strict=True)
        for row, draft, log_probability, known in found:
            if known and self.choices.known is Known.REFUSE:
                readings[row] = _KNOWN
            else:
                readings[row] = self._crystal(draft, generator.identity, log_probability)
        return readings

    def _crystal(self, draft: "Draft", identity: str, log_probability: float) -> ParsedCrystal:
        """A written crystal in its primitive cell, with its lineage."""
        from models.wyckoff.draft import crystals_of
        from models.wyckoff.positions import space_group

        crystal = crystals_of([draft]).to_crystals()
        positions = space_group(draft.number).positions
        orbits = zip(draft.species, draft.positions, strict=True)
        occupied = " ".join(
            f"{SYMBOLS[z]}:{positions[place].multiplicity}{positions[place].letter}" for z, place in orbits
        )
        detail = {"space_group": draft.number, "wyckoff": occupied}
        return ParsedCrystal(
            crystal.lattice[0],
            crystal.frac_coords,
            crystal.numbers,
            ("unrelaxed: cell and positions as a generator wrote them",),
            extra={"generated": detail},
            lineage=Lineage(
                None, LineageOperation.GENERATION, json.dumps(detail), self.seed, identity, round(log_probability, 4)
            ),
        )

    def _generator(self) -> "Generator":
        from models.wyckoff.generator import SHIPPED, load_generator

        return load_generator(Path(self.model) if self.model else SHIPPED)
