"""Searches that people come for, each with a name: a filter, an order and the columns to look at.

`preset:piezo` stands for its filter wherever a term may stand, alone or as `preset:piezo AND elements HAS "Al"`. A
preset hides nothing: its filter is text of the same language, printed beside the answer, to be copied and changed.
"""

import re
from dataclasses import dataclass

from models.errors import FilterError

_BELIEVABLE = (
    "NOT ood AND NOT symmetry_ambiguous AND NOT low_dimensional AND NOT doubtful"
    # results of models before 0.4 do not say it
    " AND (NOT off_equilibrium OR off_equilibrium IS UNKNOWN)"
)
"""What every preset asks beside its property: a crystal whose numbers can be believed as far as the model can tell."""


@dataclass(frozen=True)
class Preset:
    """A named search.

    Attributes:
        title: a heading.
        filter: text of the filter language.
        sort: a property, with "-" in front for descending.
        fields: properties to show.
        why: what the bounds are and where they come from.
    """

    title: str
    filter: str
    sort: str
    fields: tuple[str, ...]
    why: str


PRESETS: dict[str, Preset] = {
    "piezo": Preset(
        "Strong piezoelectrics",
        f"d_max_pc_per_n > 5 AND elastic_min_eigenvalue_gpa > 20 AND NOT metal AND {_BELIEVABLE}",
        "-d_max_pc_per_n",
        ("id", "formula", "spacegroup", "d_max_pc_per_n", "e_max_c_per_m2", "k_coupling_max", "k_vrh_gpa"),
        "Insulators whose largest strain response is above twice that of quartz (2.3 pC/N) and reaches AlN's (5 pC/N). "
        "d = e C^-1 diverges towards an elastic instability: a mode below 20 GPa is within the error of the network.",
    ),
    "high-k": Preset(
        "High-k dielectrics",
        f"eps_total_mean > 12 AND band_gap_ev > 0.5 AND NOT metal AND {_BELIEVABLE}",
        "-eps_total_mean",
        ("id", "formula", "spacegroup", "eps_total_mean", "eps_electronic_mean", "band_gap_ev", "k_vrh_gpa"),
        "A static dielectric constant above three times that of SiO2 (3.9), with a gap. The bound of the gap is low, "
        "because the predicted one is: 0.8 eV for HfO2, of which 5.8 eV are measured. Check the gap of every hit. "
        "Source of the measured values: Robertson, Rep. Prog. Phys. 69, 327 (2006).",
    ),
    "superhard": Preset(
        "Hard and superhard crystals",
        f"hardness_chen_gpa > 20 AND {_BELIEVABLE}",
        "-hardness_chen_gpa",
        ("id", "formula", "spacegroup", "hardness_chen_gpa", "g_vrh_gpa", "k_vrh_gpa", "pugh_ratio"),
        "Superhard is a Vickers hardness of 40 GPa and more; the bound is half of that, so that what the error of the "
        "prediction may hide is seen too. Source: Chen et al., Intermetallics 19, 1275 (2011).",
    ),
    "low-k-dielectric": Preset(
        "Low-k dielectrics",
        f"eps_total_mean < 5 AND band_gap_ev > 1 AND k_vrh_gpa > 10 AND NOT metal AND {_BELIEVABLE}",
        "eps_total_mean",
        ("id", "formula", "spacegroup", "eps_total_mean", "eps_electronic_mean", "band_gap_ev", "k_vrh_gpa"),
        "Insulators that screen little and that are stiff enough to be made into a film.",
    ),
}
"""Every preset, by the name behind `preset:`."""

MAX_PRESET_TERMS = 10
"""More terms than this no preset has: what one counts for where the terms of a filter are bounded."""

_MENTIONED = re.compile(r'"(?:[^"\\]|\\.)*+"|preset:([a-z0-9-]+)')


def find_preset(name: str, position: int | None = None) -> Preset:
    """The preset of a name.

    Args:
        name: without `preset:`.
        position: where it stands in a filter text, for the error.

    Raises:
        FilterError: there is no such preset; names all.
    """
    if name in PRESETS:
        return PRESETS[name]
    where = "" if position is None else f" at position {position}"
    raise FilterError(f"There is no preset {name[:64]!r}{where}. There are: {', '.join(PRESETS)}.", position)


def preset_in(text: str) -> Preset | None:
    """The first preset that a filter text mentions, which says how to sort and what to show where nobody does."""
    names = [match[1] for match in _MENTIONED.finditer(text) if match[1]]
    return PRESETS.get(names[0]) if names else None
