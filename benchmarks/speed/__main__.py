"""How fast crystals are screened, beside an earlier version and beside what one would write otherwise.

    make bench                                    all parts into runs/bench.json, below six minutes on two quiet cores
    python -m benchmarks.speed --parts interleaved --rounds 10 --against v0.4.0
    python -m benchmarks.speed --from runs/bench.json --write docs --record

Parts: `interleaved` (this version, an earlier one, the plain line, in turns, with all stages), `rows` (whole runs with
memory), `atoms` (growth with the cell), `bytes` (of a result in SQLite, PostgreSQL, Parquet). What is measured is
written after every part. A run of very many rows is a program of its own, benchmarks.speed.many_rows.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.speed import document, growth, interleaved
from benchmarks.speed.inputs import RATTLE_ANGSTROM, candidates_file, crystals_of, sample
from benchmarks.speed.machine import described, machine
from benchmarks.speed.stored_bytes import stored_bytes
from benchmarks.speed.versions import baseline

PARTS = ("interleaved", "rows", "atoms", "bytes")
N_BYTES = 800


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=Path, help="Parquet file of crystals")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--against", default=baseline(), help="revision of the earlier version")
    parser.add_argument("--n", type=int, default=60, help="crystals of a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", default="1000,10000", help="inputs of the whole runs, ascending")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of the whole runs but the first two")
    parser.add_argument("--postgres", help="URL of an empty PostgreSQL database, for its bytes")
    parser.add_argument("--many", type=Path, help="record of benchmarks.speed.many_rows to take up")
    parser.add_argument("--out", type=Path, default=Path("runs/bench.json"))
    parser.add_argument("--from", dest="measured", type=Path, help="measure nothing: take this result")
    parser.add_argument("--record", action="store_true", help="add a line to the history")
    parser.add_argument("--write", type=Path, help="folder for performance.md and scaling.md")
    return parser.parse_args()


def main() -> None:
    """Measures, prints, records, writes."""
    asked = arguments()
    result = json.loads(asked.measured.read_text(encoding="utf-8")) if asked.measured else measure(asked)
    if asked.many:
        result["many"] = json.loads(asked.many.read_text(encoding="utf-8"))
        save(result, asked.measured or asked.out)
    if asked.record:
        with document.HISTORY.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(document.line_of(result)) + "\n")
    if "interleaved" in result:
        text = document.performance(result, document.history())
        sys.stdout.write(text)
        if asked.write:
            (asked.write / "performance.md").write_text(text, encoding="utf-8")
    if asked.write and "rows" in result and "bytes" in result:
        (asked.write / "scaling.md").write_text(document.scaling(result), encoding="utf-8")


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Every part that was asked for; the file of the result has those that are done."""
    parts = asked.parts.split(",")
    if unknown := set(parts) - set(PARTS):
        raise SystemExit(f"no parts {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    folder = asked.out.parent.resolve() / "speed"
    folder.mkdir(parents=True, exist_ok=True)
    candidates = candidates_file(asked.candidates, folder).resolve()
    result: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "version": described(),
        "machine": machine(),
        "input": about(candidates),
        "rattle_angstrom": RATTLE_ANGSTROM,
    }
    rows = tuple(int(text) for text in asked.rows.split(","))
    measurements = {
        "interleaved": lambda: interleaved.compare(
            candidates, folder, against=asked.against, n=asked.n, n_rounds=asked.rounds
        ),
        "rows": lambda: growth.by_rows(candidates, folder, rows=rows, workers=asked.workers),
        "atoms": lambda: growth.by_atoms(candidates, folder),
        "bytes": lambda: stored_bytes(sample(candidates, N_BYTES, interleaved.SEED, folder), folder, asked.postgres),
    }
    for part in parts:
        sys.stderr.write(f"{part} ...\n")
        began_s = time.monotonic()
        result[part] = measurements[part]()
        sys.stderr.write(f"{part}: {time.monotonic() - began_s:.0f} s\n")
        save(result, asked.out)
    return result


def about(candidates: Path) -> dict[str, Any]:
    """Name, rows and mean size of the cells of a file."""
    return {
        "file": candidates.name,
        "rows": pq.ParquetFile(candidates).metadata.num_rows,
        "atoms": float(crystals_of(candidates).atoms_per_crystal.mean()),
    }


def save(result: dict[str, Any], path: Path) -> None:
    """Writes the result; it appears whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


if __name__ == "__main__":
    main()
