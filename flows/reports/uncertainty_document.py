"""docs/uncertainty.md: do the intervals keep their promise, do they order errors, does the distance score know more."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flows.reports.accuracy_document import provenance_lines, tensor_name, unit_of
from flows.reports.markdown import figures, markdown_table, percent
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
    lines = ["# Uncertainty", "", *provenance_lines(evaluation), ""]
    lines += ["## Coverage of the 90 % intervals on test", "", *_coverage_part(evaluation), ""]
    lines += _picture(pictures, "reliability", "Found against promised coverage at all levels, widths from val, test.")
    lines += ["## Selective prediction", "", *_selective_part(evaluation), ""]
    lines += _picture(pictures, "selective", "Mean error of the most certain crystals against the share kept, test.")
    lines += ["## Distance to the training data", "", *_applicability_part(evaluation), ""]
    lines += _picture(pictures, "novelty", "Left: families left out. Right: error by thirds of the distance score.")
    return "\n".join(lines)


def _picture(pictures: dict[str, str], name: str, text: str) -> list[str]:
    return [f"![{text}]({pictures[name]})", "", text, ""] if name in pictures else []


def _coverage_part(evaluation: "Evaluation") -> list[str]:
    rows = [row for row in evaluation.coverage if row.split == "test"]
    bounded = [row for row in rows if row.coverage == row.coverage]
    if not bounded:
        return ["This model was not calibrated: it gives no intervals (`gmtscreen calibrate MODEL --data FOLDER`)."]
    whole = [row for row in bounded if row.system == EVERY_SYSTEM]
    parts = [row for row in bounded if row.system != EVERY_SYSTEM]
    return [
        f"Widths come from the val part by conformal prediction. The promise is {PROMISED:.0f} %; {_kept(whole)} "
        f"quantities and {_kept(parts)} pairs of quantity and crystal system lie within {BAND[0]:.0f} to "
        f"{BAND[1]:.0f} %. **Bold**: outside that band. \\*: so far from the promise that chance alone would give it "
        "in less than 1 of 20 samples of this size. Tensors: the label within the error radius. Crystals whose number "
        "symmetry fixes are exact and not counted.",
        "",
        *coverage_table(rows),
        "",
        "By crystal system, in percent, labelled crystals in brackets; systems with fewer than 10 are left out:",
        "",
        *system_table(rows),
    ]


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


def coverage_table(rows: Sequence["Coverage"]) -> list[str]:
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


def system_table(rows: Sequence["Coverage"]) -> list[str]:
    """Coverage per crystal system, one line per quantity."""
    systems = [name for name in CRYSTAL_SYSTEMS if any(row.system == name for row in rows)]
    found = {(row.quantity, row.system): row for row in rows}
    body = []
    for name in dict.fromkeys(row.quantity for row in rows):
        cells = [found.get((name, system)) for system in systems]
        body.append([quantity_name(name), *(f"{coverage_cell(c)} ({c.n})" if c else "" for c in cells)])
    return markdown_table(("quantity", *systems), body)


def _selective_part(evaluation: "Evaluation") -> list[str]:
    rows = []
    for curve in (each for each in evaluation.curves if each.split == "test"):
        room = curve.aurc_random - curve.aurc_oracle
        gained = f"{100 * (curve.aurc_random - curve.aurc) / room:.0f}".replace("-", "−") if room > 0 else "-"
        areas = [figures(area) for area in (curve.aurc, curve.aurc_random, curve.aurc_oracle)]
        rows.append([quantity_name(curve.quantity), str(curve.n), *areas, gained])
    return [
        "Keep the crystals with the narrowest intervals: does the error fall? AURC is the mean error over all shares "
        "kept, on the scale that the intervals are made on (logarithmic for ratios and ε, relative for a tensor). "
        '"Of the way" is 0 % for a random order and 100 % for the order of the true errors; negative means that the '
        "narrow intervals are the worse ones.",
        "",
        *markdown_table(("quantity", "n", "AURC", "random order", "perfect order", "of the way, %"), rows),
    ]


def _applicability_part(evaluation: "Evaluation") -> list[str]:
    if not evaluation.families:
        return ["This model has no distance score (`gmtscreen calibrate MODEL --data FOLDER` makes one)."]
    found = sum(each.auroc >= AUROC_TARGET for each in evaluation.families)
    uncounted = sum(each.auroc_uncounted >= AUROC_TARGET for each in evaluation.families)
    of = len(evaluation.families)
    return [
        "Each family is left out of the reference in turn; the score should put its crystals above val crystals "
        f"without it. AUROC is at least {AUROC_TARGET} for {found} of {of} families, and for {uncounted} of {of} "
        "without the count of elements, which sees a missing element too easily; **bold**: below. The reference "
        "consists of training crystals with a full tensor.",
        "",
        *family_table(evaluation),
        "",
        "Median relative error of the tensors (Frobenius) by thirds of the distance score, and of crystals that are "
        "flagged as unlike the training data:",
        "",
        *error_table(evaluation),
    ]


def family_table(evaluation: "Evaluation") -> list[str]:
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


def error_table(evaluation: "Evaluation") -> list[str]:
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
