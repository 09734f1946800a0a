"""A small database whose hits the tests of exports write."""

from collections.abc import Iterator

import pytest

from db.records import ModelVersion
from db.store import ResultStore
from tests.db import blocks


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ResultStore]:
    """Results of two model versions: 15 crystals by the first, 9 of them by the second."""
    with ResultStore(tmp_path_factory.mktemp("export") / "hits.db") as opened:
        for version, n in (("1", 15), ("2", 9)):
            run = opened.open_run(blocks.spec(f"source {version}", model=ModelVersion("toy", version, version * 64)))
            opened.add_block(run.id, blocks.block(0, range(n), f"source {version}"), blocks.SHARD_ATOMS)
            opened.end_ingest(run.id, f"source {version}")
            blocks.work_off(opened, run.id)
        yield opened
