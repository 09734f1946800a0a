"""Documents made from figures: one call writes every table and picture of a model's evaluation."""

from pathlib import Path
from typing import TYPE_CHECKING

from flows.reports.accuracy_document import accuracy_document
from flows.reports.plot_applicability import plot_applicability
from flows.reports.plot_parity import plot_literature, plot_parity
from flows.reports.plots import plot_reliability, plot_selective
from flows.reports.uncertainty_document import uncertainty_document
from flows.reports.well_known_document import well_known_document

if TYPE_CHECKING:
    from gmt_tasks.evaluation.evaluation import Evaluation

FIGURES = "figures"
SELECTIVE = (
    "dielectric_electronic_error", "dielectric_total_error", "piezoelectric_error_c_per_m2", "elastic_error_gpa",
    "eps_electronic_mean", "eps_total_mean", "e_norm_c_per_m2", "k_vrh_gpa",
    "birefringence", "universal_anisotropy", "e_max_c_per_m2", "g_vrh_gpa",
)  # fmt: skip
"""Whose selective prediction is drawn; the table has all."""


def write_documents(evaluation: "Evaluation", folder: Path) -> list[Path]:
    """Writes accuracy.md, uncertainty.md, well-known-crystals.md and their figures.

    Args:
        evaluation: of our label files, with everything that `evaluate` measures.
        folder: where the documents go; figures go to its sub-folder "figures". Files of these names are replaced.

    Returns:
        The files written.
    """
    figures = folder / FIGURES
    figures.mkdir(parents=True, exist_ok=True)
    pictures = draw(evaluation, figures)
    shown = {name: f"{FIGURES}/{path.name}" for name, path in pictures.items()}
    # The pictures come first: each document names only those that were drawn.
    texts = {
        "accuracy.md": accuracy_document(evaluation, shown["parity"]),
        "uncertainty.md": uncertainty_document(evaluation, shown),
        "well-known-crystals.md": well_known_document(evaluation, shown["literature"]),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [*(folder / name for name in texts), *pictures.values()]


def draw(evaluation: "Evaluation", folder: Path) -> dict[str, Path]:
    """Draws every picture that there are figures for.

    Args:
        evaluation: figures of a model.
        folder: for the files; exists.

    Returns:
        Files by name: "parity" and "literature" always; "reliability", "selective", "novelty" where known.
    """
    test = [points for points in evaluation.parity if points.split == "test"]
    drawn = {
        "parity": plot_parity(test, folder / "parity-test.png"),
        "literature": plot_literature(evaluation.literature, folder / "well-known-crystals.png"),
    }
    # NaN is a coverage without intervals: such a model has nothing to draw here.
    calibrated = any(row.coverage == row.coverage for row in evaluation.coverage)
    if evaluation.reliability and calibrated:
        drawn["reliability"] = plot_reliability(evaluation.reliability, folder / "reliability.png")
    by_name = {curve.quantity: curve for curve in evaluation.curves if curve.split == "test"}
    curves = [by_name[name] for name in SELECTIVE if name in by_name]
    if curves and calibrated:
        drawn["selective"] = plot_selective(curves, folder / "selective.png")
    if evaluation.families:
        errors = [row for row in evaluation.applicability if row.split == "test"]
        drawn["novelty"] = plot_applicability(evaluation.families, errors, folder / "novelty.png")
    return drawn
