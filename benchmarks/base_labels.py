"""Makes what a shipped model carries of its data: the split as a table, and base labels for calibration and replay.

    python -m benchmarks.base_labels gmtnet --data FOLDER --write models/weights

The base labels are a dataset snapshot like any other: all labels of val and test, with which a model of few own labels
is calibrated and tested, and of the training part a sample that keeps a fine-tuned network from forgetting. Each
training crystal of the sample brings all its labels; crystals are drawn until every kind has its share, scarce kinds
first. Rows whose licence does not allow it (AFLOW's moduli) and rows that training leaves out stay behind.
"""

import argparse
import gzip
import json
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from gmt_tasks.ingest.deduplicate import content_ids
from gmt_tasks.labels.files import read_labels
from gmt_tasks.labels.kinds import KINDS, read_accepted_label
from gmt_tasks.labels.snapshot import DatasetSnapshot, SnapshotRows, verify_snapshot, write_snapshot
from gmt_tasks.training.split_table import write_split_table
from models.crystals.crystal import CrystalBatch, find_invalid
from models.gmtnet.card import find_checkpoint

TRAIN_SHARE = {
    "piezo_e_total": 450,
    "dielectric_total": 450,
    "elastic_stiffness": 600,
    "dielectric_electronic": 500,
    "dielectric_scalar_mean": 250,
    "piezo_scalar": 200,
    "elastic_invariants": 600,
    "moduli_vrh": 350,
}
"""Training rows of each kind that the sample has at least."""

ORIGINS = {
    "dielectric_total": ("CC BY 4.0", "10.1038/sdata.2016.134"),
    "piezo_e_total": ("CC BY 4.0", "10.1038/sdata.2015.53"),
    "dielectric_scalar_mean": ("CC BY 4.0", "10.1038/sdata.2018.65"),
    "dielectric_electronic": ("CC BY 4.0", "10.1103/PhysRevMaterials.3.044602"),
    "piezo_scalar": ("CC BY 4.0", "10.1016/j.cplett.2022.139359"),
    "elastic_stiffness": ("CC BY 4.0", "10.1038/sdata.2015.9"),
    "elastic_invariants": ("CC BY 4.0", "10.1038/sdata.2015.9"),
    "moduli_vrh": ("CC BY 4.0", "10.1038/sdata.2015.9"),
}
"""Licence and paper of each kind; all are calculations of the Materials Project or published with it."""

LICENSED_SOURCES = (
    "matminer:", "Naccarato", "automatminer:", "StrainTensorNet", "Materials Project", "matcalc", "PiezoelectricML",
)  # fmt: skip
KEPT = ("id", "source", "formula", "spacegroup", "point_group", "kind", "unit", "frame", "flags", "split")
DIGITS = {"lattice": 5, "frac_coords": 5}


def main() -> None:
    """Reads the label files and writes table and base labels of a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="shipped name or checkpoint that was trained on the data")
    parser.add_argument("--data", type=Path, required=True, help="label files that it was trained on")
    parser.add_argument("--write", type=Path, help="folder of NAME.labels; without it the table alone is made")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    card = find_checkpoint(asked.model)
    write_split_table(read_labels(asked.data), card)
    if asked.write is None:
        return
    chosen = choose(list(base_rows(asked.data)), asked.seed)
    snapshot = freeze_rows(chosen, asked.write / f"{card.stem}.labels")
    size = sum(path.stat().st_size for path in snapshot.folder.iterdir())
    n_rows = sum(snapshot.counts["kind"].values())
    sys.stdout.write(f"{snapshot.folder}: {n_rows} rows, {size / 1e6:.2f} MB, {snapshot.counts}\n")


def base_rows(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The stem of the file and the row, short, of every label that may be shipped and that training takes."""
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                kind = KINDS.get(row["kind"])
                if kind is None or kind.doubtful(row) or not row["source"].startswith(LICENSED_SOURCES):
                    continue
                recovered = path.name.startswith(f"{kind.file}_recovered")
                yield kind.file + ("_recovered" if recovered else ""), short_row(row, recovered=recovered)


def short_row(row: dict[str, Any], *, recovered: bool) -> dict[str, Any]:
    """What training needs of a row, with its licence and paper."""
    kind = KINDS[row["kind"]]
    short = {key: row[key] for key in (*KEPT, *kind.keys, "species") if row.get(key) not in (None, [])}
    short |= {key: np.round(row[key], digits).tolist() for key, digits in DIGITS.items()}
    short["licence"], short["doi"] = ORIGINS[kind.name]
    if recovered:
        short["recovered"] = True
    return dict.fromkeys(kind.optional) | short


def choose(rows: list[tuple[str, dict[str, Any]]], seed: int) -> list[tuple[str, dict[str, Any]]]:
    """All of val and test, and a sample of the training part, with the content id of each crystal."""
    identified = with_content_ids(rows)
    by_crystal: defaultdict[str, list[int]] = defaultdict(list)
    for place, (_, row) in enumerate(identified):
        if row["split"] == "train":
            by_crystal[row["crystal"]].append(place)
    names = sorted(by_crystal)
    order = [names[k] for k in np.random.default_rng(seed).permutation(len(names))]
    chosen: set[int] = {place for place, (_, row) in enumerate(identified) if row["split"] != "train"}
    counts: Counter[str] = Counter()
    for kind, share in TRAIN_SHARE.items():
        for crystal in order:
            if counts[kind] >= share:
                break
            places = by_crystal[crystal]
            if any(identified[place][1]["kind"] == kind for place in places) and not chosen.issuperset(places):
                chosen.update(places)
                counts.update(identified[place][1]["kind"] for place in places)
    return [identified[place] for place in sorted(chosen)]


def with_content_ids(rows: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """The rows of crystals that are valid, each with the content id of its crystal."""
    labels = [read_accepted_label(row) for _, row in rows]
    batch = CrystalBatch.from_arrays(
        [label.lattice for label in labels],
        [label.frac_coords for label in labels],
        [label.numbers for label in labels],
    )
    valid = np.setdiff1d(np.arange(len(rows)), list(find_invalid(batch)))
    identified = []
    for start in range(0, len(valid), 256):
        some = valid[start : start + 256]
        crystals = batch.select(some)
        for k, crystal_id, formula in zip(some.tolist(), content_ids(crystals), crystals.formulas(), strict=True):
            file, row = rows[k]
            # the formula as the split table spells it
            identified.append((file, row | {"crystal": crystal_id, "formula": formula}))
    return identified


def freeze_rows(rows: list[tuple[str, dict[str, Any]]], folder: Path) -> DatasetSnapshot:
    """Writes the rows as a snapshot."""
    snapshot = SnapshotRows()
    for file, row in sorted(rows, key=lambda item: (item[0], item[1]["id"])):
        text = json.dumps(row, sort_keys=True, allow_nan=False)
        snapshot.add(file, row | {"label": sha256(text.encode()).hexdigest()[:16]})
    shutil.rmtree(folder, ignore_errors=True)
    write_snapshot(snapshot.snapshot(folder), snapshot)
    return verify_snapshot(folder)


if __name__ == "__main__":
    main()
