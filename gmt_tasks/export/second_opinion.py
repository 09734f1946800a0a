"""What a reader sees of a second opinion: the same facts in the same words on a terminal and on a crystal's page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from db.records import COMBINED, Floats, is_combined
from gmt_tasks.refinement.opinions import UNSTABLE_THZ
from models.quantities import DERIVED

MODULI = {"k_vrh_gpa": "potential_k_vrh_gpa", "g_vrh_gpa": "potential_g_vrh_gpa"}
"""Moduli that network, potential and both together give, with the property that holds the potential's."""

MODULI_NOTE = "moduli: by the network of the crystal as given; by the potential and by both combined of the relaxed one"

FERROELECTRIC_CANDIDATE = "ferroelectric candidate"

SMALLEST_PRESSURE_GPA = 0.005
"""What is printed as 0.00 wants neither."""


@dataclass(frozen=True)
class Modulus:
    """A modulus by network, by potential, and by both.

    Attributes:
        name: of the property.
        label: in words.
        network: of the crystal as given, by the network alone; None where it has no result.
        network_interval: ends of its 90 % interval.
        potential: of the relaxed crystal, by the potential alone; None where its stiffness is not positive definite.
        combined: of the relaxed crystal, by both.
        combined_interval: ends of its 90 % interval.
    """

    name: str
    label: str
    unit: str
    network: float | None
    network_interval: list[float] | None
    potential: float | None
    combined: float | None
    combined_interval: list[float] | None


@dataclass(frozen=True)
class Mode:
    """Modes at the zone centre of one frequency; `remark` marks unstable ones and is empty for the others."""

    frequency_thz: float
    degeneracy: int
    irrep: str
    polar: bool
    unstable: bool
    remark: str


@dataclass(frozen=True)
class OpinionReport:
    """One second opinion for reading.

    Attributes:
        model: combined model, NAME@VERSION.
        potential: NAME@VERSION.
        facts: pairs of a name and what is to be said about it.
        moduli: by network, potential and both.
        modes: at the zone centre, by frequency.
        notes: sentences, such as why a number is missing.
    """

    model: str
    potential: str
    facts: list[tuple[str, str]]
    moduli: list[Modulus]
    modes: list[Mode]
    notes: list[str]


def opinion_reports(facts: Mapping[str, Any]) -> list[OpinionReport]:
    """The second opinions about a crystal, the newest first.

    Args:
        facts: of `ResultStore.show`.
    """
    return [
        OpinionReport(
            opinion["model"],
            opinion["potential"],
            list(_facts(opinion)),
            moduli_of(facts, opinion),
            modes_of(opinion),
            list(opinion["notes"]),
        )
        for opinion in facts["second_opinions"]
    ]


def opinion_object(facts: Mapping[str, Any], opinion: Mapping[str, Any]) -> dict[str, Any]:
    """One second opinion as JSON: every number with its unit in its name, moduli and modes as objects.

    Args:
        facts: of `ResultStore.show`.
        opinion: one of its `second_opinions`.
    """
    relaxed = opinion["relaxed"]
    return {
        "model": opinion["model"],
        "potential": opinion["potential"],
        **opinion["columns"],
        "relaxed": {
            "lattice_angstrom": relaxed["lattice"],
            "numbers": relaxed["numbers"],
            "frac_coords": relaxed["frac_coords"],
        },
        "strain_voigt": opinion["strain"],
        "given_stress_gpa": opinion["given_stress_gpa"],
        "stiffness_gpa": opinion["stiffness_gpa"],
        "stiffness_clamped_gpa": opinion["stiffness_clamped_gpa"],
        "moduli": {
            one.name: {
                "network": one.network,
                "network_interval": one.network_interval,
                "potential": one.potential,
                "combined": one.combined,
                "combined_interval": one.combined_interval,
            }
            for one in moduli_of(facts, opinion)
        },
        "modes": [
            {**mode, "unstable": shown.unstable, "ferroelectric_candidate": shown.remark == FERROELECTRIC_CANDIDATE}
            for mode, shown in zip(opinion["modes"], modes_of(opinion), strict=True)
        ],
        "notes": opinion["notes"],
    }


def moduli_of(facts: Mapping[str, Any], opinion: Mapping[str, Any]) -> list[Modulus]:
    """Moduli of a crystal by network, potential and both.

    Args:
        facts: of `ResultStore.show`.
        opinion: one of its `second_opinions`.
    """
    combined: Mapping[str, Any] = next((one for one in facts["results"] if one["model"] == opinion["model"]), {})
    network = network_result(facts["results"], opinion["model"]) or {}
    rows = []
    for name, by_potential in MODULI.items():
        quantity = DERIVED[name]
        values = [one.get("derived", {}).get(name) for one in (network, combined)]
        ends = [one.get("uncertainty", {}).get(name) for one in (network, combined)]
        potential = opinion["columns"].get(by_potential)
        rows.append(Modulus(name, quantity.label, quantity.unit, values[0], ends[0], potential, values[1], ends[1]))
    return rows


def network_result(results: Sequence[Mapping[str, Any]], combined: str) -> Mapping[str, Any] | None:
    """The result of the network that a combined model is made with; None where it is not stored.

    Args:
        results: of a crystal, see `ResultStore.show`.
        combined: NETWORK+POTENTIAL@VERSION+VERSION+VERSION; a version may hold "+" itself.
    """
    fitting = []
    of_name, _, of_version = combined.partition("@")
    for result in results:
        name, _, version = result["model"].partition("@")
        joined = of_name.startswith(f"{name}{COMBINED}") and of_version.startswith(f"{version}{COMBINED}")
        if joined and not is_combined(result["model"]):
            fitting.append(result)
    return max(fitting, key=lambda result: len(result["model"]), default=None)


def modes_of(opinion: Mapping[str, Any]) -> list[Mode]:
    """Modes at the zone centre, unstable ones with a remark."""
    modes = []
    for mode in opinion["modes"]:
        unstable = mode["frequency_thz"] < UNSTABLE_THZ
        remark = "" if not unstable else FERROELECTRIC_CANDIDATE if mode["polar"] else "unstable"
        modes.append(Mode(**mode, unstable=unstable, remark=remark))
    return modes


def _facts(opinion: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What the potential found, in the order in which it is asked: relaxation, modes, without symmetry, hull, cost."""
    columns = opinion["columns"]
    yield "potential", opinion["potential"]
    yield from _relaxation_facts(opinion)
    yield "zone centre", _stability(opinion)
    yield "without symmetry", _without_symmetry(columns)
    yield "energy above the hull", _above_hull(columns)
    if columns["second_opinion_disagrees"] is not None:
        agreed = "they differ in a modulus by more than both are usually wrong: look at both before relying on either"
        yield "network and potential", agreed if columns["second_opinion_disagrees"] else "they agree about the moduli"
    if columns["refinement_seconds"] is not None:
        cells = f", {columns['n_evaluations']} cells evaluated" if columns["n_evaluations"] is not None else ""
        yield "cost", f"{columns['refinement_seconds']:.3g} s of processor time{cells}"


def _relaxation_facts(opinion: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """How the relaxation that keeps the space group ended, and how far the crystal as given was from there."""
    columns = opinion["columns"]
    ends = {"converged": "converged", "not_converged": "NOT CONVERGED: it reached its step limit"}
    kept = columns["symmetric_spacegroup"]
    if columns["relaxation"] is not None:
        group = f", in space group {kept}" if kept is not None else ""
        yield "relaxation", ends.get(columns["relaxation"], columns["relaxation"]) + group
    if (ratio := columns["volume_ratio"]) is not None:
        yield "volume", f"{ratio:.4f} times that of the cell as given ({100 * (ratio - 1):+.2f} %)"
    strain = 100 * np.asarray(opinion["strain"])
    yield "strain of the cell", f"{_voigt(strain, 3)} % (Voigt order 11 22 33 23 13 12, shears doubled)"
    if (displacement := columns["max_displacement_angstrom"]) is not None:
        yield "largest displacement", f"{displacement:.3f} angstrom, beside the strain of the cell"
    stress = np.asarray(opinion["given_stress_gpa"])
    components = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    pressure = columns["given_pressure_gpa"]
    of_pressure = ""
    if pressure is not None and abs(pressure) >= SMALLEST_PRESSURE_GPA:
        of_pressure = f"; pressure {pressure:+.2f} GPa: it wants to {'expand' if pressure > 0 else 'shrink'}"
    yield "stress as given", f"{_voigt(components, 2)} GPa (Voigt order, negative under pressure{of_pressure})"
    if (force := columns["given_force_max_ev_per_angstrom"]) is not None:
        yield "largest force as given", f"{force:.3f} eV/angstrom"
    if (gained := columns["relaxation_energy_ev_per_atom"]) is not None:
        yield "energy gained", f"{max(0.0, -1000 * gained):.1f} meV per atom"


def _voigt(values: Floats, digits: int) -> str:
    """Six components in Voigt order; what rounds to zero has no sign."""
    return " ".join(f"{value:+.{digits}f}" if round(abs(value), digits) else "0" for value in values.tolist())


def _stability(opinion: Mapping[str, Any]) -> str:
    """Whether the relaxed crystal is stable against all that keeps its primitive cell, and what breaks it."""
    columns = opinion["columns"]
    lowest = columns["lowest_mode_thz"]
    of_modes = "" if lowest is None else f"; lowest optical mode {lowest:+.2f} THz".replace("+", "")
    if columns["gamma_stable"] is None:
        return f"not known{of_modes}"
    if columns["gamma_stable"]:
        return f"stable{of_modes}"
    unstable = [mode for mode in modes_of(opinion) if mode.unstable]
    if not unstable:
        return f"UNSTABLE: a homogeneous strain lowers the energy{of_modes}"
    named = ", ".join(f"{mode.irrep or 'no irrep'} at {mode.frequency_thz:.2f} THz" for mode in unstable)
    polar = any(mode.polar for mode in unstable)
    kind = f"polar, so a {FERROELECTRIC_CANDIDATE}" if polar else "not polar"
    return f"UNSTABLE: {named} ({kind})"


def _without_symmetry(columns: Mapping[str, Any]) -> str:
    """Where the crystal goes when nothing holds its space group."""
    group, gain = columns["refined_spacegroup"], columns["symmetry_breaking_energy_ev_per_atom"]
    if columns["gamma_stable"]:
        return f"it stays in space group {group}" if group is not None else "it stays"
    if group is None:
        return "not known: the relaxation along the softest mode found no end"
    lower = "" if gain is None else f", {max(0.0, -1000 * gain):.1f} meV per atom lower"
    return f"it goes to space group {group}{lower}"


def _above_hull(columns: Mapping[str, Any]) -> str:
    """Energy above the hull with its uncertainty and the number of references."""
    energy, width, n = (
        columns[name]
        for name in ("e_above_hull_ev_per_atom", "e_above_hull_uncertainty_ev_per_atom", "n_hull_references")
    )
    references = "" if n is None else f", {n} reference{'' if n == 1 else 's'}"
    if energy is None:
        return f"not known{references}"
    interval = "" if width is None else f" ± {1000 * width:.0f} (90 %)"
    return f"{1000 * energy:+.0f}{interval} meV per atom{references}"
