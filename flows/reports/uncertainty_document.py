"""docs/uncertainty.md: do the intervals keep their promise, do they order errors, does the distance score know more."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.reports.accuracy_document import tensor_name, unit_of
from flows.reports.markdown import figures, markdown_table, percent, render
from models.quantities import TENSORS, Tensor
from models.symmetry.crystal_systems import CRYSTAL_SYSTEMS

if TYPE_CHECKING:
    from gmt_tasks.evaluation.calibration import Coverage
    from gmt_tasks.evaluation.evaluation import Evaluation

PROMISED = 90.0
BAND = (85.0, 95.0)
"""Coverage outside this band is flagged."""

EVERY_SYSTEM = "all"
AUROC_TARGET = 0.8


def uncertainty_document(evaluation: "Evaluation", pictures: dict[str, str]) -> str:
    """The whole document as Markdown.

    Args:
        evaluation: figures of a model.
        pictures: paths relative to the document by name: "reliability", "selective", "novelty"; those not drawn are
            left out.
    """
    rows = [row for row in evaluation.coverage if row.split == "test"]
    bounded = [row for row in rows if row.coverage == row.coverage]
    return render(
        "uncertainty.md",
        evaluation=evaluation,
        pictures=pictures,
        calibrated=bool(bounded),
        promised=f"{PROMISED:.0f}",
        band=[f"{end:.0f}" for end in BAND],
        quantities_kept=_kept([row for row in bounded if row.system == EVERY_SYSTEM]),
        systems_kept=_kept([row for row in bounded if row.system != EVERY_SYSTEM]),
        coverage=coverage_table(rows),
        coverage_by_system=system_table(rows),
        selective=selective_table(evaluation),
        auroc_target=AUROC_TARGET,
        found=sum(each.auroc >= AUROC_TARGET for each in evaluation.families),
        found_uncounted=sum(each.auroc_uncounted >= AUROC_TARGET for each in evaluation.families),
        families=family_table(evaluation),
        errors=error_table(evaluation),
    )


def _kept(rows: Sequence["Coverage"]) -> str:
    return f"{sum(BAND[0] <= row.coverage <= BAND[1] for row in rows)} of {len(rows)}"


def quantity_name(name: str) -> str:
    """A derived column as code; the error column of a tensor as "tensor C"."""
    tensors = {quantity.error_column: f"tensor {quantity.symbol}" for quantity in TENSORS.values()}
    return tensors.get(name, f"`{name}`")


def coverage_cell(row: "Coverage") -> str:
    """Coverage in percent, bold outside the band, with a star where chance is no good explanation."""
    from gmt_tasks.evaluation.calibration import chance_of_coverage

    if row.coverage != row.coverage:
        return "-"
    text = f"{row.coverage:.1f}" if BAND[0] <= row.coverage <= BAND[1] else f"**{row.coverage:.1f}**"
    bounded = round(row.n * (1 - row.unbounded / 100))
    return text + ("\\*" if chance_of_coverage(row.coverage, bounded, PROMISED) < 0.05 else "")


def coverage_table(rows: Sequence["Coverage"]) -> str:
    """Coverage over all crystals, one line per quantity."""
    head = ("quantity", "unit", "n", "coverage, %", "mean width", "without interval, %")
    body = [
        [
            quantity_name(row.quantity),
            unit_of(row.quantity),
            str(row.n),
            coverage_cell(row),
            figures(row.mean_width),
            percent(row.unbounded),
        ]
        for row in rows
        if row.system == EVERY_SYSTEM
    ]
    return markdown_table(head, body, texts=2)


def system_table(rows: Sequence["Coverage"]) -> str:
    """Coverage per crystal system, one line per quantity."""
    systems = [name for name in CRYSTAL_SYSTEMS if any(row.system == name for row in rows)]
    found = {(row.quantity, row.system): row for row in rows}
    body = []
    for name in dict.fromkeys(row.quantity for row in rows):
        cells = [found.get((name, system)) for system in systems]
        body.append([quantity_name(name), *(f"{coverage_cell(c)} ({c.n})" if c else "" for c in cells)])
    return markdown_table(("quantity", *systems), body)


def selective_table(evaluation: "Evaluation") -> str:
    """What keeping the most certain crystals gains, one line per quantity."""
    rows = []
    for curve in (each for each in evaluation.curves if each.split == "test"):
        room = curve.aurc_random - curve.aurc_oracle
        gained = f"{100 * (curve.aurc_random - curve.aurc) / room:.0f}".replace("-", "−") if room > 0 else "-"
        areas = [figures(area) for area in (curve.aurc, curve.aurc_random, curve.aurc_oracle)]
        rows.append([quantity_name(curve.quantity), str(curve.n), *areas, gained])
    return markdown_table(("quantity", "n", "AURC", "random order", "perfect order", "of the way, %"), rows)


def family_table(evaluation: "Evaluation") -> str:
    """How well each family that was left out is found."""
    head = (
        "family left out", "crystals", "AUROC", "AUROC without element count", "flagged of the family, %",
        "flagged of the others, %",
    )  # fmt: skip
    rows = [
        [
            each.family,
            str(each.n_outside),
            *(f"{a:.2f}" if a >= AUROC_TARGET else f"**{a:.2f}**" for a in (each.auroc, each.auroc_uncounted)),
            percent(100 * each.flagged_outside, 0),
            percent(100 * each.flagged_inside, 0),
        ]
        for each in evaluation.families
    ]
    return markdown_table(head, rows)


def error_table(evaluation: "Evaluation") -> str:
    """Errors of near and far crystals, both splits."""
    head = ("tensor", "split", "n", "nearest third", "middle", "farthest third", "Spearman", "flagged (n)")
    rows = [
        [
            tensor_name(Tensor(each.quantity)).partition(",")[0],
            each.split,
            str(each.n),
            figures(each.median_low),
            figures(each.median_middle),
            figures(each.median_high),
            f"{each.spearman:.2f}".replace("-", "−"),
            f"{figures(each.median_flagged)} ({each.n_flagged})",
        ]
        for each in evaluation.applicability
    ]
    return markdown_table(head, rows, texts=2)
