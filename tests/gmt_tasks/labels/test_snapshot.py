"""Dataset snapshots: the same labels give the same files, and training reads from them what it reads from a folder."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from db.store import ResultStore
from gmt_tasks.evaluation.label_properties import label_properties
from gmt_tasks.labels import files
from gmt_tasks.labels.files import LabelledCrystals, read_labels
from gmt_tasks.labels.ingest import ingest_labels
from gmt_tasks.labels.kinds import KINDS, TENSOR_VALUES
from gmt_tasks.labels.readers.open import open_label_source
from gmt_tasks.labels.reasons import LabelReason
from gmt_tasks.labels.snapshot import (
    Behind,
    SnapshotRows,
    freeze,
    label_lines,
    newest_snapshot,
    read_snapshot,
    verify_snapshot,
    write_snapshot,
)
from gmt_tasks.registry.model_files import base_labels
from models.errors import SourceError
from models.gmtnet.card import find_checkpoint
from models.gmtnet.training_data.split_table import SplitTable, load_split_table
from models.quantities import Tensor
from tests.gmt_tasks.labels.planted_faults import good_rows, write_rows

DATA = Path("../shared/data")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    with ResultStore(tmp_path / "labels.db") as opened:
        yield opened


def bring(store: ResultStore, path: Path, rows: list[dict[str, Any]]) -> None:
    assert ingest_labels(store, open_label_source(str(write_rows(path, rows)))).accepted == len(rows)


def test_the_same_labels_give_the_same_bytes_in_whatever_order_they_came(store: ResultStore, tmp_path: Path) -> None:
    rows = good_rows(12, seed=1, split="train")
    bring(store, tmp_path / "a.jsonl", rows)
    with ResultStore(tmp_path / "other.db") as other:
        bring(other, tmp_path / "b.jsonl", rows[5:])
        bring(other, tmp_path / "c.jsonl", rows[:5])
        first, second = freeze(store, tmp_path / "one"), freeze(other, tmp_path / "two")
    assert first.hash == second.hash
    assert first.folder.name == second.folder.name == first.hash[:12]
    names = sorted(path.name for path in first.folder.iterdir())
    assert names == ["elastic.jsonl.gz", "labels.txt", "snapshot.json"]
    assert [(first.folder / n).read_bytes() for n in names[:2]] == [(second.folder / n).read_bytes() for n in names[:2]]
    # which batches they came with is a fact of the database
    assert replace(first, folder=second.folder, batches=second.batches) == second


def base_of(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """Base labels, each row with a crystal of its own."""
    base = SnapshotRows()
    for number, row in enumerate(rows):
        base.add(KINDS[row["kind"]].file, {"crystal": f"gx-{number}", "label": f"base-{number}"} | row)
    write_snapshot(base.snapshot(folder), base)
    return folder


def test_base_labels_stand_behind_those_of_the_database_and_give_way_to_them(
    store: ResultStore, tmp_path: Path
) -> None:
    own = good_rows(3, seed=1, split="train")
    bring(store, tmp_path / "a.jsonl", own)
    accepted = list(store.labels.accepted())
    others = good_rows(4, seed=2, split="val")
    same = [{**row, "crystal": label.crystal_id} for row, label in zip(own, accepted, strict=True)]
    base = base_of(tmp_path / "base", [*others, *same])
    frozen = freeze(store, tmp_path / "datasets", Behind(base=base))
    assert (frozen.n_base, frozen.base) == (4, read_snapshot(base).hash)
    assert frozen.counts["split"] == {"train": 3, "val": 4}
    assert freeze(store, tmp_path / "datasets", Behind(base=base)) == frozen
    assert freeze(store, tmp_path / "datasets").n_base == 0


def test_a_formula_keeps_the_part_that_the_current_model_gave_it(store: ResultStore, tmp_path: Path) -> None:
    """Planted: a database that tests with what the model was trained on, and trains on what it is tested with."""
    tested, trained = good_rows(3, seed=1, split="test"), good_rows(3, seed=2, split="train")
    bring(store, tmp_path / "a.jsonl", [*tested, *trained])
    first = {label.formula: label.split for label in store.labels.accepted()}
    swapped = {formula: {"test": "train", "train": "test"}[part] for formula, part in first.items()}
    frozen = freeze(store, tmp_path / "datasets", Behind(SplitTable.of(swapped, {})))
    data = read_labels(frozen.folder)
    assert dict(zip(data.crystals.formulas(), data.split.tolist(), strict=True)) == swapped
    assert frozen.n_moved == 6


def test_the_shipped_base_labels_have_licences_and_keep_the_split_of_their_model() -> None:
    folder = base_labels("gmtnet")
    assert folder is not None
    facts = verify_snapshot(folder)
    assert set(facts.licences) == {"CC BY 4.0"}
    rows = [json.loads(line) for lines in label_lines(folder).values() for line in lines]
    table = load_split_table(find_checkpoint("gmtnet"))
    assert table is not None
    parts = table.parts_of([row["formula"] for row in rows])
    assert all(parts[row["formula"]] == row["split"] for row in rows)
    assert all(row["doi"] and row["crystal"].startswith("gx-") for row in rows)


def test_a_snapshot_says_what_is_in_it_and_what_is_new(store: ResultStore, tmp_path: Path) -> None:
    datasets = tmp_path / "datasets"
    bring(store, tmp_path / "a.jsonl", good_rows(8, seed=1, split="train"))
    first = freeze(store, datasets)
    assert freeze(store, datasets) == first == newest_snapshot(datasets)
    bring(store, tmp_path / "b.jsonl", good_rows(4, seed=2, kind="dielectric_total", split="test"))
    second = freeze(store, datasets)
    assert (second.earlier, second.added, second.removed) == (first.hash, 4, 0)
    assert second.counts["kind"] == {"dielectric_total": 4, "elastic_stiffness": 8}
    assert second.counts["split"] == {"test": 4, "train": 8}
    assert second.licences == {"CC BY 4.0": 12}
    assert read_snapshot(second.folder) == verify_snapshot(second.folder) == newest_snapshot(datasets)


def test_a_changed_file_is_found(store: ResultStore, tmp_path: Path) -> None:
    bring(store, tmp_path / "a.jsonl", good_rows(4, seed=1, split="train"))
    folder = freeze(store, tmp_path).folder
    path = folder / "elastic.jsonl.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b'"train"', b'"test"', 1), mtime=0))
    with pytest.raises(SourceError, match="they were changed"):
        verify_snapshot(folder)


def test_a_snapshot_is_read_once_until_its_files_change(
    store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(store, tmp_path / "a.jsonl", good_rows(4, seed=1, kind="piezo_e_total", split="train"))
    folder = freeze(store, tmp_path / "datasets").folder
    reads: list[int] = []
    read_files = files._read_files
    monkeypatch.setattr(files, "_read_files", lambda paths: reads.append(1) or read_files(paths))
    first, second = read_labels(folder), read_labels(folder)
    assert len(reads) == 1
    assert_same_labels(first, second)
    assert second.crystals.formulas() == first.crystals.formulas()
    kept = folder.with_name(f"{folder.name}-arrays.npz")
    kept.write_bytes(kept.read_bytes()[:-100])  # damaged
    assert_same_labels(read_labels(folder), first)
    path = folder / "piezoelectric.jsonl.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b'"train"', b'"test"', 1), mtime=0))
    assert sorted(read_labels(folder).split) == ["test", "train", "train", "train"]
    assert len(reads) == 3
    assert newest_snapshot(folder.parent) is not None


def test_without_labels_there_is_no_snapshot(store: ResultStore, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="gmtscreen ingest"):
        freeze(store, tmp_path / "datasets")
    assert not (tmp_path / "datasets").exists()


def test_training_reads_synthetic_labels_of_every_kind_of_tensor(store: ResultStore, tmp_path: Path) -> None:
    kinds = ("elastic_stiffness", "dielectric_total", "piezo_e_total")
    rows = [row for k, kind in enumerate(kinds) for row in good_rows(6, seed=10 + k, kind=kind, split="train")]
    bring(store, tmp_path / "a.jsonl", rows)
    data = read_labels(freeze(store, tmp_path / "datasets").folder)
    known = {quantity: int((~np.isnan(values[:, 0])).sum()) for quantity, values in data.components.items()}
    assert known == dict.fromkeys(Tensor, 6)
    # computed in the frame beside it: nothing that could have lost the sign lies between
    assert not data.sign_unproven[~np.isnan(data.components[Tensor.PIEZOELECTRIC][:, 0])].any()


def test_a_kind_is_declared_in_one_row(store: ResultStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checked, frozen, read and evaluated without any other change: a kind of rows that exists in this test alone."""
    known = KINDS["dielectric_total"]
    value = replace(TENSOR_VALUES[Tensor.DIELECTRIC_TOTAL], key="eps0")
    kind = replace(known, name="made_up", file="made_up", values=(value,), optional=frozenset())
    monkeypatch.setitem(KINDS, "made_up", kind)
    rows = [
        {key: entry for key, entry in row.items() if key != "tensor_electronic"} | {"kind": "made_up"}
        for row in good_rows(12, seed=5, kind="dielectric_total", split="train")
    ]
    for row in rows:
        row["eps0"] = row.pop("tensor")
    wrong = [row | {"eps0": (-np.array(row["eps0"])).tolist()} for row in rows]
    refused = ingest_labels(store, open_label_source(str(write_rows(tmp_path / "wrong.jsonl", wrong))))
    assert refused.parts[0].reasons == {LabelReason.INDEFINITE: 12}
    bring(store, tmp_path / "right.jsonl", rows)
    snapshot = freeze(store, tmp_path / "datasets")
    assert (snapshot.folder / "made_up.jsonl.gz").exists()
    data = read_labels(snapshot.folder)
    assert data.primary[Tensor.DIELECTRIC_TOTAL].all()
    traces = [np.trace(row["eps0"]) / 3 for row in rows]
    means = label_properties(data, np.arange(12))["eps_total_mean"]
    assert np.allclose(np.sort(means), np.sort(traces))


@pytest.mark.skipif(not DATA.is_dir(), reason="the label files are not here (../shared/data)")
def test_a_snapshot_trains_the_same_as_the_folder_that_it_came_from(store: ResultStore, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for path in sorted(DATA.glob("*.jsonl.gz")):
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        rows = [json.loads(line) for line in lines[:: max(1, len(lines) // 30)]]
        write_rows(folder / path.name.removesuffix(".gz"), [row for row in rows if row.get("min_eig", 1) > 0])
    ingest_labels(store, open_label_source(str(folder)))
    kept = {label.source_id for label in store.labels.accepted()}
    frozen, whole = read_labels(freeze(store, tmp_path / "datasets").folder), read_labels(folder)
    assert len(kept) > 150
    assert_same_labels(frozen, whole)


def assert_same_labels(first: LabelledCrystals, second: LabelledCrystals) -> None:
    """The same crystals with the same labels, up to their order."""
    orders = [np.lexsort((each.crystals.lattice[:, 0, 0], np.array(each.ids))) for each in (first, second)]
    assert [first.ids[k] for k in orders[0]] == [second.ids[k] for k in orders[1]]
    assert (first.split[orders[0]] == second.split[orders[1]]).all()
    for quantity in Tensor:
        pair = [each.components[quantity][order] for each, order in zip((first, second), orders, strict=True)]
        assert np.array_equal(pair[0], pair[1], equal_nan=True)
        flags = [each.primary[quantity][order] for each, order in zip((first, second), orders, strict=True)]
        assert np.array_equal(*flags)
    for name in ("eps_mean", "eps_principal", "elastic", "piezo_singular", "ieee", "sign_unproven", "proven_frame"):
        pair = [getattr(each, name)[order] for each, order in zip((first, second), orders, strict=True)]
        assert np.array_equal(pair[0], pair[1], equal_nan=name not in ("sign_unproven", "proven_frame")), name
