"""docs/well-known-crystals.md: predictions beside literature, crystal by crystal, with the misses explained by hand."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from flows.reports.accuracy_document import provenance_lines
from flows.reports.markdown import figures, markdown_table
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
    lines = ["# Well-known crystals", "", *provenance_lines(evaluation), "", *_INTRODUCTION, ""]
    lines += ["## In short", "", *summary_table(rows), "", *_parts_lines(rows), ""]
    caption = "Predicted against literature: sizes of all values, and the polar components of wurtzites with sign."
    lines += [f"![{caption}]({picture})", "", caption + " Open symbols: the sign is wrong.", ""]
    lines += ["## Wurtzites: sign and size of the polar components", "", *wurtzite_table(rows), ""]
    lines += [MISSES.read_text(encoding="utf-8").rstrip(), ""]
    lines += ["## All values", "", *_ALL, "", *comparison_table(rows), "", *_source_lines(rows), ""]
    return "\n".join(lines)


_INTRODUCTION = [
    "Literature values are mostly experimental, near room temperature. The model imitates semilocal DFT (mostly PBE) "
    "at 0 K, so 5 to 10 % are expected of C, more of ε and e, even from a perfect model. The part says where labels of "
    "the formula belong, of any polymorph: for formulas in train a good row is a fit, no forecast."
]
_ALL = [
    "Interval of a component: of all tensors within the 90 % error radius of the predicted one that obey the point "
    "group, how far the component reaches. It holds for all components at once, so single ones are inside more often. "
    "Bold: the literature value is outside. Axes as in the source: z along the polar or unique axis."
]


def summary_table(rows: Sequence["LiteratureComparison"]) -> list[str]:
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
    far = sum(row.ratio <= 0 or abs(math.log(row.ratio)) > math.log(OUTLIER) for row in rows)
    known = [row.inside for row in rows if row.inside is not None]
    inside = f"{sum(known)} of {len(known)}" if known else "-"
    n = len(rows)
    return [
        str(n),
        f"{100 * median(off):.0f} %",
        f"{sum(each <= 0.25 for each in off)} of {n}",
        f"{far} of {n}",
        inside,
    ]


def _parts_lines(rows: Sequence["LiteratureComparison"]) -> list[str]:
    """Which formulas are in which part of the data."""
    lines = []
    for part, meaning in PARTS.items():
        titles = list(dict.fromkeys(row.title for row in rows if row.part == part))
        if titles:
            lines.append(f"- **Formula {meaning}** ({len(titles)} crystals): {', '.join(titles)}.")
    return lines


def wurtzite_table(rows: Sequence["LiteratureComparison"]) -> list[str]:
    """Signs of e33 and e31 where the literature knows them."""
    polar = [row for row in rows if row.crystal in WURTZITES and row.name in POLAR]
    body = []
    for row in polar:
        sign = "right" if row.ratio > 0 else "**wrong**"
        values = [figures(row.literature), figures(row.predicted), interval_text(row), ratio_text(row)]
        body.append([row.title, row.part, short_property(row.name), *values, sign])
    right = sum(row.ratio > 0 for row in polar)
    head = ("crystal", "part", "component", "literature, C/m²", "predicted, C/m²", "90 %", "ratio", "sign")
    return [
        "+z points along the bond from cation to anion (metal face), so that e33 > 0. "
        f"Signs are right for {right} of {len(polar)} values.",
        "",
        *markdown_table(head, body, texts=3),
    ]


def comparison_table(rows: Sequence["LiteratureComparison"]) -> list[str]:
    """Every comparison; a crystal's name, part and flags stand in its first row."""
    sources = _sources(rows)
    head = ("crystal", "part", "property", "literature", "predicted", "90 %", "ratio", "inside", "source")
    body, last = [], ""
    for row in rows:
        title = row.title + (f" ({', '.join(row.flags)})" if row.flags else "")
        first = [title, row.part] if row.crystal != last else ["", ""]
        inside = "-" if row.inside is None else "yes" if row.inside else "**no**"
        numbers = [figures(row.literature), figures(row.predicted), interval_text(row), ratio_text(row)]
        body.append([*first, with_unit(row), *numbers, inside, f"[{sources.index(row.source) + 1}]"])
        last = row.crystal
    return markdown_table(head, body, texts=3)


def interval_text(row: "LiteratureComparison") -> str:
    """Both ends of the interval, "-" without one."""
    return "-" if row.inside is None else f"{figures(row.lower)} to {figures(row.upper)}"


def ratio_text(row: "LiteratureComparison") -> str:
    """Predicted / literature with two decimals."""
    return "-" if math.isnan(row.ratio) else f"{row.ratio:.2f}".replace("-", "−")


def with_unit(row: "LiteratureComparison") -> str:
    """A property with its unit, e.g. "C13, GPa"."""
    unit = DERIVED[row.name].unit if row.name in DERIVED else TENSORS[row.tensor].unit
    name = short_property(row.name).replace("|", "&#124;")
    return name if unit == "1" else f"{name}, {unit.replace('^2', '²')}"


def _sources(rows: Sequence["LiteratureComparison"]) -> list[str]:
    return list(dict.fromkeys(row.source for row in rows))


def _source_lines(rows: Sequence["LiteratureComparison"]) -> list[str]:
    return [f"{number}. {source}" for number, source in enumerate(_sources(rows), 1)]
