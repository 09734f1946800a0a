"""A run of 10^5 or 10^6 generated candidates: rate, memory of the driver and size of the database over time.

    python -m benchmarks.speed.many_rows --candidates FILE --n 1000000 --out runs/speed/many

Killed, the same command goes on: the parts that are written stay, gmtscreen resumes its run, and the record is
continued with the pause left out. When the run is finished, the latency of a top-100 query is measured and one JSON
record is written, OUT/record.json, that `python -m benchmarks.speed --many OUT/record.json` takes up.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from benchmarks.speed.generator import write_parts
from benchmarks.speed.inputs import candidates_file
from benchmarks.speed.machine import described, machine
from benchmarks.speed.versions import ROOT
from benchmarks.speed.whole_run import COMMAND, environment
from db.store import ResultStore
from models.errors import GmtError

EVERY_S = 30.0
TOP = 100
N_QUERIES = 7
QUERIES = {"all, by d": ("", "-d_max_pc_per_n"), "stiff, by k": ("k_vrh_gpa > 100", "-k_vrh_gpa")}


def main() -> None:
    """Makes the input, runs or resumes, writes the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=Path)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="gmtnet")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    parts = asked.out / f"input-{asked.n}"
    write_parts(candidates_file(asked.candidates, asked.out), asked.n, parts, asked.seed)
    database, samples = asked.out / "many.db", asked.out / "samples.jsonl"
    returncode = run(parts, database, samples, workers=asked.workers, model=asked.model)
    if returncode:
        raise SystemExit(f"the run ended with {returncode}; give the same command again to go on")
    record = record_of(database, samples, asked.n)
    record |= {"workers": asked.workers, "seed": asked.seed, "model": asked.model}
    text = json.dumps(record, indent=1) + "\n"
    (asked.out / "record.json").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


def run(parts: Path, database: Path, samples: Path, *, workers: int, model: str) -> int:
    """Starts or resumes the run and samples it every 30 s until it ends; returns its exit status."""
    words = ["screen", str(parts), "--db", str(database), "--workers", str(workers), "--model", model, "--json"]
    before = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()] if samples.exists() else []
    elapsed_s = before[-1]["s"] if before else 0.0
    with samples.open("a", encoding="utf-8") as lines, (samples.parent / "run.err").open("ab") as errors:
        process = subprocess.Popen(  # noqa: S603  our own command
            [*COMMAND, *words], stdout=subprocess.DEVNULL, stderr=errors, env=environment(), cwd=ROOT
        )
        began_s = time.monotonic()
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(EVERY_S)
            entry = {"s": elapsed_s + time.monotonic() - began_s, **progress(process.pid, database)}
            lines.write(json.dumps(entry) + "\n")
            lines.flush()
            if process.poll() is not None:
                return process.returncode


def progress(driver: int, database: Path) -> dict[str, Any]:
    """Crystals read and done, memory and processor time of the driver, bytes of the database now."""
    facts: dict[str, Any] = {"done": 0, "read": 0, "driver_bytes": None, "database_bytes": size_of(database)}
    with suppress(psutil.Error):
        process = psutil.Process(driver)
        facts["driver_bytes"] = process.memory_info().rss
        facts["driver_cpu_s"] = sum(process.cpu_times()[:2])
    with suppress(GmtError), ResultStore.open_read_only(database, timeout_s=20.0) as store:
        numbers = store.run_numbers()
        if numbers:
            facts["done"], facts["read"] = store.progress(numbers[0])
    return facts


def size_of(database: Path) -> int:
    """Bytes of an SQLite database with its log."""
    return sum(part.stat().st_size for part in database.parent.glob(f"{database.name}*"))


def rates(samples: list[dict[str, Any]], n_windows: int = 10) -> list[dict[str, float]]:
    """Crystals per second in windows of equal length over the time in which crystals were computed.

    A pause of a killed run does not count: the samples' clock stands still in it.
    """
    working = [entry for before, entry in pairwise(samples) if entry["done"] > before["done"]]
    if len(working) < 2:
        return []
    step = max(1, len(working) // n_windows)
    ends = [*working[::step], working[-1]] if (len(working) - 1) % step else working[::step]
    return [
        {
            "from_s": a["s"],
            "to_s": b["s"],
            "done": b["done"],
            "crystals_per_s": (b["done"] - a["done"]) / (b["s"] - a["s"]),
        }
        for a, b in pairwise(ends)
        if b["s"] > a["s"]
    ]


def driver_cpu_s(samples: list[dict[str, Any]]) -> float:
    """Processor time in s of all drivers of a run, one after the other: each begins at nothing."""
    times = [entry["driver_cpu_s"] for entry in samples if "driver_cpu_s" in entry]
    ends = [before for before, after in pairwise(times) if after < before]
    return sum(ends) + sum(times[-1:])


def query_latency(database: Path) -> dict[str, dict[str, float]]:
    """Wall time of top-100 queries in ms: the first of a fresh process is `first`, then the median of repeats."""
    latency = {}
    for name, (text, sort) in QUERIES.items():
        with ResultStore.open_existing(database) as store:
            times = []
            for _ in range(N_QUERIES):
                began_s = time.perf_counter()
                store.query(text, fields=["id", "formula", sort.lstrip("-")], sort=sort, limit=TOP)
                times.append(1e3 * (time.perf_counter() - began_s))
        latency[name] = {"first": times[0], "median": statistics.median(times[1:])}
    return latency


def record_of(database: Path, samples: Path, n: int) -> dict[str, Any]:
    """The record of a finished run."""
    entries = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    with ResultStore.open_existing(database) as store:
        (facts,) = store.runs(store.run_numbers()[0])
    memory = [entry["driver_bytes"] for entry in entries if entry["driver_bytes"]]
    names = ("in", "done", "duplicate", "rejected", "quarantined", "crystals_per_s", "seconds")
    return {
        "n": n,
        "version": described(),
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "run": {name: facts[name] for name in names},
        "rates": rates(entries),
        "driver_bytes": {"first_tenth": max(memory[: max(1, len(memory) // 10)]), "largest": max(memory)},
        "driver_cpu_us_per_crystal": 1e6 * driver_cpu_s(entries) / n,
        "database_bytes": size_of(database),
        "top_100_ms": query_latency(database),
    }


if __name__ == "__main__":
    main()
