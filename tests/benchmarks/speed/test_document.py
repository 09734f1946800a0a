"""The documents render from a small result, with and without the parts that may be missing."""

import json
from typing import Any

import pytest

from benchmarks.speed import document
from benchmarks.speed.document import line_of, performance, scaling
from benchmarks.speed.interleaved import EARLIER, OURS, OURS_DISTILLED, OURS_PAPER, PLAIN, figures

STAGES = {"read": 0.008, "network": 0.09, "lease": 0.002}


def answers(factor: float) -> list[dict[str, Any]]:
    rounds = (factor, 1.2 * factor)
    return [{"n": 10, "cpu_s": 0.1 * s, "stages": {name: s * v for name, v in STAGES.items()}} for s in rounds]


def run(n: int, workers: int) -> dict[str, Any]:
    memory = {"driver": 300 << 20, "workers": 250 << 20}
    return {
        "n": n, "done": n, "duplicate": 0, "refused": 0, "workers": workers, "crystals_per_s": 50.0, "recorded_s": 9.0,
        "wall_s": 30.0, "start_s": 12.0, "drive_s": 9.0, "cpu_s": 17.0 + 0.02 * n, "memory": 600 << 20,
        "cpu_by_role": {"driver": 4.0 + 0.002 * n, "workers": 0.018 * n}, "resident_by_role": memory,
        "memory_by_role": memory, "database_bytes": 700_000 + 3000 * n,
    }  # fmt: skip


def result() -> dict[str, Any]:
    factors = {OURS: 1.0, EARLIER: 2.0, OURS_DISTILLED: 0.8, OURS_PAPER: 1.5, PLAIN: 4.0}
    ready = {name: {"missing": [], "load_cpu_s": 1.5} for name in factors}
    measured = figures({name: answers(f) for name, f in factors.items()}, ready, dict.fromkeys(factors, 2.0))
    agreement = {"largest": {"elastic_voigt": 3e-6, "piezoelectric": 2e-5}, "median": 1e-7, "n": 9, "n_other_graph": 1}
    more = {"workers": 2, "n": 100, "cpu_us_per_crystal": 20_000.0, "bytes_per_crystal": 3000.0}
    libraries = dict.fromkeys(("numpy", "torch", "SQLAlchemy", "e3nn", "pymatgen", "ase"), "1.0")
    return {
        "date": "2026-11-29", "version": "abc123", "input": {"file": "made.parquet", "rows": 60, "atoms": 12.3},
        "machine": {"processor": "A | B", "cores": 2, "system": "Linux", "python": "3.11", "load": 0.1, **libraries},
        "interleaved": {"n": 10, "rounds": 2, "earlier": "v1", "agreement": agreement, **measured},
        "rows": {
            "load": 0.2, "start": run(8, 1), "runs": [run(50, 1), run(100, 2)], "one_worker": more, "all_workers": more,
        },
        "atoms": [{
            "atoms": 200.0, "supercells": True, "us_per_crystal": {"min": 9e4}, "us_per_atom": {"min": 450.0},
            "stages": {"network": {"min": 8e4}, "symmetry": {"min": 1e4}},
        }],
        "bytes": {"n": 800, "input_parquet": 150.0, "sqlite": 3000.0, "postgresql": 4000.0, "parquet": 1500.0},
        "rattle_angstrom": 0.05,
        "many": {
            "n": 10**6, "version": "abc123", "date": "2026-11-29", "workers": 2,
            "run": {"in": 10**6, "done": 999_000, "duplicate": 900, "rejected": 100, "quarantined": 0},
            "rates": [{"from_s": 0.0, "to_s": 600.0, "done": 60_000, "crystals_per_s": 100.0}],
            "driver_bytes": {"first_tenth": 300 << 20, "largest": 400 << 20}, "database_bytes": 3 << 30,
            "top_100_ms": {"all, by d": {"first": 200.0, "median": 50.0}}, "driver_cpu_us_per_crystal": 800.0,
        },
    }  # fmt: skip


def test_the_document_of_a_whole_result_says_what_was_measured() -> None:
    made = json.loads(json.dumps(result()))
    text = performance(made, [line_of(made)])
    assert "| network | 18,000 (19,800) | 9,000 (9,900) | 7,200 (7,920) | 2.00 | 90.0 |" in text
    assert "| whole | 20,000 (22,000) | 10,000 (11,000) | 8,000 (8,800) | 2.00 | 100 |" in text
    assert f"| {PLAIN} / {OURS} | 4.00 | 4.00 | 4.00 to 4.00 |" in text
    assert f"| {PLAIN} / {OURS_PAPER} | 2.67 |" in text
    assert f"| {PLAIN} / {OURS_DISTILLED} | 5.00 |" in text
    assert "is 2.0e-05" in text
    assert "| 200, supercells | 90,000 | 450 | network 80,000, symmetry 10,000 |" in text
    assert "999,000 done" in text and "| 2026-11-29 | abc123 | A \\| B | 10,000 | 4.00 |" in text


@pytest.mark.parametrize("missing", ["rows", "atoms", "many"])
def test_a_part_that_was_not_measured_is_left_out(missing: str) -> None:
    made = result()
    headings = {"rows": "## Whole runs", "atoms": "## Growth with the cell", "many": "## 1,000,000 rows"}
    assert headings[missing] in performance(made, [])
    del made[missing]
    text = performance(made, [])
    assert headings[missing] not in text and "## History" not in text and "## Stages" in text


def test_without_an_earlier_version_nothing_is_made_up() -> None:
    made = result()
    del made["interleaved"]["contenders"][EARLIER]
    made["interleaved"]["ratios"] = [row for row in made["interleaved"]["ratios"] if row["of"] != EARLIER]
    assert "| network | - | 9,000 (9,900) | 7,200 (7,920) | - | 90.0 |" in performance(made, [])


def test_the_history_is_read_as_it_was_written() -> None:
    line = line_of(result())
    assert json.loads(json.dumps(line)) == line
    assert line["ratios"][f"{EARLIER} / {OURS}"] == 2.0
    assert all({"date", "version", "us_per_crystal", "ratios"} <= set(old) for old in document.history())


def test_a_driver_costs_what_it_did_beside_a_large_database() -> None:
    text = scaling(result())
    # 20 ms of a small run, of which its driver had 0.20
    assert "20.6 ms of processor time" in text
    assert "what the driver does itself 0.80 ms beside 1,000,000 others in the database" in text


def test_large_screens_are_computed_from_the_result() -> None:
    small = result()
    del small["many"]["driver_cpu_us_per_crystal"]
    text = scaling(small)
    assert (
        "20.0 ms of processor time of all processes" in text
        and "(10.0 ms in one process" in text
        and "of which the network takes 9.0 ms and what the driver does itself 0.20 ms" in text
    )
    assert "| 1,000,000 | 6.9 | 0.278 |" in text
    assert "| PostgreSQL | 4,000 |" in text and "measured to 1,000,000" in text
    faster = json.loads(json.dumps(small))
    faster["rows"]["all_workers"] = faster["rows"]["all_workers"] | {"cpu_us_per_crystal": 2000.0}
    assert "| 1,000,000 | 0.7 | 0.0278 |" in scaling(faster)
    del faster["bytes"]["postgresql"], faster["many"]
    assert "measured to 100)" in scaling(faster)
    assert "| PostgreSQL | not measured |" in scaling(faster)
