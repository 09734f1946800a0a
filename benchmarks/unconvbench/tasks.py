"""Files of UnconvBench: crystals with one number each, and the folds by which they are divided.

A task is `ub_<task>.json`: {"columns": [name, name], "data": [[structure, number], ...]} with structures as pymatgen
writes them. Its ids are its name and a number from 1 on, padded with zeros. `metadata_validation.json` lists the ids of
five folds: {"splits": {task: {"fold_0": {"train": [id, ...], "test": [id, ...]}, ...}}}.

Source: unconvbench 1.0.1, task.py and utils.py at https://github.com/howardwang1997/unconvbench.
"""

import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gmt_tasks.sources.json_records import load_json, refused_or_parsed
from gmt_tasks.sources.parsed import ParsedCrystal, RefusedInputError, as_batch
from models.crystals.crystal import CrystalBatch, Floats, Ints, find_invalid
from models.errors import GmtError

PREFIX, SUFFIXES = "ub_", (".json", ".json.gz")
SHORT_PREFIX = "unconvbench_"
FOLDS_FILE = "metadata_validation.json"
N_FOLDS, FOLD_SEED = 5, 42
"""Of the folds that the benchmark's own code makes."""

LARGEST_LABEL = 1e12
"""Far beyond every quantity of the benchmark in its unit; single precision squares it without overflowing."""

_FOLD_NAME = re.compile(r"\w[\w.-]*")  # it becomes the name of a folder


class TaskError(GmtError):
    """A file of the benchmark cannot be used."""


@dataclass(frozen=True)
class Task:
    """Crystals with a number each.

    Attributes:
        name: as the benchmark calls it, e.g. "unconvbench_exfoliation".
        ids: of all entries, [n_entries].
        labels: NaN where an entry has none, [n_entries].
        entries: those that are usable, ascending, [n_crystals].
        crystals: of these entries.
        refused: why each of the others is not usable, by entry.
    """

    name: str
    ids: list[str]
    labels: Floats
    entries: Ints
    crystals: CrystalBatch
    refused: dict[int, str]


@dataclass(frozen=True)
class Fold:
    """Which entries are learned from and which are predicted."""

    name: str
    train: Ints
    test: Ints


def find_tasks(folder: Path) -> dict[str, Path]:
    """The files of tasks in a folder by name.

    Raises:
        TaskError: there are none, or two of one task.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.glob(f"{PREFIX}*")) if folder.is_dir() else []:
        for suffix in SUFFIXES:
            if path.name.endswith(suffix):
                name = path.name.removeprefix(PREFIX).removesuffix(suffix)
                if name in files:
                    raise TaskError(f"{files[name].name} and {path.name} are two files of one task: remove one.")
                files[name] = path
    if not files:
        raise TaskError(f"{folder} holds no file {PREFIX}*.json. Name the folder of UnconvBench's data sets.")
    return files


def read_task(name: str, path: Path, max_atoms: int) -> Task:
    """Reads and validates the crystals of a task.

    Args:
        name: of the task.
        path: its file.
        max_atoms: larger cells are refused.

    Raises:
        TaskError: the file has another format, or no usable entry.
    """
    data = _read_json(path)
    rows = data.get("data") if isinstance(data, Mapping) else None
    if not isinstance(rows, list) or not rows or not isinstance(data.get("columns"), list):
        raise TaskError(f'{path.name} is no task: expected {{"columns": [...], "data": [[structure, number], ...]}}.')
    labels, refused, parsed = np.full(len(rows), np.nan), {}, {}
    for entry, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != 2:
            refused[entry] = "parse: an entry is a structure and a number"
            continue
        if not _is_label(row[1]):
            refused[entry] = f"label: {str(row[1])[:40]!r} is no finite number up to {LARGEST_LABEL:.0e}"
            continue
        labels[entry] = row[1]
        reading = refused_or_parsed(row[0])
        if isinstance(reading, ParsedCrystal):
            parsed[entry] = reading
        else:
            refused[entry] = f"{reading.reason.value}: {reading.detail}"
    entries, crystals = np.array(list(parsed), dtype=np.int64), as_batch(list(parsed.values()))
    invalid = find_invalid(crystals, max_atoms)
    refused |= {int(entries[k]): f"{reason.value}: {detail}" for k, (reason, detail) in invalid.items()}
    kept = np.setdiff1d(np.arange(len(entries)), list(invalid))
    if not len(kept):
        raise TaskError(f"{path.name}: none of {len(rows)} entries is usable; the first: {refused[min(refused)]}.")
    width = len(str(len(rows)))
    ids = [f"{name}-{entry + 1:0{width}d}" for entry in range(len(rows))]
    return Task(name, ids, labels, entries[kept], crystals.select(kept), dict(sorted(refused.items())))


def _is_label(value: Any) -> bool:
    """Whether a value is a finite number of reasonable size; an integer may have more digits than a float holds."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST_LABEL


def read_folds(folder: Path, task: Task) -> list[Fold]:
    """The folds of a task: those of the benchmark's file, else those that its code makes.

    Args:
        folder: of the files.
        task: whose entries they divide.

    Raises:
        TaskError: the file knows no such task, ids that the task has not or twice, or entries on both sides.
    """
    path = folder / FOLDS_FILE
    if not path.exists():
        return official_folds(len(task.ids))
    data = _read_json(path)
    splits = data.get("splits") if isinstance(data, Mapping) else None
    of_task = splits.get(task.name) if isinstance(splits, Mapping) else None
    if not isinstance(of_task, Mapping) or not of_task:
        raise TaskError(
            f"{path.name} has no splits of {task.name}. Remove it to make the folds anew (seed {FOLD_SEED})."
        )
    return [_fold(f"{path.name}: {task.name}", name, parts, task) for name, parts in of_task.items()]


def _fold(where: str, name: str, parts: Any, task: Task) -> Fold:
    """One fold from its lists of ids.

    Args:
        where: file and task, for errors.
        name: of the fold.
        parts: its lists.
        task: whose entries they name.

    Raises:
        TaskError: see `read_folds`.
    """
    if not _FOLD_NAME.fullmatch(name):
        raise TaskError(f"{where} has a fold {name[:40]!r}: name it with letters, digits and _ as in fold_0.")
    if not isinstance(parts, Mapping) or not all(isinstance(parts.get(part), list) for part in ("train", "test")):
        raise TaskError(f"{where} {name} has no lists train and test.")
    place = {of_entry: entry for entry, of_entry in enumerate(task.ids)}
    unknown = [each for part in ("train", "test") for each in parts[part] if str(each) not in place]
    if unknown:
        raise TaskError(
            f"{where}: {len(unknown)} ids of {name} are not among the {len(task.ids)} of its file, "
            f"the first {unknown[0]}. The data set and the folds are of different versions."
        )
    train, test = (np.array([place[str(each)] for each in parts[part]], dtype=np.int64) for part in ("train", "test"))
    for part, entries in (("train", train), ("test", test)):
        found, counts = np.unique(entries, return_counts=True)
        if len(found) < len(entries):
            repeated = task.ids[found[np.argmax(counts > 1)]]
            raise TaskError(f"{where} {name}: {repeated} occurs more than once in its {part} part; list each id once.")
    if both := len(np.intersect1d(train, test)):
        raise TaskError(f"{where}: {both} entries of {name} are learned from and predicted.")
    return Fold(name, train, test)


def official_folds(n_entries: int) -> list[Fold]:
    """The folds that the benchmark's code makes: scikit-learn's KFold of 5, shuffled with random_state 42."""
    order = np.arange(n_entries)
    # the generator of that time, which scikit-learn uses: another one would make other folds
    np.random.RandomState(FOLD_SEED).shuffle(order)
    return [
        Fold(f"fold_{k}", np.setdiff1d(np.arange(n_entries), test), np.sort(test))
        for k, test in enumerate(np.array_split(order, N_FOLDS))
    ]


def _read_json(path: Path) -> Any:
    """The content of a JSON file, gzipped or not."""
    try:
        content = path.read_bytes()
        return load_json(gzip.decompress(content) if path.name.endswith(".gz") else content)
    except (OSError, EOFError, RefusedInputError) as error:
        detail = error.detail if isinstance(error, RefusedInputError) else str(error)
        raise TaskError(f"{path.name} cannot be read: {detail}. Fetch it again.") from error
