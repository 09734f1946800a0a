"""Mutated files of every format: no crash, no hang, every outcome a crystal or a reason, every file accounted for.

The short run mutates 40 files, the long one (marker chaos) GMTSCREEN_FUZZ_EXECUTIONS of them, 5,000 unless told. A
failing run names its seed; the same seed makes the same files.
"""

import os
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gmt_tasks.ingest import ingest_block
from gmt_tasks.sources.found_files import find_files
from gmt_tasks.sources.source import ReadOptions, open_source
from models.crystal import find_invalid
from models.errors import Reason
from tests.gmt_tasks.sources.hostile_files import sound_files
from tests.gmt_tasks.sources.mutations import MUTATIONS, mutated

AWKWARD = Path(__file__).parents[3] / ".." / "shared" / "data" / "awkward"
FILES_PER_ROUND = 200
OPTIONS = ReadOptions(deadline_s=60.0, memory_bytes=3 << 30)


def real_and_sound_files() -> dict[str, bytes]:
    """Our own small files, and the small ones among the real ones where they are."""
    real = sorted(AWKWARD.glob("*")) if AWKWARD.is_dir() else []
    small = [path for path in real if path.suffix != ".json" and path.stat().st_size < 6000]
    return sound_files() | {path.name: path.read_bytes() for path in small}


def write_mutants(folder: Path, n_files: int, seed: int, seeds: dict[str, bytes]) -> None:
    """Mutated files, each with the format of the file it was made of."""
    random = np.random.default_rng(seed)
    originals = list(seeds.items())
    for number in range(n_files):
        name, data = originals[int(random.integers(len(originals)))]
        target = folder / f"{number:05d}" / name.replace(" ", "_")
        target.parent.mkdir()
        target.write_bytes(mutated(random, data))


def outcomes_of(folder: Path) -> Counter[str]:
    """Reads a directory of mutants, checks the laws, and counts how its inputs ended."""
    ended: Counter[str] = Counter()
    seen: set[str] = set()
    position = 0
    source = open_source(str(folder), OPTIONS)
    for block in source.blocks():
        assert block.start == position, "a gap between blocks"
        position = block.stop
        accepted = ingest_block(source.name, block, OPTIONS.max_atoms)  # raises if an input is lost or doubled
        assert np.isfinite(accepted.crystals.lattice).all() and np.isfinite(accepted.crystals.frac_coords).all()
        assert not find_invalid(accepted.crystals)
        ended["crystal"] += accepted.crystals.n_crystals
        for item in accepted.rejected:
            assert item.reason in Reason and item.detail and item.source_id
            assert item.source_id.isprintable() and item.detail.isprintable()
            ended[item.reason] += 1
        texts = [*block.places, *block.source_ids, *(f"{i.source_id} {i.detail}" for i in block.rejected)]
        # Every file stands in a folder named by a number of five digits, which ids, places or details repeat.
        seen |= {part for text in texts for part in text.replace("/", " ").split() if len(part) == 5 and part.isdigit()}
    missing = {file.label.split("/")[0] for file in find_files(str(folder))} - seen
    assert not missing, f"no input of {sorted(missing)[:5]}"
    return ended


def fuzz(folder: Path, n_files: int, seed: int, seeds: dict[str, bytes]) -> Counter[str]:
    """One round in an empty folder."""
    folder.mkdir()
    write_mutants(folder, n_files, seed, seeds)
    try:
        ended = outcomes_of(folder)
    except Exception as error:
        raise AssertionError(f"seed {seed} with {n_files} files breaks a law; they are kept in {folder}") from error
    shutil.rmtree(folder)
    return ended


def test_mutated_files_end_as_crystals_or_reasons(tmp_path: Path) -> None:
    ended = fuzz(tmp_path / "round", 40, 0, sound_files())
    # The mutations are neither toothless nor deadly to everything.
    assert ended["crystal"] > 3 and sum(ended.values()) - ended["crystal"] > 3


@pytest.mark.chaos
@pytest.mark.timeout(0)
def test_many_mutated_files_end_as_crystals_or_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = int(os.environ.get("GMTSCREEN_FUZZ_EXECUTIONS", "5000"))
    first = int(os.environ.get("GMTSCREEN_FUZZ_SEED", "1"))
    seeds = real_and_sound_files()
    ended: Counter[str] = Counter()
    began = time.monotonic()
    for number, n_before in enumerate(range(0, wanted, FILES_PER_ROUND)):
        ended += fuzz(tmp_path / f"round-{number}", min(FILES_PER_ROUND, wanted - n_before), first + number, seeds)
        with capsys.disabled():
            n_files, seconds = min(n_before + FILES_PER_ROUND, wanted), time.monotonic() - began
            sys.stdout.write(f"\n{n_files} files in {seconds:.0f} s: {dict(ended.most_common())}\n")
            sys.stdout.flush()
    assert ended[Reason.DEADLINE] == 0, "a mutant of a small file hung its reader"


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
    monkeypatch.setattr("gmt_tasks.sources.files.find_files", lambda text: whole[:1])
    with pytest.raises(AssertionError, match="no input of"):
        outcomes_of(tmp_path)


def test_every_sound_file_gives_crystals_only(tmp_path: Path) -> None:
    for name, data in sound_files().items():
        (tmp_path / name).write_bytes(data)
    blocks = list(open_source(str(tmp_path), OPTIONS).blocks())
    assert [item for block in blocks for item in block.rejected] == []
    assert sum(block.crystals.n_crystals for block in blocks) == 31
