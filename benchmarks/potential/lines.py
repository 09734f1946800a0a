"""Files with one line (JSON) per crystal that a potential was asked about; a killed run goes on where it stopped."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from models.crystals.crystal import CrystalBatch
from models.potential.each_crystal import calculate_each
from models.potential.interface import Potential
from models.potential.steps import Steps
from models.symmetry.standard_cell import StandardCell

BATCH = 16
"""Crystals whose calculations ask the potential together."""

SYMPREC_ANGSTROM = 1e-2


@dataclass(frozen=True)
class Named:
    """A crystal with its id, a batch of one."""

    name: str
    crystal: CrystalBatch


Chosen = TypeVar("Chosen", bound=Named)
Result = TypeVar("Result")


def append_lines(
    potential: Potential,
    chosen: Sequence[Chosen],
    out: Path,
    part: str,
    start: Callable[[Chosen, StandardCell], Steps[Result]],
    facts: Callable[[Chosen, Result], dict[str, Any]],
) -> None:
    """Calculates what a file lacks and appends a line for each crystal, with its `id`, or why it `failed`.

    Args:
        potential: that is asked.
        chosen: all crystals of the file.
        out: the file.
        part: which part of how many is done here, as "0/2".
        start: makes the calculation of a crystal from its cell.
        facts: what the line of a crystal says.
    """
    this, n_parts = (int(number) for number in part.split("/"))
    # mixed, so that a run that is stopped early has some of each kind
    order = np.random.default_rng(0).permutation(len(chosen))[this::n_parts]
    done = _names_in(out)
    missing = [chosen[k] for k in order.tolist() if chosen[k].name not in done]
    sys.stdout.write(f"{len(order)} crystals, {len(missing)} to do\n")
    with out.open("a", encoding="utf-8") as file:
        for first in range(0, len(missing), BATCH):
            batch = missing[first : first + BATCH]

            def begin(row: int, cell: StandardCell, batch: list[Chosen] = batch) -> Steps[Result]:
                return start(batch[row], cell)

            crystals = CrystalBatch.join([one.crystal for one in batch])
            results, failures = calculate_each(potential, crystals, SYMPREC_ANGSTROM, begin)
            for k, one in enumerate(batch):
                said = facts(one, results[k][0]) if k in results else {"failed": failures[k]}
                file.write(json.dumps({"id": one.name} | said) + "\n")
            file.flush()


def _names_in(out: Path) -> set[str]:
    """Ids of the lines that are whole."""
    if not out.exists():
        return set()
    with out.open(encoding="utf-8") as lines:
        return {json.loads(line)["id"] for line in lines if line.endswith("\n")}
