"""Recognises crystals: each one of a block gets the id of the crystal it is, however it was listed.

The science is in `models/identity/`. A content id is a hash: the same crystal in another cell, origin, order or
orientation has the same one. Noise can carry a listing over an edge of the hash, so before a block is stored its
crystals are compared with the few of their family, in the database and in the block, and take over the id of the first
one that equals them within 0.01 angstrom; the mirror image of a known crystal takes over the id that was reserved for
it. Of a large family, one pass over an array of sketches leaves those that are worth comparing atom by atom. What ids
cannot tell apart is in docs/identity.md.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from db.records import IngestedBlock, KnownCrystals
from db.store import ResultStore
from gmt_tasks.ingest.content_id_pool import ContentIdPool
from gmt_tasks.telemetry import event
from models.crystals.crystal import CrystalBatch, Floats
from models.fingerprint.content_id import identify
from models.fingerprint.orientation import find_rotation
from models.fingerprint.prefilter import WIDTH, Prefilter, alike, sketches
from models.fingerprint.structure_match import (
    EnvironmentFingerprint,
    StructureMatch,
    environment_fingerprints,
    match_structures,
)

Lookup = Callable[[Iterable[str]], KnownCrystals]
"""Gives the known crystals of families; `ResultStore.relatives`."""

_REMEMBERED = 200_000  # sketches of stored crystals: 80 MB
_FINGERPRINTS_AT_A_TIME = 64
_BACKFILLED_AT_A_TIME = 4096


def content_ids(batch: CrystalBatch) -> list[str]:
    """Content ids of crystals, `gx-` and 20 hexadecimal digits each.

    Args:
        batch: crystals that `find_invalid` lets pass.
    """
    return identify(batch).ids


def nothing_known(_: Iterable[str]) -> KnownCrystals:
    """The `Recall` of an empty memory."""
    return KnownCrystals([], [], [], CrystalBatch.from_arrays([], [], []))


def backfill(store: ResultStore, n_processes: int = 1) -> int:
    """Makes crystals known to look-ups that were stored before there were families; gives their number.

    They keep their ids, under which results and inputs refer to them: a listing that equals one of them takes its id.
    May be stopped and repeated; where all crystals have families it costs one indexed look-up.

    Args:
        store: the database.
        n_processes: see `IdentityPool`.
    """
    n_backfilled = 0
    with ContentIdPool(n_processes) as pool:
        while (found := store.crystals_without_family(_BACKFILLED_AT_A_TIME)).ids:
            names = pool.identify(found.crystals)
            store.set_families(found.ids, [families[0] for families in names.families], names.twins)
            n_backfilled += len(found.ids)
    if n_backfilled:
        event("ingest.adopted", crystals=n_backfilled)
    return n_backfilled


class Deduplicator:
    """Gives crystals the ids under which they are known, block after block.

    Args:
        recall: the known crystals of families; asked once per block.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._sketches: dict[str, Prefilter] = {}

    def deduplicated(self, block: IngestedBlock) -> IngestedBlock:
        """The block with the ids under which its crystals are known.

        Args:
            block: accepted crystals with their own content ids, twins, families and sketches.

        Returns:
            The same block; crystals that equal a known or an earlier one have its id, and listings that are turned
            against it their `turns`.
        """
        if not block.families:
            return block
        known = self._lookup(dict.fromkeys(key for keys in block.families for key in keys))
        seen = _Seen(known, self._sketches_of(known, _contested(known, block)), block)
        ids, twins = list(block.crystal_ids), list(block.enantiomorph_ids)
        turns: dict[int, Floats] = {}
        for row in range(len(ids)):
            place = len(known.ids) + row
            member = seen.find(place, ids[row], twins[row], block.families[row])
            ids[row], twins[row] = member.crystal_id, member.twin_id
            if member.place != place:
                turn = _turn(seen.together, member.place, place)
                if turn is not None:
                    turns[row] = turn
        return replace(block, crystal_ids=ids, enantiomorph_ids=twins, turns=turns)

    def _sketches_of(self, known: KnownCrystals, wanted: list[int]) -> dict[int, Prefilter]:
        """Sketches of the stored crystals in the wanted places; computed once as long as they are remembered."""
        missing = [place for place in wanted if known.ids[place] not in self._sketches]
        if len(self._sketches) + len(missing) > _REMEMBERED:
            self._sketches.clear()
            missing = wanted
        fresh = sketches(known.crystals.select(missing))
        self._sketches |= {known.ids[place]: one for place, one in zip(missing, fresh, strict=True)}
        return {place: self._sketches[known.ids[place]] for place in wanted}


def _contested(known: KnownCrystals, block: IngestedBlock) -> list[int]:
    """Places of the stored crystals among which a crystal of another id looks for relatives."""
    lookers: defaultdict[str, set[str]] = defaultdict(set)
    for crystal_id, families in zip(block.crystal_ids, block.families, strict=True):
        for family in families:
            lookers[family].add(crystal_id)
    places = enumerate(zip(known.ids, known.families, strict=True))
    return [place for place, (crystal_id, family) in places if lookers.get(family, {crystal_id}) != {crystal_id}]


@dataclass(frozen=True)
class _Member:
    """A crystal that stands for its id: `place` is its row in the joined batch of known and new crystals."""

    place: int
    crystal_id: str
    twin_id: str | None


class _Home:
    """The members of one family with their sketches, in an array that doubles when it is full."""

    def __init__(self) -> None:
        self._members: list[_Member] = []
        self._sketches = np.zeros((1, WIDTH), np.float32)

    def add(self, member: _Member, sketch: Prefilter) -> None:
        if len(self._members) == len(self._sketches):
            self._sketches = np.concatenate([self._sketches, np.zeros_like(self._sketches)])
        self._sketches[len(self._members)] = sketch
        self._members.append(member)

    def alike(self, sketch: Prefilter) -> list[_Member]:
        return [self._members[row] for row in alike(sketch, self._sketches[: len(self._members)])]


class _Seen:
    """The crystals met so far, by id and by family."""

    def __init__(self, known: KnownCrystals, known_sketches: dict[int, Prefilter], block: IngestedBlock) -> None:
        self.together = CrystalBatch.join([known.crystals, block.crystals])
        self._n_known, self._sketches = len(known.ids), block.sketches
        self._environment_fingerprints: dict[int, EnvironmentFingerprint] = {}
        self._by_id: dict[str, _Member] = {}
        self._homes: defaultdict[str, _Home] = defaultdict(_Home)
        for place, (crystal_id, twin_id) in enumerate(zip(known.ids, known.enantiomorph_ids, strict=True)):
            self._by_id[crystal_id] = _Member(place, crystal_id, twin_id)
        for place, sketch in known_sketches.items():
            self._homes[known.families[place]].add(self._by_id[known.ids[place]], sketch)
        self._company: defaultdict[str, list[int]] = defaultdict(list)
        for row, families in enumerate(block.families):
            self._company[families[0]].append(self._n_known + row)

    def find(self, place: int, crystal_id: str, twin_id: str | None, families: tuple[str, ...]) -> _Member:
        """The member that a new crystal equals; itself, from now on a member, where it is new."""
        if crystal_id in self._by_id:
            return self._by_id[crystal_id]
        sketch = self._sketches[place - self._n_known]
        mirrored: _Member | None = None
        homes = (self._homes[family] for family in families if family in self._homes)
        for member in (member for home in homes for member in home.alike(sketch)):
            relation = match_structures(
                self._environment_fingerprint(member.place), self._environment_fingerprint(place, families[0])
            )
            if relation is StructureMatch.SAME or (relation is StructureMatch.ENANTIOMORPH and member.twin_id is None):
                del self._environment_fingerprints[place]
                return member
            if relation is StructureMatch.ENANTIOMORPH and mirrored is None:
                mirrored = member
        if mirrored is not None and mirrored.twin_id is not None:
            crystal_id, twin_id = mirrored.twin_id, mirrored.crystal_id
        member = self._by_id[crystal_id] = _Member(place, crystal_id, twin_id)
        self._homes[families[0]].add(member, sketch)
        return member

    def _environment_fingerprint(self, place: int, family: str = "") -> EnvironmentFingerprint:
        """The portrait of a crystal; where one of a family is asked for, those that come next in it will be too."""
        if place not in self._environment_fingerprints:
            company = self._company.get(family, [place])
            first = bisect_left(company, place)
            chosen = company[first : first + _FINGERPRINTS_AT_A_TIME]
            self._environment_fingerprints |= zip(
                chosen, environment_fingerprints(self.together.select(chosen)), strict=True
            )
        return self._environment_fingerprints[place]


def _turn(together: CrystalBatch, first: int, second: int) -> Floats | None:
    """The matrix from the frame of one listing into that of another; None where they have the same frame."""
    if np.array_equal(together.lattice[first], together.lattice[second]):
        atoms = [slice(together.first_atom[k], together.first_atom[k + 1]) for k in (first, second)]
        if np.array_equal(together.frac_coords[atoms[0]], together.frac_coords[atoms[1]]):
            return None
    turn = find_rotation(together.select([first]), together.select([second]))
    return None if turn is None or np.allclose(turn, np.eye(3), atol=1e-6) else turn
