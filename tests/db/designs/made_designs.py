"""A made-up design over crystals that are in the database."""

from collections.abc import Sequence
from dataclasses import replace

from db.designs.records import DesignRound, DesignSpec, Proposal
from db.store import ResultStore

SPEC = DesignSpec("NOT metal", "-d_max_pc_per_n", {"per_round": 10, "bound": 6.0, "seed": 0, "model": "toy@1"})
FACTS = {"promise": 0.81, "uncertainty": 0.64, "crowding": 0.1}
ENERGIES = {"above_hull_ev_per_atom": 0.9, "above_hull_half_width_ev_per_atom": 0.05, "formation_ev_per_atom": -0.5}
REFUSED = "above_hull: 0.900 ± 0.050 eV per atom, most 0.1"


def design_round(number: int, run: int, *, n_wanted: int = 4) -> DesignRound:
    """A round in which so many crystals were wanted."""
    counts = {"n_in": 10, "done": 6, "duplicate": 1, "rejected": 3, "quarantined": 0, "new": 5, "wanted": n_wanted}
    quantiles = [0.5, 1.25, 2.0 * number, 12.5, 31.25] if n_wanted else []
    return DesignRound(number, run, "c" * 64, counts, quantiles, 0.5 * number, 60.0)


def proposals_of(crystal_ids: Sequence[str]) -> list[Proposal]:
    """The crystals as proposals in this order, all of round 2."""
    return [Proposal(rank, one, 2, 31.25 / rank, FACTS) for rank, one in enumerate(crystal_ids, start=1)]


def add_design(
    store: ResultStore,
    runs: Sequence[int],
    crystal_ids: Sequence[str],
    spec: DesignSpec = SPEC,
    refused: Sequence[str] = (),
) -> int:
    """Stores a design whose rounds are the given runs, the first without a wanted crystal; returns its number.

    The crystals `refused` were chosen after the others and lie too high.
    """
    number = store.designs.open(spec).id
    for place, run in enumerate(runs, start=1):
        store.designs.add_round(number, design_round(place, run, n_wanted=0 if place == 1 else 4))
    chosen = proposals_of([*crystal_ids, *refused])
    n_good = len(crystal_ids)
    too_high = [replace(one, facts=one.facts | ENERGIES, refused=REFUSED) for one in chosen[n_good:]]
    store.designs.propose(number, [*chosen[:n_good], *too_high])
    return number
