"""Makes models/plausibility/oxidation_states.csv: electronegativities and oxidation states of the elements.

Electronegativities are Pauling's, states are those that pymatgen calls common (Greenwood and Earnshaw, Chemistry of the
Elements, 2nd ed., 1997) and those that it finds at least eleven times in the ICSD (A. Jain et al., APL Mater. 1, 011002
(2013)), with additions that stand below. Run as `python -m gmt_tasks.sources.oxidation_table PATH` after an update of
pymatgen's data.
"""

import sys
from pathlib import Path

from pymatgen.core.periodic_table import Element

from models.crystals.crystal import MAX_ATOMIC_NUMBER, SYMBOLS

ADDED = {"Au": (-1,), "Pt": (-2,)}
"""States of whole classes of compounds that neither list has: aurides, platinides."""

RARE = "Tc Ru Rh Pd Os Ir Pt Au Pa Np Pu Am".split()
"""Metals of which the ICSD has so few compounds that the lists miss known states: their positive ones all count."""


def oxidation_row(number: int) -> tuple[str, str, str]:
    """Symbol, Pauling electronegativity and states other than 0 in ascending order; empty where there are none.

    Args:
        number: atomic number.
    """
    symbol = SYMBOLS[number]
    element = Element(symbol)
    states = {*element.common_oxidation_states, *element.icsd_oxidation_states, *ADDED.get(symbol, ())} - {0}
    if symbol in RARE:
        states |= {state for state in element.oxidation_states if state > 0}
    electronegativity = float(element.data.get("X") or "nan")
    known = f"{electronegativity:g}" if electronegativity == electronegativity else ""
    return symbol, known, " ".join(f"{state:+d}" for state in sorted(states))


def write_oxidation_states(path: Path) -> None:
    """Writes the table as CSV, one element per line in the order of atomic numbers."""
    rows = [("symbol", "electronegativity_pauling", "oxidation_states")]
    rows += [oxidation_row(number) for number in range(1, MAX_ATOMIC_NUMBER + 1)]
    path.write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    write_oxidation_states(Path(sys.argv[1]))
