"""docs/well-known-crystals.md: predictions beside literature, crystal by crystal, with the misses explained by hand."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from flows.reports.markdown import figures, markdown_table, render
from flows.reports.plot_parity import OUTLIER, POLAR, WURTZITES, short_property
from models.quantities import DERIVED, TENSORS, Tensor

if TYPE_CHECKING:
    from gmt_tasks.evaluation.evaluation import Evaluation
    from gmt_tasks.evaluation.literature import LiteratureComparison

MISSES = Path(__file__).with_name("misses_explained.md")
"""Written by hand and included as it is; nothing regenerates it."""

PARTS = {
    "train": "in train: a fit, no forecast",
    "val": "in val: not trained on, but intervals and choices come from there",
    "test": "in test: a forecast",
    "none": "without any label: a forecast",
}


def well_known_document(evaluation: "Evaluation", picture: str) -> str:
    """The whole document as Markdown.

    Args:
        evaluation: figures of a model.
        picture: path of the parity plot, relative to the document.
    """
    rows = evaluation.literature
    # What each part of the data means, and the crystals whose formula is in it.
    titles: dict[str, list[str]] = {part: [] for part in PARTS}
    for row in rows:
        if row.title not in titles[row.part]:
            titles[row.part].append(row.title)
    polar = [row for row in rows if row.crystal in WURTZITES and row.name in POLAR]
    return render(
        "well-known-crystals.md",
        evaluation=evaluation,
        summary=summary_table(rows),
        parts=[(PARTS[part], crystals) for part, crystals in titles.items() if crystals],
        picture=picture,
        wurtzites=wurtzite_table(polar),
        n_right=sum(row.ratio > 0 for row in polar),
        n_signs=len(polar),
        misses=MISSES.read_text(encoding="utf-8").rstrip(),
        comparisons=comparison_table(rows),
        sources=list(dict.fromkeys(row.source for row in rows)),
    )


def summary_table(rows: Sequence["LiteratureComparison"]) -> str:
    """How close predictions are, by tensor and by whether labels of the formula were trained on."""
    body = []
    for tensor in Tensor:
        for name, parts in (("train", {"train"}), ("not train", {"val", "test", "none"})):
            chosen = [row for row in rows if row.tensor is tensor and row.part in parts and row.literature]
            if chosen:
                body.append([TENSORS[tensor].symbol, name, *_summary(chosen)])
    head = ("tensor", "formula in", "values", "median deviation", "within 25 %", "off by a factor 2", "inside 90 %")
    return markdown_table(head, body, texts=2)


def _summary(rows: Sequence["LiteratureComparison"]) -> list[str]:
    off = [abs(row.ratio - 1) for row in rows]
    # A wrong sign is off by more than any factor.
    far = sum(row.ratio <= 0 or abs(math.log(row.ratio)) > math.log(OUTLIER) for row in rows)
    bounded = [row.inside for row in rows if row.inside is not None]
    inside = f"{sum(bounded)} of {len(bounded)}" if bounded else "-"
    n = len(rows)
    return [
        str(n),
        f"{100 * median(off):.0f} %",
        f"{sum(deviation <= 0.25 for deviation in off)} of {n}",
        f"{far} of {n}",
        inside,
    ]


def wurtzite_table(polar: Sequence["LiteratureComparison"]) -> str:
    """Signs of e33 and e31 of wurtzites where the literature gives them."""
    body = []
    for row in polar:
        sign = "right" if row.ratio > 0 else "**wrong**"
        body.append([row.title, row.part, short_property(row.name), *_values(row), sign])
    head = ("crystal", "part", "component", "literature, C/m²", "predicted, C/m²", "90 %", "ratio", "sign")
    return markdown_table(head, body, texts=3)


def comparison_table(rows: Sequence["LiteratureComparison"]) -> str:
    """Every comparison; a crystal's name, part and flags stand in its first row."""
    # Numbered as in the document's list of sources: both follow the order of the rows.
    sources = list(dict.fromkeys(row.source for row in rows))
    head = ("crystal", "part", "property", "literature", "predicted", "90 %", "ratio", "inside", "source")
    body, last = [], ""
    for row in rows:
        title = row.title + (f" ({', '.join(row.flags)})" if row.flags else "")
        first = [title, row.part] if row.crystal != last else ["", ""]
        inside = "-" if row.inside is None else "yes" if row.inside else "**no**"
        body.append([*first, with_unit(row), *_values(row), inside, f"[{sources.index(row.source) + 1}]"])
        last = row.crystal
    return markdown_table(head, body, texts=3)


def _values(row: "LiteratureComparison") -> list[str]:
    """Literature, prediction, both ends of its interval and predicted / literature; "-" where there is none."""
    interval = "-" if row.inside is None else f"{figures(row.lower)} to {figures(row.upper)}"
    ratio = "-" if math.isnan(row.ratio) else f"{row.ratio:.2f}".replace("-", "−")
    return [figures(row.literature), figures(row.predicted), interval, ratio]


def with_unit(row: "LiteratureComparison") -> str:
    """A property with its unit, e.g. "C13, GPa"."""
    unit = DERIVED[row.name].unit if row.name in DERIVED else TENSORS[row.tensor].unit
    name = short_property(row.name).replace("|", "&#124;")
    return name if unit == "1" else f"{name}, {unit.replace('^2', '²')}"
