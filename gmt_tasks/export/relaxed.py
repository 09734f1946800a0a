"""Hits as their second opinions relaxed them: the relaxed primitive cell, with the tensors that belong to it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from db.query.hits import KEY_FIELDS, Hits
from db.query.request import Request
from models.crystals.crystal import CrystalBatch

if TYPE_CHECKING:
    from db.records import Refinement
    from db.store import ResultStore

IDS_PER_REQUEST = 50
"""Crystals that one filter names; a longer one costs more than several."""


@dataclass
class RelaxedHits:
    """Hits in their relaxed cells, in the order of the hits.

    The tensors are those of the combined result: the network's for the relaxed cell, blended with the potential's. They
    are in the frame of the crystal as given, which is that of the relaxed cell: no rotation lies between them.

    Attributes:
        store: the database.
        blocks: the hits.
        fields: properties of the rows.
        without: formula and id of the hits that have no second opinion, filled while the blocks are read.
    """

    store: "ResultStore"
    blocks: Iterable[Hits]
    fields: tuple[str, ...]
    without: list[tuple[str, str]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Hits]:
        """Blocks of hits with relaxed cells."""
        for hits in self.blocks:
            formulas = hits.crystals.formulas()
            opinions: list[tuple[str, Refinement]] = []
            for row, formula in zip(hits.rows, formulas, strict=True):
                of_crystal = self.store.opinions.of_crystal(row["id"])
                # the one whose combined result the row is, else the newest
                own = [one for one in of_crystal if one[0] == row["model"]]
                opinions += (own or of_crystal)[:1]
                if not of_crystal:
                    self.without.append((formula, row["id"]))
            if opinions:
                yield self._relaxed(opinions)

    def _relaxed(self, opinions: "list[tuple[str, Refinement]]") -> Hits:
        """The combined results of second opinions, beside their relaxed cells."""
        parts: dict[tuple[str, str], tuple[Hits, int]] = {}
        for model in dict.fromkeys(model for model, _ in opinions):
            ids = [one.crystal_id for name, one in opinions if name == model]
            for start in range(0, len(ids), IDS_PER_REQUEST):
                chosen = " OR ".join(f'id = "{crystal_id}"' for crystal_id in ids[start : start + IDS_PER_REQUEST])
                request = Request(chosen, tuple(dict.fromkeys((*KEY_FIELDS, *self.fields))), None, 0, model)
                for hits in self.store.hits(request):
                    parts |= {(model, row["id"]): (hits, place) for place, row in enumerate(hits.rows)}
        kept = [parts[model, one.crystal_id] for model, one in opinions]
        cells = CrystalBatch.join(one.relaxed for _, one in opinions)
        rows = [
            hits.rows[place] | {"relaxed_by": one.potential}
            for (hits, place), (_, one) in zip(kept, opinions, strict=True)
        ]
        tensors = {}
        for tensor in kept[0][0].tensors:
            tensors[tensor] = np.stack([hits.tensors[tensor][place] for hits, place in kept])
        return replace(kept[0][0], rows=rows, crystals=cells, tensors=tensors)
