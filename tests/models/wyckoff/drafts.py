"""Small networks, drafts that are filled at random, and known crystals as occupied positions."""

from functools import cache

import numpy as np
import torch

from gmt_tasks.sources.generated.reference_crystals import reference_crystals
from models.crystals.crystal import CrystalBatch
from models.reference.crystals import crystals_of_all_classes, textbook_crystals
from models.wyckoff.config import WyckoffConfig
from models.wyckoff.draft import Draft
from models.wyckoff.network import WyckoffNetwork
from models.wyckoff.occupation import WyckoffCrystals, occupied_positions
from models.wyckoff.slots import CLOSED, N_BINS, SlotKind, is_periodic

TINY = WyckoffConfig(width=32, n_heads=2, n_layers=1, dropout=0.0)


def tiny_network(seed: int = 0, *, spread: float = 0.3) -> WyckoffNetwork:
    """An untrained network in inference mode whose distributions are not flat."""
    torch.manual_seed(seed)
    network = WyckoffNetwork(TINY)
    for head in network.heads:
        torch.nn.init.normal_(head.weight, std=spread)
    return network.eval().requires_grad_(requires_grad=False)


def short_network(seed: int = 0) -> WyckoffNetwork:
    """One that closes sets of elements and lists of orbits soon, so that crystals are small."""
    network = tiny_network(seed)
    for kind, bias in ((SlotKind.ELEMENT, 4.0), (SlotKind.POSITION, 2.0)):
        network.heads[kind].bias[CLOSED] += bias
    return network


def filled_draft(rng: np.random.Generator, number: int = 0, most_sites: int | None = 24) -> Draft | None:
    """A draft with slots filled evenly from what they may hold; None where elements find no room."""
    draft = Draft()
    if number:
        draft.choose(number)
    while not draft.is_complete:
        fill_next(draft, rng, most_sites)
        if not draft.is_complete and draft.slot().kind == SlotKind.POSITION and not draft.choices(most_sites).any():
            return None
    return draft


def fill_next(draft: Draft, rng: np.random.Generator, most_sites: int | None = None) -> None:
    """Fills the next slot at random; sets and lists are closed half of the times that they may be."""
    kind = draft.slot().kind
    if kind > SlotKind.SPECIES:
        # cells that are neither flat nor needles, and angles that allow a lattice
        middle = N_BINS * rng.uniform(0.45, 0.55)
        draft.place(rng.uniform(0, N_BINS) if is_periodic(kind) else middle)
        return
    allowed = np.flatnonzero(draft.choices(most_sites))
    draft.choose(CLOSED if allowed[0] == CLOSED and rng.random() < 0.5 else int(rng.choice(allowed)))


@cache
def known_batch() -> CrystalBatch:
    """Crystals of all 32 classes, textbook ones and those with a literature."""
    listed = reference_crystals().values()
    literature = CrystalBatch.from_arrays(
        [crystal.lattice for crystal in listed],
        [crystal.frac_coords for crystal in listed],
        [crystal.numbers for crystal in listed],
    )
    return CrystalBatch.join([crystals_of_all_classes(seed=5).crystals, textbook_crystals().crystals, literature])


@cache
def known_crystals() -> WyckoffCrystals:
    """The same by their occupied positions."""
    return occupied_positions(known_batch())[0]
