"""Kinds of faults planted in real labels, each refused under its name; right rows pass.

`python -m tests.gmt_tasks.labels.test_label_faults` prints what became of each.
"""

import gzip
import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest

from db.store import ResultStore
from gmt_tasks.labels.checks.unit_checks import Sizes, load_predictor
from gmt_tasks.labels.ingest import LabelReport, ingest_labels
from gmt_tasks.labels.kinds import KINDS
from gmt_tasks.labels.label_batch import BatchStatus
from gmt_tasks.labels.readers.open import open_label_source
from gmt_tasks.labels.reasons import LabelReason
from models.crystals.crystal import CrystalBatch
from tests.gmt_tasks.labels.label_faults import FAULTS, UNSEEN, PlantedFault, harmless
from tests.gmt_tasks.labels.planted_faults import Row, write_rows

DATA = Path("../shared/data")
FILES = ("elastic", "dielectric", "piezoelectric", "moduli", "dielectric_scalar", "dielectric_electronic")
N_KNOWN, N_ROWS, MAX_ATOMS = 40, 90, 16

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="the label files are not here (../shared/data)"),
]


@cache
def rows_of(file: str, split: str) -> tuple[Row, ...]:
    """Right rows of a label file, small crystals that training takes; never of test."""
    with gzip.open(DATA / f"{file}.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return tuple(
        row
        for row in rows
        if row["split"] == split
        and row["kind"] in KINDS
        and len(row["species"]) <= MAX_ATOMS
        and row.get("positive_definite", True)
        and row.get("symmetry_consistent", True)
        and row.get("frame", "") in ("", "structure", "input", "ieee_pymatgen")
    )


class Bench:
    """A database that has some labels, and what the shipped model expects of crystals."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._n = folder, 0
        self._predict = load_predictor("gmtnet", "cpu")
        self._sizes: dict[bytes, Sizes] = {}
        known = [row for file in FILES for split in ("train", "val") for row in rows_of(file, split)[:N_KNOWN]]
        with ResultStore(folder / "known.db") as store:
            source = open_label_source(str(write_rows(folder / "known.jsonl", known)))
            self.first = ingest_labels(store, source, expect=self.expect)

    def expect(self, crystals: CrystalBatch) -> list[Sizes]:
        """Sizes that the shipped model expects; each crystal is computed once."""
        keys = []
        for k in range(crystals.n_crystals):
            one = crystals.select(np.array([k]))
            keys.append(one.lattice.tobytes() + one.frac_coords.tobytes() + one.numbers.tobytes())
        new = [k for k, key in enumerate(keys) if key not in self._sizes]
        for k, sizes in zip(
            new, self._predict(crystals.select(np.array(new, dtype=np.int64))) if new else [], strict=True
        ):
            self._sizes[keys[k]] = sizes
        return [self._sizes[key] for key in keys]

    def bring(self, rows: list[Row]) -> LabelReport:
        """What becomes of a batch that is brought to the known labels."""
        self._n += 1
        path = self.folder / f"batch-{self._n}"
        shutil.copy(self.folder / "known.db", path.with_suffix(".db"))
        with ResultStore(path.with_suffix(".db")) as store:
            source = open_label_source(str(write_rows(path.with_suffix(".jsonl"), rows)))
            return ingest_labels(store, source, expect=self.expect)

    def plant(self, fault: PlantedFault) -> LabelReport:
        """What becomes of a fault."""
        rows = rows_of(fault.file, "val")
        chosen = rows[:N_KNOWN] if fault.repeats else rows[N_KNOWN : N_KNOWN + N_ROWS]
        return self.bring(fault.make(list(chosen), np.random.default_rng(3)))


def named(report: LabelReport) -> Counter[str]:
    """Reasons of a report: rows that were refused for each, and whole parts."""
    counts: Counter[str] = Counter()
    for part in report.parts:
        counts.update({reason: n - part.marked.get(reason, 0) for reason, n in part.reasons.items()})
    counts.update({f"batch: {finding.reason}": 1 for finding in report.findings})
    return +counts


def first_reasons(report: LabelReport) -> set[str]:
    """The reason of the first finding; where that is only that all rows were refused, or none, those of the rows."""
    of_rows = {reason for reason in named(report) if reason != LabelReason.LABEL_BATCH}
    found = {str(finding.reason) for finding in report.findings[:1]} - {LabelReason.LABEL_BATCH}
    return found or of_rows


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("faults"))


def test_there_are_more_than_43_kinds_and_what_is_unseen_is_argued() -> None:
    assert len(FAULTS) > 43
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert all(len(reason) > 20 for reason in UNSEEN.values())


def test_right_labels_pass(bench: Bench) -> None:
    assert bench.first.status is BatchStatus.ACCEPTED
    assert bench.first.findings == []
    for file in FILES:
        rows = list(rows_of(file, "val")[N_KNOWN : N_KNOWN + N_ROWS])
        for batch in (rows, harmless(rows)):
            report = bench.bring(batch)
            assert (report.status, report.findings) == (BatchStatus.ACCEPTED, []), file
            assert sum(part.refused for part in report.parts) == 0, (file, named(report))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_refused_under_its_name(fault: PlantedFault, bench: Bench) -> None:
    report = bench.plant(fault)
    assert first_reasons(report) & set(fault.reasons), (named(report), report.findings)
    if "one C of ten" not in fault.name:
        assert report.status in (BatchStatus.REFUSED, BatchStatus.STALE), named(report)


def main(out: Callable[[str], Any] = sys.stdout.write) -> None:
    """Prints what became of every fault."""
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        out(f"known: {bench.first.status} {dict(named(bench.first))}\n")
        for fault in FAULTS:
            report = bench.plant(fault)
            detail = report.findings[0].detail if report.findings else ""
            first = str(report.findings[0].reason) if report.findings else "-"
            ok = "ok  " if first_reasons(report) & set(fault.reasons) else "MISS"
            counts = ", ".join(f"{reason} {n}" for reason, n in named(report).items() if not reason.startswith("batch"))
            cells = (ok, fault.name, "/".join(fault.reasons), f"{report.status}: {first}", counts, detail[:150])
            out(" | ".join(cells) + "\n")


if __name__ == "__main__":
    main()
