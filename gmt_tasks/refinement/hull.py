"""Energies above the convex hull of other crystals, by one potential, and which crystals such a hull needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from db.refinements.records import Competitor
from db.refinements.store import subsystems
from models.crystals.crystal import SYMBOLS
from models.crystals.formula import formula_amounts

Floats = NDArray[np.float64]

MOST_PER_ELEMENT = 3
"""Allotropes of an element that are evaluated: the hull wants the lowest one, and nobody knows which it is."""


@dataclass(frozen=True)
class HullDistance:
    """An energy above the hull, or why there is none.

    Attributes:
        ev_per_atom: negative where the crystal lies below the hull of the others; None where it is unknown.
        n_references: crystals that the hull was made of.
        notes: sentences for a reader.
    """

    ev_per_atom: float | None
    n_references: int
    notes: tuple[str, ...] = ()


def choose_references(
    formula: str, elements: str, others: Mapping[str, Sequence[Competitor]], limit: int
) -> list[Competitor]:
    """The competing crystals whose energies are computed for the hull of one crystal, the most needed first.

    Elements come first, since without them there is no hull; then crystals of the same formula; then the other parts
    of the chemical system in turn. Small cells come before large ones: they are cheap, and ground states are seldom
    large. What was tried already costs nothing and counts towards the limit, so that a repetition chooses the same.

    Args:
        formula: of the crystal, reduced.
        elements: its chemical system, as `crystals.elements` writes it.
        others: competitors by system, without the crystal itself.
        limit: number of references.
    """
    systems = subsystems(elements)
    chosen: dict[str, Competitor] = {}
    for system in systems:
        if system.count(",") == 2:
            chosen |= {one.crystal_id: one for one in others.get(system, ())[:MOST_PER_ELEMENT]}
    chosen |= {one.crystal_id: one for one in others.get(elements, ()) if one.formula == formula}
    compounds = [list(others.get(system, ())) for system in reversed(systems) if system.count(",") > 2]
    for place in range(max(map(len, compounds), default=0)):
        for compound in compounds:
            if place < len(compound):
                chosen.setdefault(compound[place].crystal_id, compound[place])
    return list(chosen.values())[:limit]


def hull_distance(formula: str, energy_ev_per_atom: float, others: Sequence[Competitor]) -> HullDistance:
    """How far a crystal lies above the convex hull of others.

    Args:
        formula: of the crystal, reduced.
        energy_ev_per_atom: of it.
        others: crystals of its chemical system and of parts of it; those without an energy are left out.
    """
    known = [one for one in others if one.energy_ev_per_atom is not None]
    elements = sorted(formula_amounts(formula))
    fractions = np.array([_fractions(one.formula, elements) for one in known]).reshape(-1, len(elements))
    alone = (fractions == 1).any(axis=0).tolist()
    missing = [SYMBOLS[z] for z, is_there in zip(elements, alone, strict=True) if not is_there]
    if missing:
        why = f"no energy above the hull: the database has no evaluated crystal of {', '.join(missing)} alone"
        return HullDistance(None, len(known), (why,))
    lowest = hull_energy(_fractions(formula, elements), fractions, np.array([one.energy_ev_per_atom for one in known]))
    only_elements = len(elements) > 1 and not ((fractions > 0).sum(axis=1) > 1).any()
    note = "the hull is made of elements alone: no competing compound is stored"
    return HullDistance(energy_ev_per_atom - lowest, len(known), (note,) if only_elements else ())


def hull_energy(composition: Floats, compositions: Floats, energies: Floats) -> float:
    """Lowest energy per atom of any mixture of crystals with a composition.

    Args:
        composition: atomic fractions, shape [n_elements].
        compositions: of the crystals, every element among them, shape [n_crystals, n_elements].
        energies: of the crystals per atom, shape [n_crystals].
    """
    from scipy.optimize import linprog

    solution = linprog(energies, A_eq=compositions.T, b_eq=composition, bounds=(0, None), method="highs")
    return float(solution.fun)


def _fractions(formula: str, elements: Sequence[int]) -> Floats:
    of_formula = formula_amounts(formula)
    amounts = np.array([of_formula.get(z, 0.0) for z in elements])
    fractions: Floats = amounts / amounts.sum()
    return fractions
