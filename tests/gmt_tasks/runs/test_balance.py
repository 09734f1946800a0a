"""Any mixture of good and bad rows keeps the balance: in = accepted + duplicate + rejected."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db.records import ModelVersion
from db.store import ResultStore
from gmt_tasks.ingest.blocks import IngestPlan, ingested_blocks
from gmt_tasks.runs.lifecycle import dry_balance, ingest_source, run_spec
from gmt_tasks.sources.open import open_source
from models.errors import Reason

MODEL = ModelVersion("toy", "1", "0" * 64)
PLAN = IngestPlan(max_atoms=50, shard_atoms=64)


def row(size: float = 4.0, **more: Any) -> dict[str, Any]:
    cube = [[size, 0, 0], [0, size, 0], [0, 0, size]]
    return {"lattice": cube, "species": ["Na", "Cl"], "frac_coords": [[0, 0, 0], [0.5, 0.5, 0.5]], **more}


BAD: dict[str, tuple[str, Reason]] = {
    "garbage": ("{broken", Reason.PARSE),
    "a number": ("17", Reason.PARSE),
    "a list": ("[[]]", Reason.PARSE),
    "no crystal": ('{"id": "x", "energy": 1}', Reason.PARSE),
    "a key twice": (json.dumps(row())[:-1] + ', "species": []}', Reason.PARSE),
    "nan": (json.dumps(row(lattice=[float("nan")] * 9)), Reason.NONFINITE),
    "far": (json.dumps(row(frac_coords=[[0, 0, 0], [1e300, 0, 0]])), Reason.NONFINITE),
    "no atoms": (json.dumps(row(species=[], frac_coords=[])), Reason.EMPTY),
    "no volume": (json.dumps(row(0.0)), Reason.DEGENERATE_CELL),
    "too dense": (json.dumps(row(0.9)), Reason.TOO_DENSE),
    "overlap": (json.dumps(row(frac_coords=[[0, 0, 0], [0.001, 0, 1]])), Reason.OVERLAP),
    "dummy": (json.dumps(row(species=["Na", "X"])), Reason.UNKNOWN_SPECIES),
    "large": (
        json.dumps(row(40.0, species=[3] * 51, frac_coords=[[k / 51, 0.01 * (k == 0), 0] for k in range(51)])),
        Reason.TOO_LARGE,
    ),
    "odd id": (json.dumps(row(id="a\x00\ud800'; DROP TABLE inputs; --", species=["Qq", "X"])), Reason.UNKNOWN_SPECIES),
}
"""A line of JSON, and why it is refused."""

# A size stands for a crystal: the same size twice is a duplicate. None is a blank line, which is no input.
_LINES = st.lists(st.none() | st.integers(0, 6) | st.sampled_from(sorted(BAD)), min_size=1, max_size=40)


def text_of(line: int | str | None) -> str:
    if line is None:
        return "  "
    return BAD[line][0] if isinstance(line, str) else json.dumps(row(4.0 + 0.1 * line, id=f"\ud800good {line}\x00"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    opened = ResultStore(str(tmp_path_factory.mktemp("balance") / "balance.db"))
    opened.register_model(MODEL, {})
    return opened


@settings(max_examples=10)
@given(lines=_LINES, cut=st.integers(1, 40))
def test_any_mixture_of_rows_keeps_the_balance(
    store: ResultStore, tmp_path_factory: pytest.TempPathFactory, lines: list[int | str | None], cut: int
) -> None:
    path = Path(tmp_path_factory.mktemp("mixture")) / "rows.jsonl"
    path.write_text("\n".join(map(text_of, lines)))
    source = open_source(str(path))
    run = store.open_run(run_spec([source], MODEL, 0.01, PLAN))
    ingest_source(store, run.id, source, IngestPlan(PLAN.max_atoms, PLAN.shard_atoms, limit=cut))
    balance = store.balance(run.id)
    inputs = [line for line in lines if line is not None] or ["garbage"]  # an empty file is one refused input
    inputs = inputs[:cut]
    good = [line for line in inputs if isinstance(line, int)]
    assert balance.n_in == len(inputs)
    assert balance.rejected == len(inputs) - len(good)
    assert balance.duplicate == len(good) - len(set(good))
    assert balance.pending + balance.done == len(set(good))
    assert balance.n_in == balance.pending + balance.done + balance.duplicate + balance.rejected
    assert dry_balance([source], IngestPlan(50, 64, limit=cut)) == balance


@pytest.mark.parametrize("kind", BAD)
def test_each_bad_row_is_refused_for_its_own_reason(tmp_path: Path, kind: str) -> None:
    text, reason = BAD[kind]
    (tmp_path / "rows.jsonl").write_text("\n".join([text_of(1), text, text_of(2)]))
    (block,) = ingested_blocks(open_source(str(tmp_path / "rows.jsonl")), PLAN)
    assert [(item.position, item.reason) for item in block.rejected] == [(1, reason)]
    assert block.positions.tolist() == [0, 2]
