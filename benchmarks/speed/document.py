"""docs/performance.md and docs/scaling.md from a result of the benchmark and the recorded history."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.speed.interleaved import EARLIER, OURS, OURS_DISTILLED, PLAIN
from benchmarks.speed.one_process import STAGES
from benchmarks.speed.scaling import SIZES, Assumed, Plan, measured_of, plan
from flows.reports.markdown import figures, markdown_table, render

HISTORY = Path(__file__).with_name("history.jsonl")
MIB = 2**20


def history() -> list[dict[str, Any]]:
    """Recorded lines, oldest first."""
    if not HISTORY.exists():
        return []
    return [json.loads(line) for line in HISTORY.read_text(encoding="utf-8").splitlines() if line.strip()]


def line_of(result: dict[str, Any]) -> dict[str, Any]:
    """What the history keeps of a result."""
    interleaved, rows = result["interleaved"], result.get("rows")
    ours = interleaved["contenders"][OURS]
    kept = {
        "date": result["date"],
        "version": result["version"],
        "processor": result["machine"]["processor"],
        "us_per_crystal": ours["us_per_crystal"]["min"],
        "stages": {name: values["min"] for name, values in ours["stages"].items()},
        "ratios": {f"{row['of']} / {row['to']}": row["of_minima"] for row in interleaved["ratios"]},
    }
    if rows is not None:
        kept |= {"run_cpu_us_per_crystal": rows["all_workers"]["cpu_us_per_crystal"]}
    return kept


def performance(result: dict[str, Any], recorded: list[dict[str, Any]]) -> str:
    """The document about the speed of screening.

    Args:
        result: of the benchmark; parts that were not measured are left out of the document.
        recorded: lines of the history.
    """
    interleaved = result["interleaved"]
    return render(
        "performance.md",
        folder=Path(__file__).parent,
        result=result,
        interleaved=interleaved,
        stages=stage_table(interleaved["contenders"]),
        plain_steps=step_table(interleaved["contenders"][PLAIN]["stages"]),
        contenders=contender_table(interleaved["contenders"]),
        ratios=ratio_table(interleaved["ratios"]),
        agreement=max(interleaved["agreement"]["largest"].values(), default=0.0),
        atoms=atoms_table(result["atoms"]) if result.get("atoms") else "",
        runs=runs_table(result["rows"]) if result.get("rows") else "",
        memory=memory_table(result["rows"]["runs"][-1]) if result.get("rows") else "",
        recorded=history_table(recorded) if recorded else "",
        many=many_tables(result["many"]) if result.get("many") else None,
    )


def stage_table(contenders: dict[str, Any]) -> str:
    """Stages of this version beside those of the earlier one: minimum (median), ratio, share."""
    columns = [contenders.get(name, {"stages": {}}) for name in (EARLIER, OURS, OURS_DISTILLED)]
    before, ours, distilled = (column["stages"] for column in columns)
    named = [*STAGES, *(name for name in ours if name not in STAGES)]
    total = sum(values["min"] for values in ours.values())
    rows = []
    for name in named:
        if name not in ours and name not in before:
            continue
        now, then = ours.get(name), before.get(name)
        rows.append(
            [
                name,
                *(_minimum_and_median(of) for of in (then, now, distilled.get(name))),
                figures(then["min"] / now["min"]) if now and then and now["min"] > 0 else "-",
                "-" if now is None else f"{100 * now['min'] / total:.1f}",
            ]
        )
    whole = [column.get("us_per_crystal") for column in columns]
    times = "-" if whole[0] is None else figures(whole[0]["min"] / whole[1]["min"])
    rows.append(["whole", *map(_minimum_and_median, whole), times, "100"])
    names = ("stage", "before, µs", "this version, µs", "gmtnet-distilled, µs", "before / this", "share, %")
    return markdown_table(names, rows)


def _minimum_and_median(values: dict[str, float] | None) -> str:
    return "-" if values is None else f"{values['min']:,.0f} ({values['median']:,.0f})"


def step_table(steps: dict[str, Any]) -> str:
    """Steps of the plain line."""
    rows = [[name, f"{values['min']:,.0f} ({values['median']:,.0f})"] for name, values in steps.items()]
    return markdown_table(("step of the plain line", "µs per crystal"), rows)


def contender_table(contenders: dict[str, Any]) -> str:
    """Cost and rate of everything that was asked in turns."""
    rows = [
        [
            name,
            f"{of['us_per_crystal']['min']:,.0f} ({of['us_per_crystal']['median']:,.0f})",
            figures(1e6 / of["us_per_crystal"]["min"]),
            f"{of['load_cpu_s']:.1f}",
        ]
        for name, of in contenders.items()
    ]
    return markdown_table(("", "µs per crystal", "crystals per core and s", "to load, s"), rows)


def ratio_table(ratios: list[dict[str, Any]]) -> str:
    """Ratios with their spread over the rounds."""
    rows = [
        [
            f"{row['of']} / {row['to']}",
            figures(row["of_minima"]),
            figures(row["median"]),
            f"{figures(row['lowest'])} to {figures(row['highest'])}",
        ]
        for row in ratios
    ]
    return markdown_table(("processor time", "of the minima", "median of rounds", "rounds"), rows)


def atoms_table(rows: list[dict[str, Any]]) -> str:
    """Cost over cell size with the largest stages."""
    cells = []
    for row in rows:
        largest = sorted(row["stages"].items(), key=lambda item: -item[1]["min"])[:3]
        cells.append(
            [
                f"{row['atoms']:.0f}{', supercells' if row['supercells'] else ''}",
                f"{row['us_per_crystal']['min']:,.0f}",
                f"{row['us_per_atom']['min']:,.0f}",
                ", ".join(f"{name} {values['min']:,.0f}" for name, values in largest),
            ]
        )
    return markdown_table(("atoms per cell", "µs per crystal", "µs per atom", "largest stages, µs"), cells)


def runs_table(rows: dict[str, Any]) -> str:
    """Whole runs: rates, start, processor time, bytes."""
    cells = [
        [
            f"{run['n']:,}",
            str(run["workers"]),
            f"{run['wall_s']:.0f}",
            "-" if run["start_s"] is None else f"{run['start_s']:.0f}",
            figures(run["crystals_per_s"]),
            figures(run["n"] / run["wall_s"]),
            f"{run['cpu_s']:.0f}",
            f"{run['database_bytes'] / MIB:.1f}",
        ]
        for run in [rows["start"], *rows["runs"]]
    ]
    head = (
        "inputs", "workers", "wall, s", "until inputs are in, s", "crystals/s, recorded", "crystals/s of wall",
        "processor time of all processes, s", "database, MiB",
    )  # fmt: skip
    return markdown_table(head, cells, texts=0)


def memory_table(run: dict[str, Any]) -> str:
    """Peak memory by role: of all its processes together, and of the largest one."""
    cells = [
        [
            role,
            f"{run['memory_by_role'].get(role, 0) / MIB:,.0f}",
            f"{n_bytes / MIB:,.0f}",
            f"{run['cpu_by_role'].get(role, 0.0):.1f}",
        ]
        for role, n_bytes in sorted(run["resident_by_role"].items(), key=lambda item: -item[1])
    ]
    cells.append(["all at once", f"{run['memory'] / MIB:,.0f}", "-", f"{run['cpu_s']:.1f}"])
    head = ("processes", "together, MiB (shared pages once)", "largest one, MiB resident", "processor time, s")
    return markdown_table(head, cells)


def history_table(recorded: list[dict[str, Any]]) -> str:
    """Recorded figures; lines of one machine can be compared."""
    rows = [
        [
            line["date"],
            line["version"],
            line["processor"],
            f"{line['us_per_crystal']:,.0f}",
            figures(line["ratios"][f"{PLAIN} / {OURS}"]),
        ]
        for line in recorded
    ]
    return markdown_table(("date", "version", "machine", "µs per crystal", f"{PLAIN} / {OURS}"), rows, texts=3)


def many_tables(record: dict[str, Any]) -> dict[str, str]:
    """Tables of a run of many rows."""
    rates = [[f"{row['to_s'] / 60:.0f}", f"{row['done']:,}", figures(row["crystals_per_s"])] for row in record["rates"]]
    queries = [[name, f"{row['first']:.0f}", f"{row['median']:.0f}"] for name, row in record["top_100_ms"].items()]
    return {
        "rates": markdown_table(("minutes", "crystals done", "crystals/s since the line above"), rates, texts=0),
        "queries": markdown_table(("top 100 of", "first, ms", "again, ms"), queries),
    }


def scaling(result: dict[str, Any], assumed: Assumed | None = None) -> str:
    """The document about large screens.

    Args:
        result: of the benchmark, with rows and bytes.
        assumed: prices and what else nobody measured.
    """
    assumed, measured = assumed or Assumed(), measured_of(result)
    plans = [plan(n, measured, assumed) for n in SIZES]
    return render(
        "scaling.md",
        folder=Path(__file__).parent,
        result=result,
        measured=measured,
        assumed=assumed,
        cost=cost_table(plans),
        bytes=bytes_table(plans),
        plans=[asdict(one) for one in plans],
        per_result=markdown_table(
            ("place", "bytes per crystal"),
            [[place, "not measured" if value is None else f"{value:,.0f}"] for place, value in (
                ("candidate in Parquet", measured.bytes_input), ("SQLite", measured.bytes_sqlite),
                ("PostgreSQL", measured.bytes_postgresql), ("partitioned Parquet", measured.bytes_parquet),
            )],
        ),
    )  # fmt: skip


def cost_table(plans: list[Plan]) -> str:
    """Hours, cores and money."""
    rows = [
        [
            f"{one.n:,}",
            f"{one.core_hours:,.1f}",
            figures(one.core_money),
            f"{one.cores:,} for {24 * one.days:,.0f} h",
            f"{one.drivers:,}",
            f"{one.gpu_hours:,.2f} + {one.gpu_core_hours:,.1f}",
            figures(one.gpu_money),
        ]
        for one in plans
    ]
    head = ("crystals", "core hours", "US$", "cores", "drivers", "GPU hours + core hours", "US$")
    return markdown_table(head, rows, texts=0)


def bytes_table(plans: list[Plan]) -> str:
    """Bytes by place in GB."""
    places = list(plans[0].bytes)
    rows = []
    for one in plans:
        sizes = [one.bytes[place] for place in places]
        rows.append([f"{one.n:,}", *("-" if n is None else f"{n / 1e9:,.1f}" for n in sizes)])
    return markdown_table(("crystals", *(f"{place}, GB" for place in places)), rows, texts=0)
