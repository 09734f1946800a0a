"""Whether two crystals are the same, mirror images, or different: compared atom by atom, at a stated tolerance."""

from enum import StrEnum
from typing import NamedTuple

import numpy as np

from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.fingerprint.content_id import hands
from models.fingerprint.environments import FAR, N_AVERAGES, find_environments

TOLERANCE_ANGSTROM = 0.01
"""Largest difference between two distances that are taken for the same."""


class StructureMatch(StrEnum):
    """What one crystal is to another."""

    SAME = "same"
    ENANTIOMORPH = "enantiomorph"
    OTHER = "other"


class EnvironmentFingerprint(NamedTuple):
    """What is compared of one crystal.

    Attributes:
        rows: distances around each atom (see `Environments.rows`) without the columns of absent elements, in angstrom,
            shape [n_atoms, n_columns].
        element: rank of each atom's element, shape [n_atoms].
        handedness: pseudoscalars in angstrom, shape [n_components].
    """

    rows: Floats
    element: Ints
    handedness: Floats


def environment_fingerprints(batch: CrystalBatch) -> list[EnvironmentFingerprint]:
    """The environment fingerprints of all crystals of a batch.

    Args:
        batch: validated crystals.
    """
    environments = find_environments(batch, FAR)
    fingerprints = []
    for crystal in range(batch.n_crystals):
        atoms = slice(batch.first_atom[crystal], batch.first_atom[crystal + 1])
        element = environments.element[atoms]
        present = (int(element.max()) + 1) * FAR.nearest
        # the columns in between are of elements that only other crystals of the batch have
        rows = environments.rows[atoms]
        rows = np.concatenate([rows[:, :present], rows[:, -N_AVERAGES:]], axis=1)
        fingerprints.append(EnvironmentFingerprint(rows, element, environments.handedness[crystal]))
    return fingerprints


def match_structures(first: EnvironmentFingerprint, second: EnvironmentFingerprint) -> StructureMatch:
    """What two crystals of the same reduced formula are to each other.

    They are the same or mirror images when every atom of either has a counterpart of its element in the other with the
    same distances within `TOLERANCE_ANGSTROM`, and groups of atoms with the same distances are equally frequent in
    both. Which of the two, their handedness says.

    Args:
        first: of one crystal.
        second: of the other.
    """
    if first.rows.shape[1] != second.rows.shape[1] or not _covers(first, second) or not _covers(second, first):
        return StructureMatch.OTHER
    if not _equally_frequent(first, second):
        return StructureMatch.OTHER
    same = np.linalg.norm(first.handedness - second.handedness)
    opposite = np.linalg.norm(first.handedness + second.handedness)
    chiral = any(hands(np.stack([first.handedness, second.handedness])))
    return StructureMatch.ENANTIOMORPH if chiral and opposite < same else StructureMatch.SAME


def _covers(first: EnvironmentFingerprint, second: EnvironmentFingerprint) -> bool:
    """Whether every atom of the first crystal has a counterpart in the second."""
    for row, element in zip(first.rows, first.element, strict=True):
        like = second.rows[second.element == element]
        if not len(like) or np.abs(like - row).max(axis=1).min() > TOLERANCE_ANGSTROM:
            return False
    return True


def _equally_frequent(first: EnvironmentFingerprint, second: EnvironmentFingerprint) -> bool:
    """Whether each group of like atoms is the same share of both crystals; stackings differ in nothing else."""
    for element in range(int(first.element.max()) + 1):
        rows = [crystal.rows[crystal.element == element] for crystal in (first, second)]
        group = _groups(np.concatenate(rows))
        # cells may differ in size: the shares of the groups count, not their numbers of atoms
        counts = [np.bincount(part, minlength=group.max() + 1) for part in np.split(group, [len(rows[0])])]
        if (counts[0] * len(rows[1]) != counts[1] * len(rows[0])).any():
            return False
    return True


def _groups(rows: Floats) -> Ints:
    """Numbers of the groups of rows that are linked by steps within the tolerance, shape [n_rows]."""
    group = np.full(len(rows), -1, dtype=np.int64)
    for seed in range(len(rows)):
        reached = [seed] if group[seed] < 0 else []
        group[reached] = group.max() + 1
        # the group grows by the atoms near any of its atoms until there are none
        while reached:
            near = np.abs(rows - rows[reached.pop()]).max(axis=1) <= TOLERANCE_ANGSTROM
            fresh = np.flatnonzero(near & (group < 0))
            group[fresh] = group[seed]
            reached += fresh.tolist()
    return group
