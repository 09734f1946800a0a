"""Atoms kept apart while a crystal is written: which places of an orbit leave it far enough from all others."""

import numpy as np
from numpy.typing import NDArray

from models.crystals.crystal import Floats
from models.crystals.radii import COVALENT_RADIUS_ANGSTROM
from models.plausibility.pair_distances import LEAST_RATIO
from models.wyckoff.draft import Draft
from models.wyckoff.occupation import lattice_of_cell
from models.wyckoff.placement_loops import mark_separate
from models.wyckoff.positions import space_group
from models.wyckoff.slots import N_BINS, SlotKind, from_nodes

_RADII = np.asarray(COVALENT_RADIUS_ANGSTROM, dtype=np.float64)


def separate_places(draft: Draft, orbit: int, parameters: Floats) -> NDArray[np.bool_]:
    """Which parameters of an orbit keep its atoms apart from each other and from those that are placed already.

    Args:
        draft: with its cell filled.
        orbit: which one.
        parameters: candidates, [n_candidates, 3].
    """
    group, position = space_group(draft.number), draft.positions[orbit]
    lattice = np.ascontiguousarray(lattice_of_cell(draft.cell()))
    is_separate = np.zeros(len(parameters), dtype=np.bool_)
    if not np.isfinite(lattice).all():
        return is_separate
    own = np.stack([group.orbit(position, candidate) for candidate in parameters])
    before = [k for k in draft.placed_orbits() if k != orbit]
    placed = [group.orbit(draft.positions[k], draft.parameters[k]) for k in before]
    others = np.concatenate([*placed, np.zeros((0, 3))])
    sites = np.concatenate([own, np.broadcast_to(others, (len(own), *others.shape))], axis=1)
    radii = _RADII[[draft.species[k] for k in (orbit, *before)]]
    of_sites = np.repeat(radii, [own.shape[1], *map(len, placed)])
    mark_separate(np.ascontiguousarray(sites), of_sites, float(radii[0]), lattice, LEAST_RATIO, is_separate)
    return is_separate


def separate_nodes(draft: Draft) -> NDArray[np.bool_]:
    """Nodes of the next slot, the last free parameter of an orbit, that keep its atoms apart, [N_BINS]."""
    kind = draft.slot().kind
    candidates = np.tile(draft.parameters[draft.orbit], (N_BINS, 1))
    candidates[:, kind - SlotKind.X] = [from_nodes(kind, node) for node in range(N_BINS)]
    return separate_places(draft, draft.orbit, candidates)


def fixed_sites_are_separate(draft: Draft) -> bool:
    """Whether the orbits without parameters keep apart in the cell of a draft of which no other orbit is placed."""
    fixed = draft.placed_orbits()
    return all(separate_places(draft, orbit, np.zeros((1, 3)))[0] for orbit in fixed)
