"""What a second opinion by a potential adds to a crystal, declared once: name, unit, meaning.

As `models.quantities` for what a network predicts: columns of the database, the filter language, tables, exports and
the explorer follow. The values come from `models.potential.second_opinion.SecondOpinion` and from the convex hull.
"""

from dataclasses import dataclass
from enum import StrEnum


class RefinementKind(StrEnum):
    """How a property of a second opinion is stored and compared."""

    NUMBER = "number"
    INTEGER = "integer"
    FLAG = "flag"
    TEXT = "text"


@dataclass(frozen=True)
class RefinementQuantity:
    """One number, flag or text that a second opinion gives about a crystal.

    Attributes:
        unit: "1" for a ratio or a count, "" for flags and texts.
        label: what it is, in words.
        kind: how it is stored.
    """

    unit: str
    label: str
    kind: RefinementKind = RefinementKind.NUMBER


_FLAG, _INTEGER, _TEXT = RefinementKind.FLAG, RefinementKind.INTEGER, RefinementKind.TEXT

REFINED = "refined"
"""Flag of every crystal: whether a second opinion about it is stored. Its row is the answer, no column."""

REFINEMENT: dict[str, RefinementQuantity] = {
    "relaxation": RefinementQuantity("", "how the relaxation ended, converged or not_converged", _TEXT),
    "gamma_stable": RefinementQuantity("", "no mode at the zone centre and no strain lowers the energy", _FLAG),
    "lowest_mode_thz": RefinementQuantity(
        "THz", "lowest optical frequency at the zone centre, negative when imaginary"
    ),
    "polar_instability": RefinementQuantity("", "an unstable mode at the zone centre carries a dipole", _FLAG),
    "volume_ratio": RefinementQuantity("1", "volume after the relaxation over that of the cell as given"),
    "max_displacement_angstrom": RefinementQuantity(
        "angstrom", "largest displacement of an atom by the relaxation, beside the strain of the cell"
    ),
    "relaxation_energy_ev_per_atom": RefinementQuantity(
        "eV/atom", "energy after the relaxation minus before, at most 0"
    ),
    "energy_ev_per_atom": RefinementQuantity("eV/atom", "energy of the relaxed cell by the potential"),
    "symmetric_spacegroup": RefinementQuantity("", "number of the space group that the relaxation kept", _INTEGER),
    "refined_spacegroup": RefinementQuantity(
        "", "number of the space group that is left when the softest unstable mode is followed", _INTEGER
    ),
    "symmetry_breaking_energy_ev_per_atom": RefinementQuantity(
        "eV/atom", "energy that following the softest unstable mode gains, at most 0"
    ),
    "given_pressure_gpa": RefinementQuantity("GPa", "pressure of the cell as given, positive when it wants to expand"),
    "given_force_max_ev_per_angstrom": RefinementQuantity("eV/angstrom", "largest force in the cell as given"),
    "potential_k_vrh_gpa": RefinementQuantity("GPa", "bulk modulus by the potential alone, Hill average"),
    "potential_g_vrh_gpa": RefinementQuantity("GPa", "shear modulus by the potential alone, Hill average"),
    "second_opinion_disagrees": RefinementQuantity(
        "", "network and potential differ in a modulus by more than both are usually wrong", _FLAG
    ),
    "e_above_hull_ev_per_atom": RefinementQuantity(
        "eV/atom", "energy above the convex hull of the stored crystals, by the potential"
    ),
    "e_above_hull_uncertainty_ev_per_atom": RefinementQuantity(
        "eV/atom", "half width of the 90 % interval of the energy above the hull"
    ),
    "n_hull_references": RefinementQuantity("1", "crystals that the convex hull was made of", _INTEGER),
    "n_evaluations": RefinementQuantity("1", "cells whose energies the second opinion took", _INTEGER),
    "refinement_seconds": RefinementQuantity("s", "processor time that the second opinion took"),
}
"""Every property of a second opinion, in the order of its columns in the table `refinements`."""

HULL_COLUMNS: tuple[str, ...] = (
    "e_above_hull_ev_per_atom",
    "e_above_hull_uncertainty_ev_per_atom",
    "n_hull_references",
)
"""Of these, what is known only when the competing crystals are evaluated too."""
