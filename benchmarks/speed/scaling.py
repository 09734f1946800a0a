"""What 10^6, 10^8 and 10^9 crystals take: arithmetic on measured figures and stated assumptions."""

import math
from dataclasses import dataclass, field
from typing import Any

SIZES = (10**6, 10**8, 10**9)
HOURS_PER_DAY = 24.0
WANTED_DAYS = {10**6: 0.25, 10**8: 3.0, 10**9: 14.0}
"""Days in which somebody would want a screen of so many crystals to end."""

DRIVER_STAGES = ("validate", "deduplicate", "store inputs", "lease", "encode, commit")
"""What the driver of a run does itself; readers and content ids have processes of their own."""

SQLITE_BYTES = 200e9
"""Size of one SQLite file beyond which copies, backups and `VACUUM` take most of a night at 10 MB/s to 100 MB/s."""


@dataclass(frozen=True)
class Measured:
    """Figures of this machine.

    Attributes:
        cpu_s: processor time of all processes for one more crystal, and
        driver_s: that of the driver alone, which is one process per run.
        network_s: of one crystal in the network alone.
        start_s: wall time of a run that computes next to nothing.
        bytes_sqlite, bytes_postgresql, bytes_parquet: of a crystal with its input and result; None where not measured.
        bytes_input: of a candidate in Parquet.
    """

    cpu_s: float
    driver_s: float
    network_s: float
    start_s: float
    bytes_sqlite: float
    bytes_parquet: float
    bytes_input: float
    bytes_postgresql: float | None = None


@dataclass(frozen=True)
class Assumed:
    """What nobody measured here.

    Attributes:
        core_hour, gpu_hour: prices in US dollars, of a core of a cloud's compute machine and of one data-centre GPU.
        gib_month: price of a GiB of block storage for a month.
        efficiency: share of the hours of rented cores in which they compute.
        gpu_speedup: how many times one core's rate the network has on a GPU.
        hits: share of the crystals whose rows anybody asks for.
    """

    core_hour: float = 0.04
    gpu_hour: float = 2.5
    gib_month: float = 0.1
    efficiency: float = 0.8
    gpu_speedup: float = 200.0
    hits: float = 0.01


@dataclass(frozen=True)
class Plan:
    """What a screen of `n` crystals takes.

    Attributes:
        n: crystals.
        core_hours, core_money: on cores alone, rented hours and dollars.
        days: in which it should end, and
        cores: that this takes.
        drivers: commands that share the database, so that none is slower than its workers.
        gpu_hours: of GPUs that do the network, and
        gpu_core_hours: of the cores that do the rest beside them.
        gpu_money: of both.
        bytes: by place.
        wall: what gives way next, and what the design answers, sentences.
    """

    n: int
    core_hours: float
    core_money: float
    days: float
    cores: int
    drivers: int
    gpu_hours: float
    gpu_core_hours: float
    gpu_money: float
    bytes: dict[str, float | None] = field(default_factory=dict)
    wall: list[str] = field(default_factory=list)


def measured_of(result: dict[str, Any]) -> Measured:
    """The figures that a result of the benchmark has for this.

    Args:
        result: JSON of `python -m benchmarks.speed`, with rows, bytes and interleaved figures.
    """
    rows, sizes = result["rows"], result["bytes"]
    stages = result["interleaved"]["contenders"]["this version"]["stages"]
    in_small = sum(stages[name]["min"] for name in DRIVER_STAGES if name in stages)
    # the larger the database, the more its driver does for a crystal; where that was measured, it counts
    in_large = max((result.get("many") or {}).get("driver_cpu_us_per_crystal", 0.0), in_small)
    return Measured(
        cpu_s=1e-6 * (rows["all_workers"]["cpu_us_per_crystal"] + in_large - in_small),
        driver_s=1e-6 * in_large,
        network_s=1e-6 * stages["network"]["min"],
        start_s=rows["start"]["wall_s"],
        bytes_sqlite=sizes["sqlite"],
        bytes_parquet=sizes["parquet"],
        bytes_input=sizes["input_parquet"],
        bytes_postgresql=sizes.get("postgresql"),
    )


def plan(n: int, measured: Measured, assumed: Assumed) -> Plan:
    """What a screen of `n` crystals takes, by what was measured and assumed."""
    core_hours = n * measured.cpu_s / 3600.0 / assumed.efficiency
    days = WANTED_DAYS.get(n, 1.0)
    hours = HOURS_PER_DAY * days
    cores = math.ceil(core_hours / hours)
    # a driver reads, identifies, leases and commits: its own processor time bounds the rate of one command
    drivers = math.ceil(n * measured.driver_s / 3600.0 / hours / assumed.efficiency)
    gpu_hours = n * measured.network_s / assumed.gpu_speedup / 3600.0 / assumed.efficiency
    beside = n * max(measured.cpu_s - measured.network_s, 0.0) / 3600.0 / assumed.efficiency
    stored = {
        "input, Parquet": n * measured.bytes_input,
        "results, SQLite": n * measured.bytes_sqlite,
        "results, PostgreSQL": None if measured.bytes_postgresql is None else n * measured.bytes_postgresql,
        "results, Parquet": n * measured.bytes_parquet,
    }
    return Plan(
        n=n,
        core_hours=core_hours,
        core_money=core_hours * assumed.core_hour,
        days=days,
        cores=cores,
        drivers=max(1, drivers),
        gpu_hours=gpu_hours,
        gpu_core_hours=beside,
        gpu_money=gpu_hours * assumed.gpu_hour + beside * assumed.core_hour,
        bytes=stored,
        wall=walls(n, stored, max(1, drivers), cores, assumed),
    )


def walls(n: int, stored: dict[str, float | None], drivers: int, cores: int, assumed: Assumed) -> list[str]:
    """What gives way at this size, and the design's answer to it, in the order in which it is met."""
    sqlite, found = stored["results, SQLite"] or 0.0, []
    server = stored["results, PostgreSQL"] or sqlite
    if cores > 64:
        found.append(
            f"{cores:,} cores are more than one machine: a Ray cluster (`--ray-address`) or several commands under "
            "Slurm or Kubernetes, whose workers need no database connection"
        )
    if sqlite > SQLITE_BYTES:
        found.append(
            f"one SQLite file of {sqlite / 1e9:,.0f} GB has one writer and lies on one machine: PostgreSQL, where the "
            "results of each model version are a partition, pruned by dropping it"
        )
    if drivers > 1:
        found.append(
            f"one driver would be slower than its workers: {drivers} commands with a part of the input each on one "
            "PostgreSQL database; leases and fenced commits are made for that, each run has its own balance"
        )
    if server > 1e12:
        found.append(
            f"{server / 1e12:,.1f} TB of rows and columns, of which perhaps {100 * assumed.hits:.0f} % are ever asked "
            f"for: hits alone in SQL ({server * assumed.hits / 1e9:,.0f} GB), the rest in Parquet beside it "
            f"({(stored['results, Parquet'] or 0.0) / 1e12:,.1f} TB). `gmtscreen export --database` writes that "
            "Parquet afterwards; a run that commits to Parquet and inserts hits only is not written yet"
        )
    if n >= 10**9:
        found.append(
            "one row per input is a ledger of a billion rows, and a query by column reads 4 bytes of each: ledger and "
            "columns per part of the input (a database per part, asked one after the other), not written yet"
        )
    return found or ["none: one machine, one command, one SQLite file"]
