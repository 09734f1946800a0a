"""docs/uncertainty.md: coverage of the intervals, selective prediction, and errors by the distance score."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.reports.accuracy_document import tensor_name, unit_of
from flows.reports.breakdown_tables import size_table, stability_table
from flows.reports.markdown import figures, markdown_table, percent, render
from flows.reports.reliability_tables import reliability_table, signal_table
from models.crystals.crystal_systems import CRYSTAL_SYSTEMS
from models.quantities import TENSORS, Tensor

if TYPE_CHECKING:
    from gmt_tasks.evaluation.calibration import Coverage
    from gmt_tasks.evaluation.evaluation import Evaluation

NOMINAL = 90.0
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
    # One count over all systems, one over single systems: the latter shows what averages hide.
    return render(
        "uncertainty.md",
        evaluation=evaluation,
        pictures=pictures,
        calibrated=bool(bounded),
        nominal=f"{NOMINAL:.0f}",
        band=[f"{end:.0f}" for end in BAND],
        quantities_kept=_share_in_band([row for row in bounded if row.system == EVERY_SYSTEM]),
        systems_kept=_share_in_band([row for row in bounded if row.system != EVERY_SYSTEM]),
        coverage=coverage_table(rows),
        coverage_by_system=system_table(rows),
        sizes=size_table(evaluation.breakdown),
        stability=stability_table(evaluation.breakdown),
        reliability=reliability_table(evaluation) if evaluation.error_rankings else "",
        signals=signal_table(evaluation),
        selective=selective_table(evaluation),
        auroc_target=AUROC_TARGET,
        detected=sum(family.auroc >= AUROC_TARGET for family in evaluation.families),
        detected_uncounted=sum(family.auroc_uncounted >= AUROC_TARGET for family in evaluation.families),
        families=family_table(evaluation),
        errors=error_table(evaluation),
    )


def _share_in_band(rows: Sequence["Coverage"]) -> str:
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
    # Crystals without interval were not counted, so they are no trials of the test either.
    bounded = round(row.n * (1 - row.unbounded / 100))
    return text + ("\\*" if chance_of_coverage(row.coverage, bounded, NOMINAL) < 0.05 else "")


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
    measured = {row.system for row in rows}
    systems = [name for name in CRYSTAL_SYSTEMS if name in measured]
    by_pair = {(row.quantity, row.system): row for row in rows}
    body = []
    for name in dict.fromkeys(row.quantity for row in rows):
        cells = [by_pair.get((name, system)) for system in systems]
        body.append([quantity_name(name), *(f"{coverage_cell(cell)} ({cell.n})" if cell else "" for cell in cells)])
    return markdown_table(("quantity", *systems), body)


def selective_table(evaluation: "Evaluation") -> str:
    """What keeping the most certain crystals gains, one line per quantity."""
    rows = []
    for curve in evaluation.curves:
        if curve.split != "test":
            continue
        # As a share of what the perfect order would gain: areas of different quantities have different units.
        most = curve.aurc_random - curve.aurc_oracle
        gained = f"{100 * (curve.aurc_random - curve.aurc) / most:.0f}".replace("-", "−") if most > 0 else "-"
        areas = [figures(area) for area in (curve.aurc, curve.aurc_random, curve.aurc_oracle)]
        rows.append([quantity_name(curve.quantity), str(curve.n), *areas, gained])
    return markdown_table(("quantity", "n", "AURC", "random order", "perfect order", "of the way, %"), rows)


def family_table(evaluation: "Evaluation") -> str:
    """How well each family of crystals that was left out is detected."""
    head = (
        "family left out", "crystals", "AUROC", "AUROC without element count", "flagged of the family, %",
        "flagged of the others, %",
    )  # fmt: skip
    rows = []
    for row in evaluation.families:
        areas = (row.auroc, row.auroc_uncounted)
        texts = [f"{area:.2f}" if area >= AUROC_TARGET else f"**{area:.2f}**" for area in areas]
        flagged = (percent(100 * row.flagged_outside, 0), percent(100 * row.flagged_inside, 0))
        rows.append([row.family, str(row.n_outside), *texts, *flagged])
    return markdown_table(head, rows)


def error_table(evaluation: "Evaluation") -> str:
    """Errors of near and far crystals, both splits."""
    head = ("tensor", "split", "n", "nearest third", "middle", "farthest third", "Spearman", "flagged (n)")
    rows = [
        [
            tensor_name(Tensor(row.quantity)).partition(",")[0],  # without unit: the errors are relative
            row.split,
            str(row.n),
            figures(row.median_low),
            figures(row.median_middle),
            figures(row.median_high),
            f"{row.spearman:.2f}".replace("-", "−"),
            f"{figures(row.median_flagged)} ({row.n_flagged})",
        ]
        for row in evaluation.applicability
    ]
    return markdown_table(head, rows, texts=2)
