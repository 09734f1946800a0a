"""Recognises crystals: each one of a block gets the id of the crystal it is, however it was listed.

The science is in `models/identity/`. A content id is a hash: the same crystal in another cell, origin, order or
orientation has the same one. Noise can carry a listing over an edge of the hash, so before a block is stored its
crystals are compared with the few of their family, in the database and in the block, and take over the id of the first
one that equals them within 0.01 angstrom; the mirror image of a known crystal takes over the id that was reserved for
it. What ids cannot tell apart is in docs/identity.md.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from db.records import IngestedBlock, KnownCrystals
from models.crystal import CrystalBatch, Floats
from models.identity.content import identify
from models.identity.kinship import Kin, Portrait, kin, portraits
from models.identity.orientation import find_turn

Recall = Callable[[Iterable[str]], KnownCrystals]
"""Gives the known crystals of families; `ResultStore.relatives`."""


def content_ids(batch: CrystalBatch) -> list[str]:
    """Content ids of crystals, `gx-` and 20 hexadecimal digits each.

    Args:
        batch: crystals that `find_invalid` lets pass.
    """
    return identify(batch).ids


def nothing_known(_: Iterable[str]) -> KnownCrystals:
    """The `Recall` of an empty memory."""
    return KnownCrystals([], [], [], CrystalBatch.from_arrays([], [], []))


@dataclass(frozen=True)
class _Member:
    """A crystal that stands for its id: `place` is its row in the joined batch of known and new crystals."""

    place: int
    crystal_id: str
    twin_id: str | None


def recognised(block: IngestedBlock, recall: Recall) -> IngestedBlock:
    """The block with the ids under which its crystals are known.

    Args:
        block: accepted crystals with their own content ids, twins and families.
        recall: the known crystals of families.

    Returns:
        The same block; crystals that equal a known or an earlier one have its id, and listings that are turned against
        it their `turns`.
    """
    if not block.families:
        return block
    known = recall(dict.fromkeys(key for keys in block.families for key in keys))
    together = CrystalBatch.join([known.crystals, block.crystals])
    seen = _Seen(together, known, block)
    ids, twins = list(block.crystal_ids), list(block.twin_ids)
    turns: dict[int, Floats] = {}
    for row in range(len(ids)):
        place = len(known.ids) + row
        member = seen.find(place, ids[row], twins[row], block.families[row])
        ids[row], twins[row] = member.crystal_id, member.twin_id
        if member.place != place:
            turn = _turn(together, member.place, place)
            if turn is not None:
                turns[row] = turn
    return replace(block, crystal_ids=ids, twin_ids=twins, turns=turns)


class _Seen:
    """The crystals met so far, by id and by family."""

    def __init__(self, together: CrystalBatch, known: KnownCrystals, block: IngestedBlock) -> None:
        self._portraits = _contested(together, known, block)
        self._by_id: dict[str, _Member] = {}
        self._by_family: defaultdict[str, list[_Member]] = defaultdict(list)
        for place, (crystal_id, twin_id, family) in enumerate(
            zip(known.ids, known.twin_ids, known.families, strict=True)
        ):
            self._add(_Member(place, crystal_id, twin_id), family)

    def _add(self, member: _Member, family: str) -> None:
        self._by_id[member.crystal_id] = member
        self._by_family[family].append(member)

    def find(self, place: int, crystal_id: str, twin_id: str | None, families: tuple[str, ...]) -> _Member:
        """The member that a crystal equals; itself, from now on a member, where it is new."""
        if crystal_id in self._by_id:
            return self._by_id[crystal_id]
        mirrored: _Member | None = None
        for member in (member for family in families for member in self._by_family[family]):
            relation = kin(self._portraits[member.place], self._portraits[place])
            if relation is Kin.SAME or (relation is Kin.TWIN and member.twin_id is None):
                return member
            if relation is Kin.TWIN and mirrored is None:
                mirrored = member
        if mirrored is not None and mirrored.twin_id is not None:
            crystal_id, twin_id = mirrored.twin_id, mirrored.crystal_id
        member = _Member(place, crystal_id, twin_id)
        self._add(member, families[0])
        return member


def _contested(together: CrystalBatch, known: KnownCrystals, block: IngestedBlock) -> dict[int, Portrait]:
    """Portraits of the crystals that share a family with one of another id; nobody else needs to be compared."""
    ids = [*known.ids, *block.crystal_ids]
    homes = [*known.families, *(keys[0] for keys in block.families)]
    living: defaultdict[str, set[str]] = defaultdict(set)
    for crystal_id, home in zip(ids, homes, strict=True):
        living[home].add(crystal_id)
    wanted = [
        len(known.ids) + row
        for row, keys in enumerate(block.families)
        for alone in ({block.crystal_ids[row]},)
        if any(living.get(key, alone) != alone for key in keys)
    ]
    met = {key for place in wanted for key in block.families[place - len(known.ids)]}
    places = sorted({*wanted, *(place for place, home in enumerate(homes) if home in met)})
    if not places:
        return {}
    return dict(zip(places, portraits(together.select(places)), strict=True))


def _turn(together: CrystalBatch, first: int, second: int) -> Floats | None:
    """The matrix from the frame of one listing into that of another; None where they have the same frame."""
    if np.array_equal(together.lattice[first], together.lattice[second]):
        atoms = [slice(together.first_atom[k], together.first_atom[k + 1]) for k in (first, second)]
        if np.array_equal(together.frac_coords[atoms[0]], together.frac_coords[atoms[1]]):
            return None
    turn = find_turn(together.select([first]), together.select([second]))
    return None if turn is None or np.allclose(turn, np.eye(3), atol=1e-6) else turn
