"""Which stored crystals a refine run looks at: those that a filter chose, fixed when the run is opened."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from db.query.request import Request
from db.query.store import with_preset_order
from db.records import IngestedBlock, ModelVersion, RunSpec
from db.refinements.records import ChosenCrystals
from db.store import ResultStore
from gmt_tasks.refinement.defaults import DEFAULT_MAX_ATOMS, DEFAULT_REFERENCES, DEFAULT_TOP

CRYSTALS_PER_BLOCK = 1000


@dataclass(frozen=True)
class RefineRequest:
    """What `gmtscreen refine` is asked for.

    Attributes:
        filter: which crystals; of their current results, or of refined ones where it asks about second opinions.
        sort: a property, with "-" in front for descending; None takes the order of the filter's preset.
        top: the first so many of that order.
        references: competing crystals of each whose energies are computed, at most.
        max_atoms: of a primitive cell; larger crystals are refused.
    """

    filter: str
    sort: str | None = None
    top: int = DEFAULT_TOP
    references: int = DEFAULT_REFERENCES
    max_atoms: int = DEFAULT_MAX_ATOMS

    @property
    def source(self) -> str:
        """The name of the run's only source."""
        order = f" by {self.sort}" if self.sort else ""
        return f"refine: {self.filter or 'all'}{order}, top {self.top}"

    def settings(self, symprec: float) -> dict[str, Any]:
        """What else makes two refine runs the same."""
        facts = {"filter": self.filter, "sort": self.sort, "top": self.top, "references": self.references}
        return {"refine": facts, "symprec": symprec, "max_atoms": self.max_atoms}


def choose(store: ResultStore, request: RefineRequest, model: ModelVersion, symprec: float) -> list[str]:
    """Content ids of the crystals of a request, in order; those of its unfinished run where there is one.

    Raises:
        FilterError: filter or order are not valid.
    """
    page = store.page(with_preset_order(Request(request.filter, ("id",), request.sort, request.top)))
    # A filter by model may describe several results of a crystal.
    ids = list(dict.fromkeys(row["id"] for row in page.rows))
    return store.opinions.unfinished_choice(request.settings(symprec), model, ids) or ids


def run_spec(request: RefineRequest, ids: list[str], model: ModelVersion, symprec: float) -> RunSpec:
    """What makes two refine commands the same run: the request, both models, and the crystals that were chosen."""
    fingerprint = hashlib.sha256("\n".join(ids).encode()).hexdigest()
    return RunSpec((request.source,), (fingerprint,), model, request.settings(symprec))


def block_of(source: str, chosen: ChosenCrystals, start: int) -> IngestedBlock:
    """Chosen crystals as inputs of a run, from a position on; they are in the database and valid."""
    n = len(chosen.ids)
    return IngestedBlock(
        source=source,
        start=start,
        stop=start + n,
        positions=np.arange(start, start + n),
        source_ids=chosen.source_ids,
        crystal_ids=chosen.ids,
        crystals=chosen.crystals,
        metadata=[None] * n,
        rejected=[],
    )
