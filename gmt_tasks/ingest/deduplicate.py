"""Deduplicates crystals: each one of a block gets the id of the crystal it is, whatever its representation.

The science is in `models/fingerprint/`. A content id is a hash: the same crystal in another cell, origin, order or
orientation has the same one. Noise can carry a representation over an edge of the hash, so before a block is stored its
crystals are compared with the few of their bucket, in the database and in the block, and take over the id of the first
one that equals them within 0.01 angstrom; the mirror image of a known crystal takes over the id that was reserved for
it. Of a large bucket, one pass of the prefilter leaves those that are worth comparing atom by atom. What ids cannot
tell apart is in docs/identity.md.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from db.records import IngestedBlock, KnownCrystals
from gmt_tasks.ingest.content_id_pool import ContentIdPool
from gmt_tasks.telemetry import event
from models.crystals.crystal import CrystalBatch, Floats
from models.fingerprint.content_id import identify
from models.fingerprint.orientation import find_rotation
from models.fingerprint.prefilter import WIDTH, Prefilter, find_prefilter, possible_matches
from models.fingerprint.structure_match import (
    EnvironmentFingerprint,
    StructureMatch,
    environment_fingerprints,
    match_structures,
)

if TYPE_CHECKING:
    from db.store import ResultStore

Lookup = Callable[[Iterable[str]], KnownCrystals]
"""Gives the known crystals of buckets; `ResultStore.crystals_in_buckets`."""

_REMEMBERED = 200_000  # prefilter rows of stored crystals: 80 MB
_FINGERPRINTS_AT_A_TIME = 64
_BACKFILLED_AT_A_TIME = 4096


def content_ids(batch: CrystalBatch) -> list[str]:
    """Content ids of crystals, `gx-` and 20 hexadecimal digits each.

    Args:
        batch: crystals that `find_invalid` lets pass.
    """
    return identify(batch).ids


def nothing_known(_: Iterable[str]) -> KnownCrystals:
    """The `Lookup` of an empty database."""
    return KnownCrystals([], [], [], CrystalBatch.from_arrays([], [], []))


def backfill(store: "ResultStore", n_processes: int = 1) -> int:
    """Gives crystals that were stored before there were buckets theirs, so that they are found; returns their number.

    They keep their ids, under which results and inputs refer to them: an input that equals one of them takes its id.
    May be stopped and repeated; where all crystals have buckets it costs one indexed look-up.

    Args:
        store: the database.
        n_processes: see `ContentIdPool`.
    """
    n_backfilled = 0
    with ContentIdPool(n_processes) as pool:
        while (old := store.crystals_without_bucket(_BACKFILLED_AT_A_TIME)).ids:
            identities = pool.identify(old.crystals)
            own_buckets = [buckets[0] for buckets in identities.buckets]
            store.set_buckets(old.ids, own_buckets, identities.enantiomorph_ids)
            n_backfilled += len(old.ids)
    if n_backfilled:
        event("ingest.adopted", crystals=n_backfilled)
    return n_backfilled


class Deduplicator:
    """Gives crystals the ids under which they are known, block after block.

    Args:
        lookup: the known crystals of buckets; asked once per block.
    """

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._prefilters: dict[str, Prefilter] = {}

    def deduplicated(self, block: IngestedBlock) -> IngestedBlock:
        """The block with the ids under which its crystals are known.

        Args:
            block: accepted crystals with their own content ids, those of their mirror images, buckets and prefilter.

        Returns:
            The same block; crystals that equal a known or an earlier one have its id, and those that are rotated
            against it their `rotations`.
        """
        if not block.buckets:
            return block
        known = self._lookup(dict.fromkeys(key for keys in block.buckets for key in keys))
        distinct = _DistinctCrystals(known, self._prefilters_of(known, _contested(known, block)), block)
        ids, enantiomorph_ids = list(block.crystal_ids), list(block.enantiomorph_ids)
        rotations: dict[int, Floats] = {}
        for row in range(len(ids)):
            place = len(known.ids) + row
            crystal = distinct.find(place, ids[row], enantiomorph_ids[row], block.buckets[row])
            ids[row], enantiomorph_ids[row] = crystal.crystal_id, crystal.enantiomorph_id
            if crystal.place != place:
                rotation = _rotation(distinct.together, crystal.place, place)
                if rotation is not None:
                    rotations[row] = rotation
        return replace(block, crystal_ids=ids, enantiomorph_ids=enantiomorph_ids, rotations=rotations)

    def _prefilters_of(self, known: KnownCrystals, places: list[int]) -> dict[int, Prefilter]:
        """Prefilter rows of the stored crystals in the given places; computed once as long as they are remembered."""
        missing = [place for place in places if known.ids[place] not in self._prefilters]
        if len(self._prefilters) + len(missing) > _REMEMBERED:
            self._prefilters.clear()
            missing = places
        rows = find_prefilter(known.crystals.select(missing))
        self._prefilters |= {known.ids[place]: row for place, row in zip(missing, rows, strict=True)}
        return {place: self._prefilters[known.ids[place]] for place in places}


def _contested(known: KnownCrystals, block: IngestedBlock) -> list[int]:
    """Places of the stored crystals whose bucket a crystal of another id is compared with."""
    ids_of_bucket: defaultdict[str, set[str]] = defaultdict(set)
    for crystal_id, buckets in zip(block.crystal_ids, block.buckets, strict=True):
        for bucket in buckets:
            ids_of_bucket[bucket].add(crystal_id)
    places = enumerate(zip(known.ids, known.buckets, strict=True))
    # a crystal that only its equals ask about is found by its id
    return [place for place, (own, bucket) in places if ids_of_bucket.get(bucket, {own}) != {own}]


@dataclass(frozen=True)
class _Crystal:
    """The first crystal of its id: `place` is its row in the joined batch of known and new crystals."""

    place: int
    crystal_id: str
    enantiomorph_id: str | None


class _Bucket:
    """The distinct crystals of one bucket with their prefilter rows, in an array that doubles when it is full."""

    def __init__(self) -> None:
        self._crystals: list[_Crystal] = []
        self._rows = np.zeros((1, WIDTH), np.float32)

    def add(self, crystal: _Crystal, row: Prefilter) -> None:
        """Takes a crystal in, with its row."""
        if len(self._crystals) == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[len(self._crystals)] = row
        self._crystals.append(crystal)

    def possible_matches(self, row: Prefilter) -> list[_Crystal]:
        """The crystals that the prefilter does not rule out."""
        return [self._crystals[k] for k in possible_matches(row, self._rows[: len(self._crystals)])]


class _DistinctCrystals:
    """The distinct crystals among the known ones and those of a block, by id and by bucket."""

    def __init__(self, known: KnownCrystals, known_rows: dict[int, Prefilter], block: IngestedBlock) -> None:
        self.together = CrystalBatch.join([known.crystals, block.crystals])
        self._n_known, self._rows = len(known.ids), block.prefilter_rows
        self._fingerprints: dict[int, EnvironmentFingerprint] = {}
        self._by_id: dict[str, _Crystal] = {}
        self._buckets: defaultdict[str, _Bucket] = defaultdict(_Bucket)
        for place, (crystal_id, enantiomorph_id) in enumerate(zip(known.ids, known.enantiomorph_ids, strict=True)):
            self._by_id[crystal_id] = _Crystal(place, crystal_id, enantiomorph_id)
        for place, row in known_rows.items():
            self._buckets[known.buckets[place]].add(self._by_id[known.ids[place]], row)
        self._places_of_bucket: defaultdict[str, list[int]] = defaultdict(list)
        for k, buckets in enumerate(block.buckets):
            self._places_of_bucket[buckets[0]].append(self._n_known + k)

    def find(self, place: int, crystal_id: str, enantiomorph_id: str | None, keys: tuple[str, ...]) -> _Crystal:
        """The distinct crystal that a new one equals; itself, from now on one of them, where it is new."""
        if crystal_id in self._by_id:
            return self._by_id[crystal_id]
        row = self._rows[place - self._n_known]
        mirrored: _Crystal | None = None
        buckets = (self._buckets[key] for key in keys if key in self._buckets)
        for other in (crystal for bucket in buckets for crystal in bucket.possible_matches(row)):
            match = match_structures(self._fingerprint(other.place), self._fingerprint(place, keys[0]))
            # an achiral crystal equals its mirror image
            if match is StructureMatch.SAME or (match is StructureMatch.ENANTIOMORPH and other.enantiomorph_id is None):
                del self._fingerprints[place]
                return other
            if match is StructureMatch.ENANTIOMORPH and mirrored is None:
                mirrored = other
        if mirrored is not None and mirrored.enantiomorph_id is not None:
            crystal_id, enantiomorph_id = mirrored.enantiomorph_id, mirrored.crystal_id
        crystal = self._by_id[crystal_id] = _Crystal(place, crystal_id, enantiomorph_id)
        self._buckets[keys[0]].add(crystal, row)
        return crystal

    def _fingerprint(self, place: int, key: str = "") -> EnvironmentFingerprint:
        """The environment fingerprint of a crystal; those of the next ones in its bucket are made with it."""
        if place not in self._fingerprints:
            places = self._places_of_bucket.get(key, [place])
            first = bisect_left(places, place)
            chosen = places[first : first + _FINGERPRINTS_AT_A_TIME]
            fingerprints = environment_fingerprints(self.together.select(chosen))
            self._fingerprints |= zip(chosen, fingerprints, strict=True)
        return self._fingerprints[place]


def _rotation(together: CrystalBatch, first: int, second: int) -> Floats | None:
    """The matrix from the frame of one crystal into that of another; None where they have the same frame."""
    if np.array_equal(together.lattice[first], together.lattice[second]):
        atoms = [slice(together.first_atom[k], together.first_atom[k + 1]) for k in (first, second)]
        if np.array_equal(together.frac_coords[atoms[0]], together.frac_coords[atoms[1]]):
            return None
    rotation = find_rotation(together.select([first]), together.select([second]))
    return None if rotation is None or np.allclose(rotation, np.eye(3), atol=1e-6) else rotation
