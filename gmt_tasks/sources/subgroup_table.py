"""Makes models/plausibility/maximal_subgroups.csv: the maximal subgroups of each space-group type, by their numbers.

They are those of the International Tables for Crystallography, volume A1, as pymatgen ships them: translationengleiche
and klassengleiche ones. Run as `python -m gmt_tasks.sources.subgroup_table PATH` after an update of pymatgen's data.
"""

import sys
from pathlib import Path

from pymatgen.symmetry.groups import SYMM_DATA

N_TYPES = 230


def subgroup_rows() -> list[str]:
    """One line per type, ascending: its number, and those of its maximal subgroups other than itself."""
    maximal = {int(number): set(subgroups) for number, subgroups in SYMM_DATA["maximal_subgroups"].items()}
    rows = [(number, sorted(maximal[number] - {number})) for number in range(1, N_TYPES + 1)]
    return ["spacegroup,maximal_subgroups", *(f"{number},{' '.join(map(str, row))}" for number, row in rows)]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text("".join(f"{line}\n" for line in subgroup_rows()), encoding="utf-8")
