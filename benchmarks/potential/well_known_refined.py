"""Well-known crystals before and after a second opinion, beside literature: what `refine` is worth where one knows.

    gmtscreen screen reference --db ref.db && gmtscreen refine 'n_atoms > 0' --top 100 --db ref.db
    python -m benchmarks.potential.well_known_refined --db ref.db

Prints ten crystals as a table, each number as: network for the cell as given, combined at the relaxed cell, literature;
and over all reference crystals the median relative error of each kind of tensor before and after.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from db.store import ResultStore
from flows.reports.markdown import figures, markdown_table
from gmt_tasks.evaluation.literature_names import predicted_value
from gmt_tasks.sources.generated.reference_crystals import reference_crystals

TEN = ("diamond", "si", "gaas", "mgo", "bn-cubic", "aln", "zno", "quartz", "batio3-tetragonal", "linbo3")
COLUMNS = {
    "C11, GPa": ("c11_gpa",),
    "C33 or C12, GPa": ("c33_gpa", "c12_gpa"),
    "C44, GPa": ("c44_gpa",),
    "ε": ("eps_electronic_mean", "eps_total_33"),
    "e33 or e14, C/m²": ("e33_c_per_m2", "e14_abs_c_per_m2"),
}
KINDS = {"C": "_gpa", "ε": "eps_", "e": "_c_per_m2"}


def main() -> None:
    """Reads both results of every crystal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--db", type=Path, required=True)
    asked = parser.parse_args()
    with ResultStore.open_existing(asked.db) as store:
        shown = {name: store.show(f"reference:{name}") for name in reference_crystals()}
    literature = {name: crystal.literature for name, crystal in reference_crystals().items()}
    sys.stdout.write(ten_table(shown, literature) + "\n\n")
    for kind, mark in KINDS.items():
        errors = np.array([_errors(shown[name], of, known[of][0]) for name, known in literature.items()
                           for of in known if mark in of and known[of][0]])  # fmt: skip
        before, after = (f"{100 * float(np.median(column)):.1f} %" for column in errors.T)
        sys.stdout.write(f"{kind}: median relative error {before} -> {after} ({len(errors)} literature values)\n")


def before_and_after(shown: dict[str, Any], name: str) -> tuple[float, float]:
    """The network's number for the cell as given, and the combined one; NaN where there is none."""
    by_kind = {"+" in result["model"]: result for result in reversed(shown["results"])}
    said = [predicted_value(name, by_kind[combined]) if combined in by_kind else None for combined in (False, True)]
    before, after = (float("nan") if value is None else value for value in said)
    return before, after


def _errors(shown: dict[str, Any], name: str, truth: float) -> list[float]:
    return [abs(value / truth - 1) for value in before_and_after(shown, name)]


def ten_table(shown: dict[str, dict[str, Any]], literature: dict[str, dict[str, tuple[float, str]]]) -> str:
    """Ten crystals: V / V0, stability, and numbers as before, after, literature."""
    rows = []
    for name in TEN:
        (opinion,) = (one["columns"] for one in shown[name]["second_opinions"])
        stable = "yes" if opinion["gamma_stable"] else f"no, towards {opinion['refined_spacegroup']}"
        cells = [_cell(shown[name], literature[name], names) for names in COLUMNS.values()]
        rows.append([shown[name]["formula"], name, figures(opinion["volume_ratio"]), stable, *cells])
    return markdown_table(("formula", "crystal", "V / V given", "stable at Γ", *COLUMNS), rows, texts=4)


def _cell(shown: dict[str, Any], literature: dict[str, tuple[float, str]], names: tuple[str, ...]) -> str:
    known = [name for name in names if name in literature]
    if not known:
        return "-"
    return ", ".join(figures(value) for value in (*before_and_after(shown, known[0]), literature[known[0]][0]))


if __name__ == "__main__":
    main()
