"""Our models on the test crystals of the JARVIS leaderboard, where the user has JARVIS's structures.

The leaderboard's repository holds ids and values only. The crystals are in the list that JARVIS publishes as dft_3d
(`jdft_3d-12-12-2022.json.zip` or another version): some hundred megabytes of JSON, of which the test crystals are kept.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator, Set
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from gmt_tasks.evaluation.scoreboard.board import BoardTable, missing_row
from gmt_tasks.evaluation.scoreboard.jarvis import Benchmark, Contribution, printable
from gmt_tasks.evaluation.scoreboard.jarvis_tasks import JarvisTask
from gmt_tasks.evaluation.scoreboard.number_scores import number_figures
from gmt_tasks.evaluation.scoreboard.own_models import OwnModel, predict_numbers
from gmt_tasks.sources.files.archives import BoundedStream
from gmt_tasks.sources.files.compression import unpacked_limit
from gmt_tasks.sources.json_records import refused_or_parsed
from gmt_tasks.sources.parsed import ParsedCrystal, RefusedInputError, as_batch
from gmt_tasks.sources.remote.streamed_json import list_items
from models.crystals.crystal import CrystalBatch
from models.errors import SourceError

MAX_LIST_BYTES = 8 << 30
PATTERN = "jdft_3d*.json*"
MISSING = (
    "no structures: the leaderboard's repository has none; put JARVIS's list dft_3d (jdft_3d-*.json.zip, "
    "doi.org/10.6084/m9.figshare.6815699) into the folder"
)


@dataclass(frozen=True)
class JarvisCrystals:
    """Crystals of the list by their ids.

    Attributes:
        place: row of each id in `crystals`.
        crystals: not validated.
        n_unreadable: records with a wanted id that hold no crystal.
    """

    place: dict[str, int]
    crystals: CrystalBatch
    n_unreadable: int


def find_list(folder: Path) -> Path | None:
    """The file with JARVIS's structures, the newest by name."""
    paths = [path for path in folder.rglob(PATTERN) if path.name.endswith((".json", ".json.zip")) and path.is_file()]
    return max(paths, default=None)


def read_crystals(path: Path, wanted: Set[str]) -> JarvisCrystals:
    """Reads the crystals with these ids, record by record.

    Raises:
        SourceError: no list of records, or not within bounds.
    """
    place: dict[str, int] = {}
    parsed: list[ParsedCrystal] = []
    n_unreadable = 0
    for record in _records(path):
        name = record.get("jid") if isinstance(record, dict) else None
        if not isinstance(name, str) or name not in wanted or name in place:
            continue
        crystal = refused_or_parsed({"jid": name, "atoms": record.get("atoms")})
        if isinstance(crystal, ParsedCrystal):
            place[name] = len(parsed)
            parsed.append(crystal)
        else:
            n_unreadable += 1
    return JarvisCrystals(place, as_batch(parsed), n_unreadable)


def _records(path: Path) -> Iterator[Any]:
    """The records of the list, unpacked as they are read."""
    try:
        with ExitStack() as stack:
            stream: IO[bytes] = stack.enter_context(path.open("rb"))
            if path.suffix == ".zip":
                archive = stack.enter_context(zipfile.ZipFile(stream))
                names = [name for name in archive.namelist() if name.endswith(".json")]
                if len(names) != 1:
                    raise SourceError(f"{path.name} holds {len(names)} JSON texts, expected one.")
                stream = stack.enter_context(archive.open(names[0]))
            limit = unpacked_limit(path, MAX_LIST_BYTES) if path.suffix == ".zip" else MAX_LIST_BYTES
            bounded: Any = BoundedStream(stream, limit)  # reads, and does nothing else that a file does
            yield from list_items(io.TextIOWrapper(bounded, encoding="utf-8"), path.name)
    except RefusedInputError as error:
        raise SourceError(f"{path.name}: {error.detail}. Is it JARVIS's file?") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, UnicodeDecodeError, NotImplementedError, RuntimeError) as error:
        raise SourceError(f"{path.name} cannot be read: {str(error)[:200]}. Take it anew.") from error


def with_our_models(
    table: BoardTable,
    task: JarvisTask,
    benchmark: Benchmark,
    models: list[OwnModel],
    crystals: JarvisCrystals | None,
    best: Contribution | None = None,
) -> BoardTable:
    """The table with rows of our models on all test crystals and on those of formulas that a model never saw.

    Args:
        table: of the contributions.
        task: of the leaderboard.
        benchmark: its values.
        models: ours.
        crystals: the test crystals; None where JARVIS's list is not there.
        best: a contribution that is scored on the same crystals as each of our rows; its figure stands in the note.
    """
    if crystals is None:
        return replace(table, rows=(*table.rows, missing_row(MISSING)))
    ids = [name for name in benchmark.test if name in crystals.place]
    truth = np.array([benchmark.test[name] for name in ids])
    some = crystals.crystals.select(np.array([crystals.place[name] for name in ids], dtype=np.int64))
    rows = []
    for model in models:
        numbers = predict_numbers(model, some, (task.wanted,))
        predicted = numbers.values[task.wanted]
        known = np.isfinite(predicted)
        without = f"{len(benchmark.test) - int(known.sum()):,} without a number: not in the list, refused, or unstable"
        for subset, chosen in numbers.subsets():
            scored = np.flatnonzero(chosen & known)
            figures = number_figures(predicted[scored], truth[scored])
            beside = on_same_crystals(best, [ids[k] for k in scored], benchmark)
            rows.append(model.row(figures, subset, len(scored), "; ".join([without, *beside])))
    return replace(table, rows=table.rows + tuple(rows), notes=(*table.notes, task.caution)).ordered()


def on_same_crystals(best: Contribution | None, ids: list[str], benchmark: Benchmark) -> Iterator[str]:
    """What a contribution reaches on these test crystals, in a sentence; nothing where it has none of them."""
    numbers = {} if best is None else best.first_numbers()
    errors = [abs(numbers[name] - benchmark.test[name]) for name in ids if name in numbers]
    if best is not None and errors:
        yield f"on the same crystals {printable(best.name)} has an MAE of {np.mean(errors):.4g} (n = {len(errors):,})"
