"""A small database and its web application, asked without a port."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from db.explorer.app import create_app
from db.explorer.limits import ServerSettings
from db.records import ModelVersion
from db.store import ResultStore
from flows.explorer_services import ExplorerServices
from models.errors import Reason
from models.quantities import Tensor
from tests.db.blocks import block, crystal_id, number_of, results, spec
from tests.db.designs.made_designs import add_design

N_CRYSTALS = 23
NEWER = ModelVersion("toy", "2", "b" * 64)
FOLDER = "/volumes/candidates"
SOURCE = f"{FOLDER}/made.jsonl"


def physical_tensors(ids: list[str]) -> dict[Tensor, Any]:
    """Tensors that a stable crystal may have, each a little different."""
    scale = np.array([1 + number_of(name) for name in ids])
    stiffness = np.diag([200.0, 190, 220, 60, 70, 80])
    stiffness[:3, :3] += 50 * (1 - np.eye(3))
    piezoelectric = np.zeros((3, 3, 3))
    piezoelectric[2, 2, 2], piezoelectric[2, 0, 0], piezoelectric[0, 0, 2] = 1.5, -0.5, -0.4
    piezoelectric = (piezoelectric + piezoelectric.swapaxes(1, 2)) / 2
    tensors = {
        Tensor.DIELECTRIC_ELECTRONIC: np.diag([4.0, 4.0, 5.0]),
        Tensor.DIELECTRIC_TOTAL: np.diag([9.0, 10.0, 12.0]),
        Tensor.PIEZOELECTRIC: piezoelectric,
        Tensor.ELASTIC: stiffness,
    }
    return {name: scale.reshape(-1, *[1] * tensor.ndim) * tensor for name, tensor in tensors.items()}


def fill(db: Path) -> None:
    """Crystals with results of two model versions, one input that was refused, and a design over both runs."""
    with ResultStore(db) as store:
        for version, shift in ((None, 0.0), (NEWER, 1.0)):
            run = store.open_run(spec(SOURCE) if version is None else spec(SOURCE, model=version))
            made = block(0, [*range(N_CRYSTALS), Reason.DEGENERATE_CELL], source=SOURCE)
            refused = [replace(each, source_id="flat", detail="no volume") for each in made.rejected]
            names = [f"made-{k}" for k in range(N_CRYSTALS)]
            store.add_block(run.id, replace(made, source_ids=names, rejected=refused), 10**6)
            store.end_ingest(run.id, SOURCE)
            lease = store.lease_shard(run.id, "w")
            assert lease is not None
            computed = results(lease, shift=shift)
            stable = computed.columns | {"mechanically_stable": np.ones(len(computed.crystal_ids), dtype=bool)}
            physical = physical_tensors(computed.crystal_ids)
            assert store.commit_shard(lease, replace(computed, tensors=physical, columns=stable))
        add_design(store, [1, 2], [crystal_id(3), crystal_id(1)], refused=[crystal_id(4)])


@contextmanager
def asking(db: Path | str, **settings: Any) -> Iterator[TestClient]:
    """Something that asks the web application of a database, as a browser on this machine would."""
    limits = ServerSettings(**settings)
    with ResultStore.open_read_only(db, limits.query_timeout_s) as store:
        app = create_app(store, ExplorerServices(), limits)
        # Errors of the server are answers here, not exceptions.
        yield TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
