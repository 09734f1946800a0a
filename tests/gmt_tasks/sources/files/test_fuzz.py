"""Mutated files of every format: no crash, no hang, every outcome a crystal or a reason, every file accounted for.

The short run mutates 40 files. The long one (marker chaos) ends after GMTSCREEN_FUZZ_EXECUTIONS files (20,000 by
default) or GMTSCREEN_FUZZ_SECONDS (300 by default), whichever comes first, with the same assertions, and prints what
came of each format. A failing round names its seed; the same seed makes the same files.
"""

import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.sandbox.children import _Worker
from gmt_tasks.sources.files.find import find_files
from gmt_tasks.sources.files.formats import file_format
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.source import ReadOptions, SourceBlock
from models.crystals.crystal import find_invalid
from models.errors import Reason
from tests.gmt_tasks.sources.files.hostile_files import sound_files
from tests.gmt_tasks.sources.mutations import MUTATIONS, mutated

AWKWARD = Path(__file__).parents[4] / ".." / "shared" / "data" / "awkward"
FILES_PER_ROUND = 400
OPTIONS = ReadOptions(deadline_s=30.0, memory_bytes=3 << 30)
FOLDER = re.compile(r"(?:^|[ /])(\d{5})/([^ #/:]+)")


@dataclass
class Harvest:
    """What came of mutated files: files by format, endings of their inputs by (format, ending), the longest read."""

    files: Counter[str] = field(default_factory=Counter)
    endings: Counter[tuple[str, str]] = field(default_factory=Counter)
    longest_s: float = 0.0

    def table(self) -> str:
        """One line per format: files, inputs, then endings, the frequent ones first."""
        lines = []
        for kind, n_files in sorted(self.files.items()):
            own = Counter({end: n for (of, end), n in self.endings.items() if of == kind})
            ends = ", ".join(f"{end} {n}" for end, n in own.most_common())
            lines.append(f"{kind:8} {n_files:6} files {own.total():7} inputs: {ends}")
        return "\n".join(lines)


def format_name(name: str) -> str:
    """Name of the format that a file name means."""
    row = file_format(name)
    return "none" if row is None else row.name


def real_and_sound_files() -> dict[str, bytes]:
    """Our own small files, and the small ones among the real ones where they are."""
    real = sorted(AWKWARD.glob("*")) if AWKWARD.is_dir() else []
    small = [path for path in real if path.suffix != ".json" and path.stat().st_size < 6000]
    return sound_files() | {path.name: path.read_bytes() for path in small}


def write_mutants(folder: Path, n_files: int, seed: int, seeds: dict[str, bytes]) -> None:
    """Mutated files, each with the format of the file it was made of; all formats come equally often."""
    random = np.random.default_rng(seed)
    by_format: dict[str, list[tuple[str, bytes]]] = {}
    for name, data in seeds.items():
        by_format.setdefault(format_name(name), []).append((name, data))
    for number in range(n_files):
        originals = list(by_format.values())[number % len(by_format)]
        name, data = originals[int(random.integers(len(originals)))]
        target = folder / f"{number:05d}" / name.replace(" ", "_")
        target.parent.mkdir()
        target.write_bytes(mutated(random, data))


def endings_of(block: SourceBlock, source: str) -> Iterator[tuple[str, str]]:
    """What the inputs of a block say of their file, and how each ended; checks the laws that every block obeys."""
    accepted = ingest_block(source, block, OPTIONS.max_atoms)  # raises if an input is lost or doubled
    assert np.isfinite(accepted.crystals.lattice).all() and np.isfinite(accepted.crystals.frac_coords).all()
    assert not find_invalid(accepted.crystals)
    places = dict(zip(block.positions.tolist(), block.places or block.source_ids, strict=True))
    ids = dict(zip(block.positions.tolist(), block.source_ids, strict=True))
    for position in accepted.positions.tolist():
        yield f"{places[position]} {ids[position]}", "crystal"
    for item in accepted.rejected:
        assert item.reason in Reason and item.detail and item.source_id
        assert item.source_id.isprintable() and item.detail.isprintable()
        yield f"{places.get(item.position, '')} {item.source_id} {item.detail}", item.reason.value


def harvest_of(folder: Path) -> Harvest:
    """Reads a directory of mutants, checks the laws, and counts how its inputs ended."""
    harvest = Harvest(Counter(format_name(file.label) for file in find_files(str(folder)).files))
    seen: set[str] = set()
    position = 0
    source = open_source(str(folder), OPTIONS)
    for block in source.blocks():
        assert block.start == position, "a gap between blocks"
        position = block.stop
        for text, ending in endings_of(block, source.name):
            # Every file stands in a folder named by a number of five digits, which ids, places or details repeat.
            found = FOLDER.search(text)
            assert found, f"an input of no file: {text}"
            seen.add(found[1])
            harvest.endings[format_name(found[2]), ending] += 1
    missing = {path.name for path in folder.iterdir()} - seen
    assert not missing, f"no input of {sorted(missing)[:5]}"
    return harvest


def fuzz(folder: Path, n_files: int, seed: int, seeds: dict[str, bytes]) -> Harvest:
    """One round in an empty folder."""
    folder.mkdir()
    write_mutants(folder, n_files, seed, seeds)
    try:
        harvest = harvest_of(folder)
    except Exception as error:
        raise AssertionError(f"seed {seed} with {n_files} files breaks a law; they are kept in {folder}") from error
    late = [kind for kind, ending in harvest.endings if ending == Reason.DEADLINE]
    assert not late, f"seed {seed}: a mutant of a small {late[0]} file hung its reader; it is kept in {folder}"
    shutil.rmtree(folder)
    return harvest


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """One number: the longest time by the clock between an argument and its outcome, in s."""
    times, take = [0.0], _Worker.take

    def timed(worker: _Worker, *arguments: Any) -> Any:
        given = worker.limit - worker._wall_s if worker.job else time.monotonic()
        outcome = take(worker, *arguments)
        times[0] = max(times[0], time.monotonic() - given)
        return outcome

    monkeypatch.setattr(_Worker, "take", timed)
    return times


@pytest.mark.usefixtures("shared_children")
def test_mutated_files_end_as_crystals_or_reasons(tmp_path: Path) -> None:
    harvest = fuzz(tmp_path / "round", 40, 0, sound_files())
    crystals = sum(n for (_, ending), n in harvest.endings.items() if ending == "crystal")
    # The mutations are neither toothless nor deadly to everything.
    assert crystals > 3 and harvest.endings.total() - crystals > 3
    assert harvest.files.total() == 40


@pytest.mark.chaos
@pytest.mark.timeout(0)
def test_many_mutated_files_end_as_crystals_or_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], longest: list[float]
) -> None:
    wanted = int(os.environ.get("GMTSCREEN_FUZZ_EXECUTIONS", "20000"))
    seconds = float(os.environ.get("GMTSCREEN_FUZZ_SECONDS", "300"))
    seed = int(os.environ.get("GMTSCREEN_FUZZ_SEED", "1"))
    seeds = real_and_sound_files()
    total, began = Harvest(), time.monotonic()
    while (n_left := wanted - total.files.total()) > 0 and time.monotonic() < began + seconds:
        harvest = fuzz(tmp_path / f"round-{seed}", min(FILES_PER_ROUND, n_left), seed, seeds)
        total.files += harvest.files
        total.endings += harvest.endings
        seed += 1
    with capsys.disabled():
        sys.stdout.write(
            f"\n{total.files.total()} mutated files in {time.monotonic() - began:.0f} s, seeds to {seed}, "
        )
        sys.stdout.write(f"longest read {longest[0]:.2f} s by the clock\n{total.table()}\n")
        sys.stdout.flush()
    ended = {kind: {end for of, end in total.endings if of == kind} for kind in total.files}
    assert total.files and all("crystal" in ends and len(ends) > 1 for ends in ended.values()), ended
    assert 0 < longest[0] < OPTIONS.deadline_s


def test_each_mutation_changes_its_file_and_the_same_seed_makes_the_same_files() -> None:
    data = sound_files()["a.cif"]
    for mutation in MUTATIONS:
        results = [mutation(np.random.default_rng(seed), data) for seed in range(20)]
        assert sum(result != data for result in results) > 10
        assert results == [mutation(np.random.default_rng(seed), data) for seed in range(20)]


def test_negative_control_a_lost_file_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2):
        (tmp_path / f"{number:05d}").mkdir()
        (tmp_path / f"{number:05d}" / "x.json").write_bytes(sound_files()["one.json"])
    whole = find_files(str(tmp_path))
    monkeypatch.setattr("gmt_tasks.sources.files.source.find_files", lambda text: replace(whole, files=whole.files[:1]))
    with pytest.raises(AssertionError, match="no input of"):
        harvest_of(tmp_path)


@pytest.mark.usefixtures("shared_children")
def test_every_sound_file_gives_crystals_only(tmp_path: Path) -> None:
    for name, data in sound_files().items():
        (tmp_path / name).write_bytes(data)
    blocks = list(open_source(str(tmp_path), OPTIONS).blocks())
    assert [item for block in blocks for item in block.rejected] == []
    assert sum(block.crystals.n_crystals for block in blocks) == 31
