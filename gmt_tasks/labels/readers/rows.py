"""One bad row of a source of labels refuses itself only, whatever a library raises."""

from collections.abc import Callable, Iterable, Sequence

from gmt_tasks.labels.label_kind import fault_of
from gmt_tasks.labels.readers.source import Label, RefusedLabel
from gmt_tasks.sources.parsed import ParsedCrystal, as_batch
from gmt_tasks.sources.row_errors import read_in_parts, row_or_refusal
from models.symmetry.search import find_symmetry


def labels_or_refusal(read: Callable[[], Iterable[Label]], source_id: str, kind: str = "") -> list[Label]:
    """The labels of one row of a source, or its refusal, whatever reading it raises; see `row_or_refusal`.

    Args:
        read: gives the labels of the row.
        source_id: the source's own id of the row, or file and line.
        kind: the kind of label it should have been, "" where that is unknown.
    """
    # to its end in here: a generator raises only when it is asked
    return row_or_refusal(lambda: list(read()), lambda error: [refused_label(source_id, kind, error)])


def refused_label(source_id: str, kind: str, error: Exception) -> RefusedLabel:
    """The refusal of a row at which something was raised."""
    return RefusedLabel(source_id, kind, *fault_of(error))


def point_groups(crystals: Sequence[ParsedCrystal]) -> list[str]:
    """Point groups of crystals by one search, "6mm" and so on; "" where none is found or the search fails."""

    def search(rows: range) -> list[str]:
        return list(find_symmetry(as_batch([crystals[k] for k in rows])).point_group) if rows else []

    parts = read_in_parts(search, range(len(crystals)), lambda row, error: [""])
    return [name for part in parts for name in part]
