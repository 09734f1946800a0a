"""How the cost grows: stages over atoms per cell, whole runs over rows."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed import whole_run
from benchmarks.speed.inputs import crystals_of, of_size, sample, write_crystals
from benchmarks.speed.ratios import by_stage, marginal, microseconds, repeats
from benchmarks.speed.versions import Asked, Contender

SIZES = {2: 48, 8: 48, 20: 32, 60: 12, 200: 4}
"""Atoms per cell, and crystals of such cells in one file."""

N_REPEATS = 2
N_START = 8
"""Inputs of the run that is nothing but start and end."""

SEED = 23


def by_atoms(candidates: Path, folder: Path) -> list[dict[str, Any]]:
    """Stage times of cells of about 2, 8, 20, 60 and 200 atoms, in one process; the last two are supercells."""
    crystals, rows = crystals_of(candidates), []
    largest = int(crystals.atoms_per_crystal.max())
    with Asked(Contender("sizes", "gmtnet"), folder) as process:
        process.screen(sample(candidates, 24, SEED, folder))
        for n_atoms, n in SIZES.items():
            answers = []
            try:
                samples = [of_size(crystals, n_atoms, n, SEED + repeat) for repeat in range(N_REPEATS)]
            except ValueError:
                continue  # the candidates have no such cells: left out, not made up
            for repeat, chosen in enumerate(samples):
                path = folder / f"size-{n_atoms}-{repeat}.parquet"
                write_crystals(path, [f"size-{n_atoms}-{repeat}-{k}" for k in range(n)], chosen)
                answers.append(process.screen(path))
            rows.append(
                {
                    "atoms": float(np.mean([a["n_atoms"] / a["n"] for a in answers])),
                    "supercells": n_atoms > largest,
                    "us_per_crystal": repeats(microseconds(answers)),
                    "us_per_atom": repeats([1e6 * a["cpu_s"] / a["n_atoms"] for a in answers]),
                    "stages": by_stage(answers),
                }
            )
    return rows


def by_rows(candidates: Path, folder: Path, *, rows: tuple[int, ...], workers: int) -> dict[str, Any]:
    """Whole runs: one of a few inputs, which is start and end alone, one with one worker, growing ones, one on a core.

    Args:
        candidates: Parquet file.
        folder: for samples and databases.
        rows: inputs of the runs, ascending; the first is also run with one worker.
        workers: of the others.

    Returns:
        load (of the last 15 minutes, at the end), start, runs, one_core (the largest of them on one core), and
        one_worker and all_workers: figures of one more crystal beside the first run.
    """
    files = {n: sample(candidates, n, SEED, folder) for n in (N_START, *rows)}
    start = whole_run.screen(files[N_START], folder / "start.db", workers=1)
    one = whole_run.screen(files[rows[0]], folder / "one.db", workers=1)
    runs = [whole_run.screen(files[n], folder / f"rows-{n}.db", workers=workers) for n in rows]
    return {
        "load": os.getloadavg()[2],
        "start": start,
        "runs": [one, *runs],
        "one_core": whole_run.screen(files[rows[-1]], folder / "one-core.db", workers=1, one_core=True),
        "one_worker": beyond_start(one, start),
        "all_workers": beyond_start(runs[-1], start),
    }


def beyond_start(run: dict[str, Any], start: dict[str, Any]) -> dict[str, float]:
    """Cost of one more crystal of a run: processor time of all processes in µs, and the rates it had.

    Args:
        run: figures of a run,
        start: and of one that is nothing but start and end.
    """
    return {
        "workers": run["workers"],
        "n": run["n"],
        "cpu_us_per_crystal": 1e6 * marginal(run, start, "cpu_s"),
        "bytes_per_crystal": marginal(run, start, "database_bytes"),
        "crystals_per_s_recorded": run["crystals_per_s"],
        "crystals_per_s_wall": run["n"] / run["wall_s"],
        "crystals_per_cpu_s": 1.0 / marginal(run, start, "cpu_s"),
        "start_s": start["wall_s"],
        "start_cpu_s": start["cpu_s"],
    }
