"""Which chosen crystals a design proposes: those that are not too far above the hull of known crystals once relaxed."""

from typing import TYPE_CHECKING

import numpy as np

from db.designs.records import Proposal
from gmt_tasks.design.judge import Chosen, Judged
from gmt_tasks.process import StopRequest
from models.errors import Reason

if TYPE_CHECKING:
    from gmt_tasks.gates.gates import EstimateEnergies

LOOKED_AT = 3
"""Times as many crystals are asked for their energies as are to be proposed, at most."""


def proposed(
    judged: Judged,
    chosen: Chosen,
    n: int,
    estimate: "EstimateEnergies | None",
    most_above_hull: float,
    stop: StopRequest,
) -> list[Proposal]:
    """Chosen crystals in their order until n of them are proposed; the others among them are refused.

    Args:
        judged: the wanted crystals.
        chosen: of these, the best first.
        n: proposals wanted.
        estimate: energies of crystals; None proposes the first n.
        most_above_hull: lower end of the interval that is still proposed, eV per atom.
        stop: checked before every part.
    """
    proposals: list[Proposal] = []
    while len(proposals) < len(chosen.rows):
        missing = n - sum(one.refused is None for one in proposals)
        if not missing:
            break
        stop.check()
        part = range(len(proposals), min(len(proposals) + missing, len(chosen.rows)))
        proposals += _of_part(judged, chosen, part, estimate, most_above_hull)
    return proposals


def _of_part(
    judged: Judged, chosen: Chosen, part: range, estimate: "EstimateEnergies | None", most_above_hull: float
) -> list[Proposal]:
    """Some of the chosen crystals, each proposed or refused."""
    energies = None if estimate is None else estimate(chosen.crystals.select(part))
    proposals = []
    for place, rank in enumerate(part):
        row = int(chosen.rows[rank])
        facts = {
            "promise": judged.promise[row],
            "uncertainty": judged.uncertainty[row],
            "crowding": chosen.crowding[rank],
        }
        refused = None
        if energies is not None:
            above, width = energies.above_hull_ev_per_atom[place], energies.half_width_ev_per_atom[place]
            facts["formation_ev_per_atom"] = energies.formation_ev_per_atom[place]
            facts |= {"above_hull_ev_per_atom": above, "above_hull_half_width_ev_per_atom": width}
            if not np.isfinite(above):
                refused = f"{Reason.RELAXATION_FAILED}: the potential gives no energy of a relaxed cell"
            elif above - width > most_above_hull:
                refused = f"{Reason.ABOVE_HULL}: {above:.3f} ± {width:.3f} eV per atom, most {most_above_hull:g}"
        known = {name: float(value) for name, value in facts.items() if np.isfinite(value)}
        value = float(judged.value[row])
        proposals.append(Proposal(rank + 1, judged.ids[row], int(judged.round[row]), value, known, refused))
    return proposals


def estimator(*, energies_as_written: bool = False) -> "EstimateEnergies | None":
    """What estimates energies of crystals, relaxed or as written; None where the potential is not installed."""
    from gmt_tasks.refinement.formation import EnergyEstimator, energies_as_given, energies_where_relaxed
    from models.potential.card import read_potential_card
    from models.potential.interface import PotentialError

    try:
        read_potential_card()
    except PotentialError:
        return None
    from models.potential.sevennet import SevenNet

    return EnergyEstimator(SevenNet(), energies_as_given if energies_as_written else energies_where_relaxed)
