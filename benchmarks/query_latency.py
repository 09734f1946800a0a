"""How long searches take in a large database that this script builds, and how many bytes a crystal takes there.

`make bench-query` runs it with a million rows on SQLite, `make bench-query DB=postgresql://...` on an empty database of
a server. Crystals and values are made up: correlated, with gaps, results of three model versions. Each question is
asked in a random order and in a transaction of its own: once with nothing kept from earlier ones, as a command that
ends after its answer asks, then several times as a server does, which keeps columns (`db.query.by_column.cache`). The
processor time is that of this process, without a database server's.
"""

import argparse
import hashlib
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection

from db import segments
from db.base import Float32
from db.bulk import insert_columns, insert_rows
from db.codec import crystal_rows, result_columns
from db.query.by_column.cache import CACHE
from db.query.pages import sql_page
from db.query.properties import PROPERTIES, Kind
from db.query.request import Request
from db.records import IngestedBlock, ModelVersion, ResultBlock, RunSpec
from db.store import ResultStore
from db.tables import BLOCK_COLUMNS, Outcome, crystals, inputs, results
from db.transactions import reading, writing
from models.crystals.crystal import CrystalBatch
from models.quantities import DERIVED, INTERVALS, TENSORS, ColumnKind, Tensor

ROWS_PER_BLOCK = 16_384
SHARES = (("made@1", 0.6), ("made@2", 0.3), ("made@3", 0.1))
N_SHAPES = 512
"""Structures that crystals share, each with its own composition."""

TOP = 100
FIELDS = ("id", "source_ids", "formula", "spacegroup", "k_vrh_gpa", "k_vrh_gpa_lo", "k_vrh_gpa_hi", "d_max_pc_per_n")
PAIRS = (
    ("k_vrh_gpa", "g_vrh_gpa"), ("k_vrh_gpa", "d_max_pc_per_n"), ("e_max_c_per_m2", "eps_total_mean"),
    ("eps_total_mean", "band_gap_ev"), ("birefringence", "band_gap_ev"), ("universal_anisotropy", "pugh_ratio"),
)  # fmt: skip
COMMON = (8, 14, 26, 13, 7, 16, 15, 12, 20, 22, 30, 34, 38, 56)


def say(text: str) -> None:
    """One line, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def build(store: ResultStore, n_rows: int) -> None:
    """Fills an empty database: some rows as a run stores them, the others are varied copies that SQL makes of them."""
    rng = np.random.default_rng(0)
    shapes = [_shape(rng) for _ in range(N_SHAPES)]
    n_base = min(n_rows, 2 * ROWS_PER_BLOCK)
    first = 0
    for text, share in SHARES:
        name, _, version = text.partition("@")
        model = ModelVersion(name, version, version * 64)
        run = store.open_run(RunSpec(("made up",), (text,), model, {"symprec": 0.01}))
        stop = n_base if text == SHARES[-1][0] else first + round(share * n_base)
        for start in range(first, stop, ROWS_PER_BLOCK):
            _add(store, run.id, range(start, min(start + ROWS_PER_BLOCK, stop)), shapes)
        first = stop
    with writing(store._engine) as connection:
        for copy in range(1, n_rows // n_base):
            _copy(connection, copy, n_base)
    for run_id in store.run_numbers():
        with writing(store._engine) as connection:
            segments.rebuild(connection, run_id)
    with store._engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()


def _copy(connection: Connection, copy: int, n_base: int) -> None:
    """One varied copy of every base row, under ids of its own."""
    sqlite = connection.dialect.name == "sqlite"
    digits = f"{copy:02x}"
    of = {"crystals": "id", "inputs": "crystal_id", "results": "crystal_id"}
    for table in (crystals, inputs, results):
        chosen = []
        for column in table.columns:
            name = f'"{column.name}"'
            if column.name == of[table.name]:
                name = f"substr({name}, 1, 7) || '{digits}' || substr({name}, 10)"
            elif column.name == "position":
                name = f"position + {copy * n_base}"
            elif isinstance(column.type, Float32):
                varied = f"{name} + random() % 20000" if sqlite else f"{name} * (1 + 2e-3 * random())"
                name = f"CASE WHEN {name} > {10**6 if sqlite else 1e-6} THEN {varied} ELSE {name} END"
            chosen.append(name)
        base = f"position < {n_base}"
        if table is not inputs:
            base = f"{of[table.name]} IN (SELECT crystal_id FROM inputs WHERE position < {n_base})"  # noqa: S608
        names = ", ".join(f'"{column.name}"' for column in table.columns)
        statement = f"INSERT INTO {table.name} ({names}) SELECT {', '.join(chosen)} FROM {table.name} WHERE {base}"  # noqa: S608
        connection.exec_driver_sql(f"{statement} ON CONFLICT DO NOTHING".replace("%", "%%" if not sqlite else "%"))


def _shape(rng: np.random.Generator) -> tuple[Any, Any]:
    """Lattice and coordinates of about two dozen atoms, two in five coordinates special."""
    n_atoms = int(rng.integers(2, 48))
    special = rng.integers(0, 12, (n_atoms, 3)) / 12
    sites = np.where(rng.uniform(size=(n_atoms, 3)) < 0.4, special, rng.uniform(size=(n_atoms, 3)).round(6))
    lattice = np.diag(rng.uniform(3, 12, 3).round(6)) + np.tril(rng.normal(0, 1, (3, 3)).round(6), -1) * (
        rng.uniform() < 0.5
    )
    return lattice, sites


def _add(store: ResultStore, run_id: int, numbers: range, shapes: list[tuple[Any, Any]]) -> None:
    """Crystals, inputs and results of one block."""
    rng = np.random.default_rng(numbers.start)
    ids = sorted("gx-" + hashlib.sha256(str(number).encode()).hexdigest()[:20] for number in numbers)
    chosen = [shapes[k] for k in rng.integers(0, N_SHAPES, len(ids))]
    species = [rng.choice(COMMON, 3) if rng.uniform() < 0.8 else rng.integers(1, 90, 3) for _ in ids]
    of_sites = [np.repeat(z, [(n + 2) // 3] * 3)[:n] for z, n in zip(species, (len(s) for _, s in chosen), strict=True)]
    batch = CrystalBatch.from_arrays([lattice for lattice, _ in chosen], [sites for _, sites in chosen], of_sites)
    block = IngestedBlock("made up", 0, len(ids), np.arange(len(ids)), [], ids, batch, [], [])
    arrivals = [
        {
            "run_id": run_id, "source_index": 0, "position": number, "source_id": f"made-{number}", "crystal_id": one,
            "outcome": Outcome.ACCEPTED, "metadata": json.dumps({"formula": "Al2O3", "nsites": number % 97}),
        }
        for number, one in zip(numbers, ids, strict=True)
    ]  # fmt: skip
    made = _results(rng, ids)
    with writing(store._engine) as connection:
        model_id = run_id  # one run per version, both numbered from 1
        insert_rows(connection, crystals, crystal_rows(block, range(len(ids))))
        insert_rows(connection, inputs, arrivals)
        columns = result_columns(made, {"model_id": model_id, "run_id": run_id, "created": 0.0})
        insert_columns(connection, results, columns)
        segments.append(connection, model_id, columns)


def _results(rng: np.random.Generator, ids: list[str]) -> ResultBlock:
    """Results of a block: numbers follow two hidden ones, a tenth of the crystals lacks some, half have e = 0."""
    n = len(ids)
    stiff, polar = rng.normal(size=n), rng.normal(size=n)
    centred, gaps = rng.uniform(size=n) < 0.5, rng.uniform(size=n) < 0.1
    columns: dict[str, Any] = {"spacegroup": rng.integers(1, 231, n), "symprec": np.full(n, 0.01)}
    columns["point_group"] = rng.choice(["mmm", "2/m", "m-3m", "4mm", "-43m", "6/mmm", "1"], n).astype(object)
    for name, quantity in DERIVED.items():
        if quantity.kind is ColumnKind.FLAG:
            columns[name] = stiff > rng.normal()
        elif quantity.kind is ColumnKind.TEXT:
            columns[name] = rng.choice(["isotropic", "uniaxial", "biaxial"], n).astype(object)
        else:
            values = np.exp(2 + 0.7 * stiff + 0.5 * polar + 0.4 * rng.normal(size=n))
            if Tensor.PIEZOELECTRIC in quantity.from_tensors:
                values[centred] = 0.0
            columns[name] = np.where(gaps, np.nan, values)
    for name, (lower, upper) in INTERVALS.items():
        width = np.exp(0.1 + 0.05 * rng.uniform(size=n))
        columns |= {lower: columns[name] / width, upper: columns[name] * width}
    for row in TENSORS.values():
        columns[row.error_column] = rng.gamma(2, 1, n)
    columns |= {name: rng.uniform(size=n) for name in ("ood_score", "bond_dimensionality", "vacuum_angstrom")}
    columns["band_gap_ev"] = np.where(rng.uniform(size=n) < 0.4, 0.0, rng.gamma(2, 1, n))
    columns |= {name: rng.uniform(size=n) < 0.05 for name in ("ood", "low_dimensional", "layered")}
    columns["metal"] = columns["band_gap_ev"] == 0
    tensors = {tensor: _tensors(rng, tensor, n, centred) for tensor in Tensor}
    removed = {tensor: rng.uniform(0, 0.01, n) for tensor in Tensor}
    return ResultBlock(ids, columns, tensors, removed, ["[]"] * n, [])


def _tensors(rng: np.random.Generator, tensor: Tensor, n: int, centred: Any) -> Any:
    """Tensors with the zeros that an orthorhombic crystal has."""
    shape = TENSORS[tensor].shape
    values = rng.normal(100, 20, (n, *shape)) * (rng.uniform(size=shape) < 0.6)
    values = values + values.swapaxes(-1, -2)
    if tensor is Tensor.PIEZOELECTRIC:
        values[centred] = 0.0
    return values


def questions(store: ResultStore, rng: random.Random) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Groups of questions with one of each, every column in turn."""
    quantiles = {name: _quantiles(store, name) for name in BLOCK_COLUMNS}
    ordered = [name for name, values in quantiles.items() if values]

    def above(name: str) -> str:
        return f"{name} > {rng.choice(quantiles[name]):.6g}"

    for name in ordered:
        yield "one column filtered and sorted", _top(store, above(name), f"-{name}")
        yield "sorted by one column, no filter", _top(store, "", rng.choice(("", "-")) + name)
        yield "filtered by one, sorted by another column", _top(store, above(name), f"-{rng.choice(ordered)}")
    for one, other in PAIRS * 4:
        text = f"{above(one)} AND {above(other)}"
        yield "common pairs", _top(store, text, f"-{other}")
        yield "count of a pair", partial(store.count, text)
    for _ in range(12):
        pair = ",".join(f'"{symbol}"' for symbol in rng.sample(["O", "Si", "Fe", "Al", "N", "S", "P", "Mg", "Xe"], 2))
        yield "elements HAS ALL", _top(store, f"elements HAS ALL {pair}", "-k_vrh_gpa")
        yield "elements HAS ONLY", _top(store, f'elements HAS ONLY {pair},"O"', "-k_vrh_gpa")
        yield "count of elements", partial(store.count, f"elements HAS ALL {pair}")
        yield "formula", _top(store, 'formula CONTAINS "Al"', "-k_vrh_gpa")
    for field in ("elements", "point_group", "spacegroup", "metal", "nelements"):
        yield "facets", partial(store.facets, field, above("k_vrh_gpa"))
        yield "facets of everything", partial(store.facets, field)
    for name in rng.sample(ordered, 10):
        yield "histogram", partial(store.histogram, name, above("k_vrh_gpa"), scale="log")
    for _ in range(5):
        yield "first page, no filter", _top(store, "", None)
        yield "count of everything", store.count
    for row in store.page(Request(fields=("id",), sort="-k_vrh_gpa", limit=20)).rows:
        yield "one crystal with everything", partial(store.show, row["id"])


def _quantiles(store: ResultStore, name: str) -> list[float]:
    """Values of a number that a half, a tenth, a hundredth of the crystals exceed; none for flags and texts."""
    if PROPERTIES[name] not in (Kind.NUMBER, Kind.INTEGER):
        return []
    shape = store.histogram(name, bins=1000)
    if not shape.counts:
        return []
    share = np.cumsum(shape.counts[::-1]) / sum(shape.counts)
    return [shape.edges[-2 - int(np.searchsorted(share, wanted))] for wanted in (0.5, 0.1, 0.01)]


def _top(store: ResultStore, filter_text: str, sort: str | None) -> Callable[[], Any]:
    return partial(store.page, Request(filter_text, FIELDS, sort, TOP))


def measure(store: ResultStore, n_times: int) -> None:
    """Asks everything, first with nothing kept, and prints per group what it took."""
    rng = random.Random(1)
    asked = list(questions(store, rng))
    rng.shuffle(asked)
    _ask("nothing kept", asked, CACHE.clear)
    asked *= n_times
    rng.shuffle(asked)
    _ask(f"{CACHE.n_bytes / 2**20:.0f} MB kept at first", asked, lambda: None)


def _ask(title: str, asked: Sequence[tuple[str, Callable[[], Any]]], before_each: Callable[[], None]) -> None:
    """Asks questions and prints, per group, median, 95th percentile and worst in milliseconds."""
    taken: dict[str, list[tuple[float, float]]] = {}
    for group, question in asked:
        before_each()
        began, worked = time.perf_counter(), time.process_time()
        question()
        seconds = time.perf_counter() - began, time.process_time() - worked
        taken.setdefault(group, []).append((1000 * seconds[0], 1000 * seconds[1]))
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    heads = "".join(f"{head:>9}" for head in ("median", "p95", "worst", "cpu", "cpu p95"))
    say(f"{title + '; load ' + load:44}{'n':>5}{heads}  ms")
    for group, times in sorted(taken.items()):
        wall, processor = np.percentile(times, [50, 95, 100], axis=0).T
        say(f"{group:44}{len(times):5}" + "".join(f"{figure:9.0f}" for figure in (*wall, *processor[:2])))


def compare_with_sql(store: ResultStore) -> None:
    """What the same questions take when SQL answers alone, and that it answers the same."""
    for filter_text, sort in (
        ("", "-k_vrh_gpa"), ("k_vrh_gpa > 30 AND d_max_pc_per_n > 30", "-g_vrh_gpa"),
        ('elements HAS ALL "Si","O"', "-k_vrh_gpa"),
    ):  # fmt: skip
        request = Request(filter_text, FIELDS, sort, TOP)
        with reading(store._engine) as connection:
            began = time.perf_counter()
            by_sql = sql_page(connection, request)
            seconds = time.perf_counter() - began
        same = by_sql.rows == store.page(request).rows
        say(f"by SQL alone: {filter_text or 'no filter'}, sorted {sort}: {1000 * seconds:.0f} ms, same rows: {same}")


def tell_size(store: ResultStore, n_rows: int) -> None:
    """Bytes per row, by table and index."""
    statement = "SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC"
    if store.url.get_backend_name() == "postgresql":
        statement = (
            "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND "
            "relnamespace = 'public'::regnamespace ORDER BY 2 DESC"
        )
    with reading(store._engine) as connection:
        rows = connection.exec_driver_sql(statement).all()
    say(f"{sum(size for _, size in rows) / n_rows:.0f} bytes per row")
    for name, size in rows[:12]:
        say(f"  {name}: {size / n_rows:.0f}")


def main() -> None:
    """Builds the database where it is empty, prints sizes and times."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--db", default=None)
    parser.add_argument("--times", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ResultStore(asked.db or Path(folder) / "bench.db") as store:
        if not store.run_numbers():
            began = time.perf_counter()
            build(store, asked.rows)
            say(f"built {asked.rows} rows in {time.perf_counter() - began:.0f} s")
        tell_size(store, asked.rows)
        measure(store, asked.times)
        compare_with_sql(store)


if __name__ == "__main__":
    main()
