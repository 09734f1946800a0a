"""The protocol of the GMTNet paper: with its JARVIS files the paper's own table, without them our test split.

The published figures are of networks that were trained on the paper's training part. Our shipped models are trained on
the Materials Project: on the paper's test part they answer for another code's settings, and know some of its formulas.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from gmt_tasks.evaluation.published.evaluation import published_metrics
from gmt_tasks.evaluation.published.figures import published_for
from gmt_tasks.evaluation.scoreboard.board import BoardRow, BoardTable, Figure, Origin, Section, missing_row
from gmt_tasks.evaluation.scoreboard.own_models import UNSEEN, unseen_formulas
from gmt_tasks.evaluation.scoreboard.quoted import PAPER_FIGURES, PAPER_SOURCE, QuotedTensor
from gmt_tasks.evaluation.scores import TensorMetrics
from gmt_tasks.labels.files import LabelledCrystals, Split
from gmt_tasks.sources.remote.jarvis_tensors import has_jarvis_tensors
from gmt_tasks.training.published_protocol import PublishedLabels, read_published
from models.gmtnet.card import find_checkpoint, read_card
from models.gmtnet.training_data.split_table import SplitTable, load_split_table
from models.quantities import TENSORS, Tensor

FNORM, TRIMMED = "Fnorm", "Fnorm, best 90 %"
SHARES = ("EwT 25 %", "EwT 10 %", "EwT 5 %")
PAPER_TENSORS = (Tensor.DIELECTRIC_ELECTRONIC, Tensor.ELASTIC, Tensor.PIEZOELECTRIC)
OWN_LABELS = {
    Tensor.DIELECTRIC_ELECTRONIC: "primary",
    Tensor.DIELECTRIC_TOTAL: "all",
    Tensor.PIEZOELECTRIC: "proven frame, non-zero",
    Tensor.ELASTIC: "primary",
}
"""Labels of our test split for which figures of the reference network exist, or all."""

MISSING = (
    "JARVIS's tensor files (jarvis_diele_piezo.pkl, jarvis_elastic.pkl, released with GMTNet) are not in the folder "
    "given by --jarvis or --data"
)
_ANOTHER_CODE = "trained on labels of the Materials Project, another code's settings"
SCORED_LABELS = ("all", "all, zeros too", "non-zero")
"""Label sets of the protocol that are shown; crystal systems are not."""


def paper_tables(folders: list[Path], models: list[str]) -> list[BoardTable]:
    """The paper's table per tensor, then our test split per tensor.

    Args:
        folders: where the JARVIS tensor files may lie.
        models: shipped names or checkpoints.
    """
    folder = next((folder for folder in folders if has_jarvis_tensors(folder)), None)
    data = None if folder is None else read_published(folder)
    rows: dict[Tensor, list[BoardRow]] = {quantity: [] for quantity in PAPER_TENSORS}
    for quoted in PAPER_FIGURES:
        rows[quoted.quantity].append(quoted_row(quoted))
    if data is None:
        for of_tensor in rows.values():
            of_tensor.append(missing_row(MISSING))
    else:
        for model in models:
            for quantity, row in _paper_rows(model, data):
                rows[quantity].append(row)
    n_test = {} if data is None else {quantity: counts.test for quantity, counts in data.counts.items()}
    tables = [
        BoardTable(
            Section.PAPER, f"paper, {quantity.value}", f"{TENSORS[quantity].symbol}, the paper's split",
            TENSORS[quantity].unit, "test part of the paper's split of JARVIS-DFT", n_test.get(quantity),
            (FNORM, *SHARES), tuple(rows[quantity]), PAPER_SOURCE,
        ).ordered()
        for quantity in PAPER_TENSORS
    ]  # fmt: skip
    return tables + [own_split_table(quantity, models) for quantity in Tensor]


def own_split_table(quantity: Tensor, models: list[str]) -> BoardTable:
    """Figures of the cards on the test part of our split, beside those of the published code trained on our labels."""
    labels = OWN_LABELS[quantity]
    rows: list[BoardRow] = []
    for model in models:
        metrics = card_metrics(model, quantity, labels)
        name, sha256 = _identity(model)
        if metrics is None:
            rows.append(missing_row("the card has no figures: gmtscreen evaluate --into-card", name))
        else:
            rows.append(BoardRow(name, Origin.OURS, _figures(metrics), "", metrics.n, "from its card", sha256))
    for quoted in published_for(quantity, labels, (labels,)):
        if not quoted.knows_labels:
            values = quoted.fnorm_trimmed, quoted.fnorm, quoted.ewt25, quoted.ewt10
            figures = dict(zip((TRIMMED, FNORM, *SHARES), map(Figure, values), strict=False))
            rows.append(BoardRow(quoted.predictor, Origin.QUOTED, figures, note="measured elsewhere"))
    return BoardTable(
        Section.PAPER, f"our split, {quantity.value}", f"{TENSORS[quantity].symbol}, our split", TENSORS[quantity].unit,
        f"test part of our split, labels: {labels}", None, (TRIMMED, FNORM, *SHARES), tuple(rows),
        "labels of the Materials Project; the reference network is the published code of GMTNet with its own recipe",
    ).ordered()  # fmt: skip


def card_metrics(model: str, quantity: Tensor, labels: str) -> TensorMetrics | None:
    """Test figures of a tensor in a model's card; None where it has none."""
    for row in read_card(find_checkpoint(model)).metrics.get("tensors", []):
        where = row["quantity"], row["labels"], row["split"], row["predictor"]
        if where == (quantity.value, labels, "test", "model"):
            return TensorMetrics(**row)
    return None


def _paper_rows(model: str, data: PublishedLabels) -> Iterator[tuple[Tensor, BoardRow]]:
    """A model by the protocol: on the whole test part, and on the formulas that it never saw."""
    from models.gmtnet.predictor import GMTNetPredictor  # torch takes seconds to import

    path = find_checkpoint(model)
    predictor, card = GMTNetPredictor.load(path, device="auto")
    name, sha256 = _identity(model)
    parts = {"": data.labels, UNSEEN: unseen_part(data.labels, load_split_table(path))}
    for quantity in PAPER_TENSORS:
        if quantity not in data.counts:
            continue
        if quantity not in card.config.tensors:
            yield quantity, missing_row("does not predict this tensor", name)
            continue
        for subset, labels in parts.items():
            if np.isnan(labels.components[quantity][labels.rows(Split.TEST), 0]).all():
                continue
            for row in published_metrics(predictor, labels, quantity, Split.TEST, projected=True):
                if row.predictor == "model" and row.labels in SCORED_LABELS:
                    which = ", ".join(text for text in (row.labels, subset) if text)
                    yield quantity, BoardRow(name, Origin.OURS, _figures(row), which, row.n, _ANOTHER_CODE, sha256)


def unseen_part(labels: LabelledCrystals, table: SplitTable | None) -> LabelledCrystals:
    """The labels without test crystals of formulas that a model saw; without all of them where its table is missing."""
    unseen = unseen_formulas(table, labels.crystals.formulas())
    is_seen_test = (labels.split == Split.TEST.value) & ~unseen
    return replace(labels, split=np.where(is_seen_test, "", labels.split))


def quoted_row(row: QuotedTensor) -> BoardRow:
    """A published figure of a network that was trained on the paper's training part."""
    figures = dict(zip((FNORM, *SHARES), map(Figure, (row.fnorm, *row.ewt)), strict=False))
    subset = "" if row.labels == "all" else row.labels
    return BoardRow(row.name, Origin.QUOTED, figures, subset, note="trained on the paper's training part")


def _figures(row: TensorMetrics) -> dict[str, Figure]:
    values = row.fnorm, row.fnorm_trimmed, row.ewt25, row.ewt10, row.ewt5
    return dict(zip((FNORM, TRIMMED, *SHARES), map(Figure, values), strict=True))


def _identity(model: str) -> tuple[str, str]:
    """`name@version` and sha256 of the weights."""
    card = read_card(find_checkpoint(model))
    return f"{card.name}@{card.version}", card.sha256
