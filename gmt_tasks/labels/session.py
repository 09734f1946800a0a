"""A label ingest from the first source to the last report, as an object whose steps a flow calls one after another.

It holds what must not become a flow's parameter (the database URL). The order of the steps, their retries and their
display belong to `flows/`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

from db.store import ResultStore
from gmt_tasks.labels.checks.unit_checks import PredictSizes
from gmt_tasks.labels.ingest import IngestOptions, LabelReport, ingest_labels
from gmt_tasks.labels.label_batch import BatchStatus
from gmt_tasks.labels.readers.label_files import LabelFiles
from gmt_tasks.labels.readers.open import open_label_source
from gmt_tasks.labels.readers.source import LabelSource
from gmt_tasks.process import StopRequest
from gmt_tasks.settings import Settings
from models.gmtnet.training_data.split_table import SplitTable


@dataclass
class LabelSession:
    """One call of `gmtscreen ingest --labels`; use it as a context manager.

    Attributes:
        sources: what, in order.
        store: the database.
        expect: sizes that a model expects of crystals; None compares with none.
        table: split of the current model, which its formulas keep.
        options: what the person who brings the labels says of them.
        on_block: called with the name of the source and the number of rows of each block that was checked.
        stop: checked after every block of rows.
        reports: what became of each source so far.
    """

    sources: list[LabelSource]
    store: ResultStore
    expect: PredictSizes | None = None
    table: SplitTable | None = None
    options: IngestOptions = field(default_factory=IngestOptions)
    on_block: Callable[[str, int], None] = lambda name, n: None
    stop: StopRequest = field(default_factory=StopRequest)
    reports: list[LabelReport] = field(default_factory=list, init=False)

    @classmethod
    def open(
        cls,
        settings: Settings,
        texts: Sequence[str],
        expect: PredictSizes | None = None,
        table: SplitTable | None = None,
        options: IngestOptions | None = None,
    ) -> Self:
        """Opens sources and database; reads no label yet.

        Args:
            settings: which database.
            texts: what the user named; the same twice counts once.
            expect: sizes that a model expects of crystals; None compares with none.
            table: split of the current model.
            options: what the person who brings the labels says of them.

        Raises:
            SourceError: a source does not exist. All are opened before the first is read: a misspelt name shall not
                cost the time of the others.
            StoreError: the database cannot be used.
        """
        sources = [open_label_source(text) for text in dict.fromkeys(texts)]
        return cls(sources, ResultStore(settings.database), expect, table, options or IngestOptions())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections."""
        self.store.close()

    def ingest(self, index: int) -> LabelReport:
        """Checks the labels of source number `index` and brings them in; call it for 0, 1, 2, ...

        It may be repeated: the report of a source that is in stays what it was.

        Raises:
            StoppedError: a stop was asked for; the next call goes on at the same place.
        """
        if index < len(self.reports):
            return self.reports[index]
        source = self.sources[index]

        def on_block(n: int) -> None:
            self.on_block(source.name, n)
            self.stop.check()

        report = ingest_labels(
            self.store, source, expect=self.expect, table=self.table, on_block=on_block, options=self.options
        )
        self.reports.append(report)
        return report

    @property
    def passed_over(self) -> dict[str, int]:
        """Finished calculations that hold no response, such as relaxations, by name of their source."""
        files = [source for source in self.sources if isinstance(source, LabelFiles)]
        return {source.name: source.n_without_response for source in files if source.n_without_response}

    @property
    def refused(self) -> list[LabelReport]:
        """Reports of the batches that were refused as a whole or in parts."""
        return [report for report in self.reports if report.status in (BatchStatus.REFUSED, BatchStatus.STALE)]
