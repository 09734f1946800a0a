"""A database with two rounds of made-up crystals, the second with some of the first."""

from pathlib import Path

from db.designs.records import DesignRound, DesignSpec
from db.records import ModelVersion
from db.store import ResultStore
from gmt_tasks.design.request import DesignRequest
from gmt_tasks.design.session import DesignSession
from gmt_tasks.settings import load_settings
from models.errors import Reason
from tests.db import blocks

FIRST, SECOND = range(30), range(20, 45)
MODEL = str(blocks.MODEL)


def screen_rounds(store: ResultStore, model: ModelVersion = blocks.MODEL, shift: float = 0.0) -> list[int]:
    """Screens the crystals of both rounds with a model whose numbers are shifted; returns the runs."""
    runs = []
    for name, seeds in (("first", FIRST), ("second", SECOND)):
        run = store.open_run(blocks.spec(name, model=model)).id
        store.add_block(run, blocks.block(0, [*seeds, Reason.PARSE], name), blocks.SHARD_ATOMS)
        store.end_ingest(run, name)
        while (lease := store.lease_shard(run, "worker")) is not None:
            store.commit_shard(lease, blocks.results(lease, shift=shift))
        runs.append(run)
    return runs


def designed(folder: Path, request: DesignRequest) -> DesignSession:
    """A design whose two rounds are finished and that has proposed nothing."""
    store = ResultStore(folder / "a.db")
    runs = screen_rounds(store)
    design = store.designs.open(DesignSpec(request.filter, request.sort, request.settings() | {"model": MODEL}))
    for number, (run, n_wanted) in enumerate(zip(runs, (len(FIRST), 15), strict=True), start=1):
        store.designs.add_round(design.id, DesignRound(number, run, "c" * 64, {"wanted": n_wanted}, [], 0.0, 1.0))
    settings = load_settings(db=str(folder / "a.db"))
    return DesignSession(settings=settings, request=request, store=store, design=design, folder=folder / "generators")
