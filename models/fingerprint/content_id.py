"""Ids of crystals: the content id, that of the mirror image, and the buckets in which equal crystals are looked for.

The content id is a hash of the reduced formula, of nine averages over the atoms' environments in steps of 1e-4
angstrom and, for a chiral crystal, of its hand. The same crystal in another cell, origin, order or orientation differs
in these numbers by rounding errors only and has the same id on every machine. A hash has edges, though: two
representations that differ by noise may fall on different sides of one. Whoever knows other crystals therefore compares
a new one with those of its bucket: crystals of one formula that lie in the same or, near an edge, the neighbouring bin
of two averages. Equal crystals always share a bucket, so nothing needs to be compared with everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats
from models.fingerprint.environments import ClosestPairs, Environments, find_environments
from models.fingerprint.prefilter import WIDTH, Prefilter, prefilter_of

STEP_ANGSTROM = 1e-4
"""Step of the averages that are hashed; far above rounding errors, far below what distinguishes two crystals."""

CHIRAL_ANGSTROM = 2e-4
"""Handedness from which a crystal is chiral; rounding and relaxation leave a weaker one in an achiral crystal."""

_EDGE_SHIFT = 0.2360679774997897  # edges lie where no printed number and no zero does
_CODE = 0.6180339887498949
_DIGITS = 20
_BIN_ANGSTROM = 0.05
_MARGIN_ANGSTROM = 0.01  # the two averages of the same crystal differ by less: they average distances


@dataclass(frozen=True)
class Identities:
    """Ids of the crystals of a batch, one entry per crystal.

    Attributes:
        ids: content ids, `gx-` and 20 hexadecimal digits each.
        enantiomorph_ids: content id of the mirror image of a chiral crystal, None for an achiral one.
        buckets: the bins in which crystals equal to this one may lie; the first is its own.
        prefilter: what rules out nearly all others of a bucket, in angstrom, shape [n_crystals, WIDTH].
        overlaps: crystals to refuse because atoms overlap, as the search for neighbours shows; their ids mean nothing.
    """

    ids: list[str]
    enantiomorph_ids: list[str | None]
    buckets: list[tuple[str, ...]]
    prefilter: Prefilter
    overlaps: ClosestPairs

    @staticmethod
    def join(parts: Sequence["Identities"]) -> "Identities":
        """The ids of several batches, in order."""
        overlaps, n_before = ClosestPairs(), 0
        for part in parts:
            overlaps |= {n_before + row: pair for row, pair in part.overlaps.items()}
            n_before += len(part.ids)
        return Identities(
            [crystal_id for part in parts for crystal_id in part.ids],
            [crystal_id for part in parts for crystal_id in part.enantiomorph_ids],
            [buckets for part in parts for buckets in part.buckets],
            np.concatenate([np.zeros((0, WIDTH), np.float32), *(part.prefilter for part in parts)]),
            overlaps,
        )

    def select(self, rows: Sequence[int]) -> "Identities":
        """The ids of the given crystals, none of which has overlapping atoms."""
        return Identities(
            [self.ids[row] for row in rows],
            [self.enantiomorph_ids[row] for row in rows],
            [self.buckets[row] for row in rows],
            self.prefilter[list(rows)],
            {},
        )


def identify(batch: CrystalBatch) -> Identities:
    """Content ids and buckets of all crystals of a batch, from one search for neighbours.

    Args:
        batch: crystals that `find_malformed` lets pass.
    """
    if not batch.n_crystals:
        return Identities.join([])
    environments = find_environments(batch)
    averages = _averages(batch, environments)
    steps = np.floor(averages / STEP_ANGSTROM + (0.5 + _EDGE_SHIFT)).astype("<i8")
    formulas = batch.formulas()
    ids: list[str] = []
    enantiomorph_ids: list[str | None] = []
    for formula, numbers, hand in zip(formulas, steps, hands(environments.handedness), strict=True):
        content = sha256(f"{formula}:".encode() + numbers.tobytes()).digest()
        ids.append(_id_of(content, hand))
        # the mirror image has the same content and the other hand
        enantiomorph_ids.append(_id_of(content, -hand) if hand else None)
    buckets = _buckets(formulas, averages[:, :2])
    return Identities(ids, enantiomorph_ids, buckets, prefilter_of(batch, environments), environments.overlaps)


def _id_of(content: bytes, hand: int) -> str:
    """The content id of a crystal of a hand."""
    return f"gx-{sha256(content + hand.to_bytes(2, 'little', signed=True)).hexdigest()[:_DIGITS]}"


def hands(handedness: Floats) -> list[int]:
    """Hand of each crystal: 0 for an achiral one, else a number whose sign changes in the mirror image.

    Args:
        handedness: pseudoscalars in angstrom, shape [n_crystals, n_components].
    """
    strong = np.abs(handedness) > CHIRAL_ANGSTROM
    # the first component that is strong enough: a later one may be zero by symmetry or by chance
    first = np.argmax(strong, axis=1)
    sign = np.sign(np.take_along_axis(handedness, first[:, None], axis=1)[:, 0])
    hand: list[int] = np.where(strong.any(axis=1), sign * (first + 1), 0).astype(int).tolist()
    return hand


def _averages(batch: CrystalBatch, environments: Environments) -> Floats:
    """Cube root of the volume per atom, then means and spreads of the summaries, in angstrom, [n_crystals, 9]."""
    weight = 1.0 + _CODE * environments.element
    norm = np.bincount(batch.crystal_of_atom, weight, batch.n_crystals)

    def mean(values: Floats) -> Floats:
        columns = [np.bincount(batch.crystal_of_atom, weight * column, batch.n_crystals) for column in values.T]
        return np.stack(columns, axis=1) / np.maximum(norm, 1e-300)[:, None]

    means = mean(environments.summary)
    spreads = np.sqrt(mean((environments.summary - means[batch.crystal_of_atom]) ** 2))
    return np.concatenate([environments.size[:, None], means, spreads], axis=1)


def _buckets(formulas: list[str], averages: Floats) -> list[tuple[str, ...]]:
    """Keys of the bins within the margin of each crystal's two averages [n_crystals, 2], its own first."""
    # own bin first, then that of either end of the margin: mostly the same one
    ends = averages[:, :, None] + np.array([0.0, -_MARGIN_ANGSTROM, _MARGIN_ANGSTROM])
    bins = np.floor(ends / _BIN_ANGSTROM).astype(int).tolist()
    buckets = []
    for formula, (of_first, of_second) in zip(formulas, bins, strict=True):
        pairs = product(dict.fromkeys(of_first), dict.fromkeys(of_second))
        buckets.append(tuple(f"{formula}:{i}:{j}" for i, j in pairs))
    return buckets
