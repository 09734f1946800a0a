"""docs/accuracy.md: how far predictions are from held-out labels, beside baselines and figures of others."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from flows.reports.breakdown_tables import network_table, other_code_table, ranking_table, sign_lines
from flows.reports.markdown import figures, markdown_table, percent, render, with_spread
from flows.reports.reliability_tables import doubtful_table
from models.quantities import DERIVED, TENSORS, Tensor

if TYPE_CHECKING:
    from gmt_tasks.evaluation.evaluation import Evaluation
    from gmt_tasks.evaluation.published.figures import PublishedTensor
    from gmt_tasks.evaluation.scores import PropertyMetrics, TensorMetrics

MODEL, SINGLE, SPREAD, MEAN = "model", "one member", "± of members", "train mean"
ELSEWHERE = "¹"
UNITS = {"1": "", "C/m^2": "C/m²"}

_TENSOR_HEAD = (
    "tensor", "labels", "predictor", "n", "Fnorm", "Fnorm, best 90 %", "EwT 25 / 10 / 5 %", "median rel. error",
    "success, %",
)  # fmt: skip
_PROPERTY_HEAD = ("property", "unit", "predictor", "n", "MAE", "median rel. error", "Spearman", "top 5 % found, %")


def accuracy_document(evaluation: "Evaluation", parity: str) -> str:
    """The whole document as Markdown.

    Args:
        evaluation: figures of a model.
        parity: path of the parity plot, relative to the document.
    """
    return render(
        "accuracy.md",
        evaluation=evaluation,
        elsewhere=ELSEWHERE,
        test_tensors=tensor_table(evaluation, "test"),
        test_properties=property_table(evaluation, "test"),
        val_tensors=tensor_table(evaluation, "val"),
        val_properties=property_table(evaluation, "val"),
        against=_against(evaluation),
        parity=parity,
        # Without calibration no point has an interval, and the caption must not speak of bars.
        with_bars=any(math.isfinite(end) for points in evaluation.parity for end in points.upper),
        consistency=consistency_table(evaluation),
        ranking=ranking_table(evaluation.breakdown),
        signs=sign_lines(evaluation.breakdown),
        networks=network_table(evaluation.breakdown, evaluation.provenance.epochs),
        other_codes=other_code_table(evaluation.breakdown),
        doubtful=doubtful_table(evaluation) if evaluation.doubtful else "",
    )


def tensor_table(evaluation: "Evaluation", split: str) -> str:
    """Tensors by set of labels and predictor; figures of others beside them on test."""
    from gmt_tasks.evaluation.published.figures import published_for

    rows: list[list[str]] = []
    for quantity in Tensor:
        chosen = [m for m in evaluation.tensors if m.split == split and m.quantity == quantity.value]
        sets = tuple(dict.fromkeys(m.labels for m in chosen))
        for labels in sets:
            rows += _tensor_rows(evaluation, [m for m in chosen if m.labels == labels])
            if split == "test":
                rows += [_published_row(row, labels) for row in published_for(quantity, labels, sets)]
    return markdown_table(_TENSOR_HEAD, rows, texts=3)


def _tensor_rows(evaluation: "Evaluation", chosen: Sequence["TensorMetrics"]) -> Iterator[list[str]]:
    for row, spread in _with_spreads(chosen):
        shares = (with_spread_percent(row, spread, name) for name in ("ewt25", "ewt10", "ewt5"))
        yield [
            tensor_name(Tensor(row.quantity)),
            row.labels,
            predictor_name(evaluation, row.predictor),
            str(row.n),
            with_spread(row.fnorm, _spread_of(spread, "fnorm")),
            with_spread(row.fnorm_trimmed, _spread_of(spread, "fnorm_trimmed")),
            " / ".join(shares),
            with_spread(row.median_relative, _spread_of(spread, "median_relative")),
            percent(row.success),
        ]


Metrics = TypeVar("Metrics", "TensorMetrics", "PropertyMetrics")


def _with_spreads(chosen: Sequence[Metrics]) -> Iterator[tuple[Metrics, Metrics | None]]:
    """Rows of one set in the order of the table; that of a single network with its spread, the others with None."""
    by_predictor = {row.predictor: row for row in chosen}
    # The spread is no line of its own: it stands behind the numbers of the single network.
    others: list[str] = [predictor for predictor in by_predictor if predictor not in {MODEL, SINGLE, SPREAD, MEAN}]
    for predictor in (MODEL, SINGLE, *others, MEAN):
        if predictor in by_predictor:
            yield by_predictor[predictor], by_predictor.get(SPREAD) if predictor == SINGLE else None


def _spread_of(metrics: "TensorMetrics | PropertyMetrics | None", name: str) -> float | None:
    """One number of the row that holds the spread over networks; None without such a row."""
    return None if metrics is None else float(getattr(metrics, name))


def predictor_name(evaluation: "Evaluation", predictor: str) -> str:
    """A predictor's name for readers; the model itself in bold."""
    if predictor == MODEL:
        return "**ensemble**" if evaluation.provenance.n_networks > 1 else "**model**"
    return "one network ± seeds" if predictor == SINGLE else predictor


def with_spread_percent(
    row: "TensorMetrics | PropertyMetrics", spread: "TensorMetrics | PropertyMetrics | None", name: str
) -> str:
    """A percentage of a row with one decimal, ± its spread where there is one."""
    value, deviation = float(getattr(row, name)), _spread_of(spread, name)
    return percent(value) if deviation is None or math.isnan(deviation) else f"{percent(value)} ± {percent(deviation)}"


def tensor_name(tensor: Tensor) -> str:
    """Symbol and unit, e.g. "C, GPa"."""
    unit = UNITS.get(TENSORS[tensor].unit, TENSORS[tensor].unit)
    return f"{TENSORS[tensor].symbol}, {unit}" if unit else TENSORS[tensor].symbol


def _published_row(row: "PublishedTensor", labels: str) -> list[str]:
    predictor = f"*{row.predictor}* {ELSEWHERE}"
    # Papers give two of the three shares, or none.
    shares = " / ".join([percent(row.ewt25), percent(row.ewt10), "-"]) if row.ewt25 == row.ewt25 else "-"
    return [
        tensor_name(row.quantity), labels, predictor, "", quoted(row.fnorm), quoted(row.fnorm_trimmed), shares,
        quoted(row.median_relative), "-",
    ]  # fmt: skip


def quoted(value: float) -> str:
    """A figure with the digits that its source gives, "-" when it gives none."""
    return "-" if math.isnan(value) else f"{value:g}"


def _against(evaluation: "Evaluation") -> list[str]:
    """One line per tensor: the model against the best that was measured elsewhere."""
    from gmt_tasks.evaluation.published.figures import best_published, published_for

    lines = []
    for quantity in Tensor:
        chosen = [m for m in evaluation.tensors if m.split == "test" and m.quantity == quantity.value]
        sets = tuple(dict.fromkeys(m.labels for m in chosen))
        for row in chosen:
            best = best_published(published_for(quantity, row.labels, sets))
            if row.predictor == MODEL and best is not None:
                # Of the best 90 %: a few outliers would decide a comparison of plain means.
                change = f"{100 * (row.fnorm_trimmed / best.fnorm_trimmed - 1):+.0f} %".replace("-", "−")
                text = f"{figures(row.fnorm_trimmed)} against {quoted(best.fnorm_trimmed)} of {best.predictor}"
                lines.append(f"{tensor_name(quantity)} ({row.labels}): {text}, {change}.")
    return lines


def property_table(evaluation: "Evaluation", split: str) -> str:
    """Properties by predictor; figures of others beside them on test."""
    from gmt_tasks.evaluation.published.figures import PUBLISHED_PROPERTIES

    rows: list[list[str]] = []
    chosen = [m for m in evaluation.properties if m.split == split]
    for name in dict.fromkeys(m.property for m in chosen):
        rows += _property_rows(evaluation, [m for m in chosen if m.property == name])
        # Figures of others are of held-out crystals: beside ours on val they would compare unlike things.
        for row in PUBLISHED_PROPERTIES if split == "test" else ():
            if row.name == name:
                predictor = f"*{row.predictor}* {ELSEWHERE}"
                scores = [quoted(row.mae), "-", quoted(row.spearman), "-"]
                rows.append([f"`{name}`", unit_of(name), predictor, "", *scores])
    return markdown_table(_PROPERTY_HEAD, rows, texts=3)


def _property_rows(evaluation: "Evaluation", chosen: Sequence["PropertyMetrics"]) -> Iterator[list[str]]:
    for row, spread in _with_spreads(chosen):
        yield [
            f"`{row.property}`",
            unit_of(row.property),
            predictor_name(evaluation, row.predictor),
            str(row.n),
            with_spread(row.mae, _spread_of(spread, "mae")),
            with_spread(row.median_relative, _spread_of(spread, "median_relative")),
            with_spread(row.spearman, _spread_of(spread, "spearman")),
            with_spread_percent(row, spread, "top5_hits"),
        ]


def unit_of(name: str) -> str:
    """Unit of a derived number or of a tensor's error radius, empty for a ratio."""
    by_error = {quantity.error_column: quantity.unit for quantity in TENSORS.values()}
    unit = DERIVED[name].unit if name in DERIVED else by_error.get(name, "")
    return UNITS.get(unit, unit)


def consistency_table(evaluation: "Evaluation") -> str:
    """Success rates, a row per crystal system and a column per tensor."""
    by_pair = {(row.system, row.quantity): row for row in evaluation.consistency}
    systems = dict.fromkeys(row.system for row in evaluation.consistency)
    rows = []
    for system in systems:
        cells = [by_pair.get((system, tensor.value)) for tensor in Tensor]
        rows.append([system, *(f"{percent(cell.success)} ({cell.n})" if cell else "-" for cell in cells)])
    # The last line: a success rate alone does not show how close the residuals are to the tolerance.
    last = ["largest residual"]
    for tensor in Tensor:
        residuals = [row.worst for row in evaluation.consistency if row.quantity == tensor.value]
        worst = max(residuals, default=math.nan)
        last.append("-" if math.isnan(worst) else f"{worst:.0e}")
    rows.append(last)
    return markdown_table(("crystal system", *(TENSORS[t].symbol for t in Tensor)), rows)
