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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
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

_REMEMBERED = 131_072  # prefilter rows of stored crystals: 70 MB
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
    return KnownCrystals([], [], [], lambda _: CrystalBatch.from_arrays([], [], []))


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
            identities = pool.identify(old.load(old.ids))
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
        new: list[int] = []
        for row in range(len(ids)):
            place = len(known.ids) + row
            crystal = distinct.find(place, ids[row], enantiomorph_ids[row], block.buckets[row])
            ids[row], enantiomorph_ids[row] = crystal.crystal_id, crystal.enantiomorph_id
            if crystal.place == place:
                new.append(row)
            elif (rotation := distinct.rotation(crystal.place, place)) is not None:
                rotations[row] = rotation
        # the next block is compared with these: their rows need not be found again from what is stored
        self._remember([ids[row] for row in new], block.prefilter_rows[new])
        return replace(block, crystal_ids=ids, enantiomorph_ids=enantiomorph_ids, rotations=rotations)

    def _prefilters_of(self, known: KnownCrystals, places: list[int]) -> dict[int, Prefilter]:
        """Prefilter rows of the stored crystals in the given places; computed once as long as they are remembered."""
        asked = [known.ids[place] for place in places]
        # what is asked for again is the last to be forgotten
        self._prefilters |= {each: self._prefilters.pop(each) for each in asked if each in self._prefilters}
        missing = [place for place in places if known.ids[place] not in self._prefilters]
        self._remember([known.ids[place] for place in missing], find_prefilter(known.crystals(missing)))
        found = {place: self._prefilters[known.ids[place]] for place in places}
        for old in list(islice(self._prefilters, max(0, len(self._prefilters) - _REMEMBERED))):
            del self._prefilters[old]
        return found

    def _remember(self, ids: list[str], rows: Prefilter) -> None:
        # a view would keep the rows of its whole block
        self._prefilters |= zip(ids, map(np.copy, rows), strict=True)


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
    """The distinct crystals among the known ones and those of a block, by id and by bucket.

    Places count the known crystals, then those of the block. Of the known ones those alone are loaded that a crystal of
    the block may equal.
    """

    def __init__(self, known: KnownCrystals, known_rows: dict[int, Prefilter], block: IngestedBlock) -> None:
        self._n_known, self._rows = len(known.ids), block.prefilter_rows
        self._fingerprints: dict[int, EnvironmentFingerprint] = {}
        entries = zip(range(self._n_known), known.ids, known.enantiomorph_ids, strict=True)
        self._by_id = {entry[1]: _Crystal(*entry) for entry in entries}
        stored: defaultdict[str, _Bucket] = defaultdict(_Bucket)
        for place, row in known_rows.items():
            stored[known.buckets[place]].add(self._by_id[known.ids[place]], row)
        self._stored_matches = [
            [] if crystal_id in self._by_id else _possible_matches(stored, keys, row)
            for crystal_id, keys, row in zip(block.crystal_ids, block.buckets, self._rows, strict=True)
        ]
        same = {self._by_id[crystal_id].place for crystal_id in block.crystal_ids if crystal_id in self._by_id}
        loaded = sorted(same.union(crystal.place for crystal in chain.from_iterable(self._stored_matches)))
        self._together = CrystalBatch.join([known.crystals(loaded), block.crystals])
        self._index_of_known = {place: index for index, place in enumerate(loaded)}
        self._buckets: defaultdict[str, _Bucket] = defaultdict(_Bucket)
        self._places_of_bucket: defaultdict[str, list[int]] = defaultdict(list)
        for k, buckets in enumerate(block.buckets):
            self._places_of_bucket[buckets[0]].append(self._n_known + k)

    def find(self, place: int, crystal_id: str, enantiomorph_id: str | None, keys: tuple[str, ...]) -> _Crystal:
        """The distinct crystal that a new one equals; itself, from now on one of them, where it is new."""
        if crystal_id in self._by_id:
            return self._by_id[crystal_id]
        row = place - self._n_known
        mirrored: _Crystal | None = None
        for other in chain(self._stored_matches[row], _possible_matches(self._buckets, keys, self._rows[row])):
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
        self._buckets[keys[0]].add(crystal, self._rows[row])
        return crystal

    def rotation(self, first: int, second: int) -> Floats | None:
        """The matrix from the frame of the crystal in one place into that in another; None for the same frame."""
        one, other = (self._crystals([place]) for place in (first, second))
        if np.array_equal(one.lattice, other.lattice) and np.array_equal(one.frac_coords, other.frac_coords):
            return None
        rotation = find_rotation(one, other)
        return None if rotation is None or np.allclose(rotation, np.eye(3), atol=1e-6) else rotation

    def _crystals(self, places: Sequence[int]) -> CrystalBatch:
        # a known crystal that was not loaded is an error, and never another one
        shift, n_known = len(self._index_of_known) - self._n_known, self._n_known
        return self._together.select([self._index_of_known[k] if k < n_known else k + shift for k in places])

    def _fingerprint(self, place: int, key: str = "") -> EnvironmentFingerprint:
        """The environment fingerprint of a crystal; those of the next ones in its bucket are made with it."""
        if place not in self._fingerprints:
            places = self._places_of_bucket.get(key, [place])
            first = bisect_left(places, place)
            chosen = places[first : first + _FINGERPRINTS_AT_A_TIME]
            self._fingerprints |= zip(chosen, environment_fingerprints(self._crystals(chosen)), strict=True)
        return self._fingerprints[place]


def _possible_matches(buckets: Mapping[str, _Bucket], keys: tuple[str, ...], row: Prefilter) -> list[_Crystal]:
    """The crystals of the given buckets that the prefilter does not rule out."""
    own = [buckets[key].possible_matches(row) for key in keys if key in buckets]
    return list(chain.from_iterable(own))
