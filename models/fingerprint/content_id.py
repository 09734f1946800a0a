"""Names of crystals: the content id, the id of the mirror image, and the families within which to look for relatives.

The content id is a hash of the reduced formula, of nine averages over the atoms' environments in steps of 1e-4
angstrom and, for a chiral crystal, of its hand. The same crystal in another cell, origin, order or orientation differs
in these numbers by rounding errors only and has the same id on every machine. A hash has edges, though: two listings
that differ by noise may fall on different sides of one. Whoever knows other crystals therefore compares a new one with
those of its family: crystals of one formula that lie in the same or, near an edge, the neighbouring bin of two
averages. Relatives always share a family, so nothing needs to be compared with everything.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats
from models.fingerprint.environments import Environments, find_environments
from models.fingerprint.prefilter import WIDTH, Prefilter, sketch

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
    """Names of the crystals of a batch, one entry per crystal.

    Attributes:
        ids: content ids, `gx-` and 20 hexadecimal digits each.
        twins: content id of the mirror image of a chiral crystal, None for an achiral one.
        families: the bins in which crystals equal to this one may lie; the first is its own.
        sketches: what rules out nearly all others of a family at a glance, in angstrom, shape [n_crystals, WIDTH].
    """

    ids: list[str]
    twins: list[str | None]
    families: list[tuple[str, ...]]
    sketches: Prefilter

    @staticmethod
    def join(parts: Sequence["Identities"]) -> "Identities":
        """The names of several batches, in order."""
        return Identities(
            [each for part in parts for each in part.ids],
            [each for part in parts for each in part.twins],
            [each for part in parts for each in part.families],
            np.concatenate([np.zeros((0, WIDTH), np.float32), *(part.sketches for part in parts)]),
        )


def identify(batch: CrystalBatch) -> Identities:
    """Content ids, twins and families of all crystals of a batch.

    Args:
        batch: validated crystals, i.e. those that `find_invalid` lets pass.
    """
    if not batch.n_crystals:
        return Identities.join([])
    environments = find_environments(batch)
    averages = _averages(batch, environments)
    steps = np.floor(averages / STEP_ANGSTROM + (0.5 + _EDGE_SHIFT)).astype("<i8")
    formulas = batch.formulas()
    ids: list[str] = []
    twins: list[str | None] = []
    for formula, numbers, hand in zip(formulas, steps, hands(environments.handedness), strict=True):
        name = sha256(f"{formula}:".encode() + numbers.tobytes())
        names = [_hashed(name.digest(), sign) for sign in (hand, -hand)]
        ids.append(names[0])
        twins.append(names[1] if hand else None)
    return Identities(ids, twins, _families(formulas, averages[:, :2]), sketch(batch, environments))


def hands(handedness: Floats) -> list[int]:
    """Hand of each crystal: 0 for an achiral one, else a number whose sign changes in the mirror image.

    Args:
        handedness: pseudoscalars in angstrom, shape [n_crystals, n_components].
    """
    strong = np.abs(handedness) > CHIRAL_ANGSTROM
    # the first component that is strong enough: a later one may be zero by symmetry or by chance
    first = np.argmax(strong, axis=1)
    sign = np.sign(np.take_along_axis(handedness, first[:, None], axis=1)[:, 0])
    found: list[int] = np.where(strong.any(axis=1), sign * (first + 1), 0).astype(int).tolist()
    return found


def _hashed(content: bytes, hand: int) -> str:
    return "gx-" + sha256(content + hand.to_bytes(2, "little", signed=True)).hexdigest()[:_DIGITS]


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


def _families(formulas: list[str], averages: Floats) -> list[tuple[str, ...]]:
    """Keys of the bins within the margin of each crystal's two averages [n_crystals, 2], its own first."""
    own = np.floor(averages / _BIN_ANGSTROM).astype(int)
    low = np.floor((averages - _MARGIN_ANGSTROM) / _BIN_ANGSTROM).astype(int)
    high = np.floor((averages + _MARGIN_ANGSTROM) / _BIN_ANGSTROM).astype(int)
    return [
        tuple(f"{formula}:{i}:{j}" for i, j in product(dict.fromkeys((x, a, b)), dict.fromkeys((y, c, d))))
        for formula, (x, y), (a, c), (b, d) in zip(formulas, own.tolist(), low.tolist(), high.tolist(), strict=True)
    ]
