"""A second opinion as the database keeps it, and what of it a reader should see at once."""

from typing import Any

import numpy as np

from db.records import Refinement
from models.potential.second_opinion import Relaxation, SecondOpinion

UNSTABLE_THZ = -0.3
"""Modes below this are called unstable, as `gamma_stable` does."""


def refinement_of(crystal_id: str, potential: str, opinion: SecondOpinion, more: dict[str, Any]) -> Refinement:
    """The record of a second opinion.

    Args:
        crystal_id: content id of the crystal as it was given.
        potential: NAME@VERSION.
        opinion: of the potential.
        more: properties that are not in the opinion itself.
    """
    unstable = [mode for mode in opinion.modes if mode.frequency_thz < UNSTABLE_THZ]
    columns: dict[str, Any] = {
        "relaxation": opinion.relaxation.value,
        "gamma_stable": opinion.gamma_stable,
        "lowest_mode_thz": opinion.lowest_mode_thz,
        "polar_instability": any(mode.polar for mode in unstable),
        "volume_ratio": opinion.volume_ratio,
        "max_displacement_angstrom": opinion.displacement_angstrom,
        "relaxation_energy_ev_per_atom": opinion.relaxation_energy_ev_per_atom,
        "energy_ev_per_atom": opinion.energy_ev_per_atom,
        "symmetric_spacegroup": opinion.spacegroup,
        "refined_spacegroup": opinion.broken_spacegroup or None,
        "symmetry_breaking_energy_ev_per_atom": opinion.broken_energy_ev_per_atom,
        "given_pressure_gpa": -float(np.trace(opinion.stress_gpa)) / 3,
        "given_force_max_ev_per_angstrom": opinion.max_force_ev_per_angstrom,
        "n_evaluations": opinion.n_evaluations,
        "refinement_seconds": opinion.seconds,
        **more,
    }
    modes = [
        {"frequency_thz": m.frequency_thz, "degeneracy": m.degeneracy, "irrep": m.irrep, "polar": m.polar}
        for m in opinion.modes
    ]
    return Refinement(
        crystal_id,
        potential,
        columns,
        opinion.relaxed,
        opinion.strain,
        opinion.stress_gpa,
        opinion.stiffness_gpa,
        opinion.stiffness_clamped_gpa,
        modes,
        opinion.force_constants,
        opinion.internal_strain,
    )


def warnings_of(refinement: Refinement) -> list[str]:
    """Sentences that belong beside the combined result of a crystal."""
    columns, texts = refinement.columns, []
    if columns["relaxation"] == Relaxation.NOT_CONVERGED:
        texts.append("the relaxation reached its step limit: what follows is computed where it stopped")
    unstable = [mode for mode in refinement.modes if mode["frequency_thz"] < UNSTABLE_THZ]
    if unstable:
        named = ", ".join(f"{mode['frequency_thz']:.1f} THz {mode['irrep']}".strip() for mode in unstable[:3])
        kind = "a polar mode, as in ferroelectrics" if columns["polar_instability"] else "not polar"
        texts.append(f"unstable at the zone centre ({named}; {kind}): the crystal wants another structure")
    elif not columns["gamma_stable"]:
        texts.append("a homogeneous strain lowers the energy: the crystal wants another structure")
    if abs(columns["volume_ratio"] - 1) > 0.1:
        change = 100 * (columns["volume_ratio"] - 1)
        texts.append(f"the volume changed by {change:+.0f} % in the relaxation: the cell as given is no equilibrium")
    if columns.get("second_opinion_disagrees"):
        texts.append("network and potential disagree about the moduli: look at both before relying on either")
    return texts
