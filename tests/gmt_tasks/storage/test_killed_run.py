"""A run whose inputs and model lie in object storage is killed in the middle and ends as if it had not been."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from db.store import ResultStore
from gmt_tasks.sources.open import open_source
from tests.flows.cli.test_registry import checkpoint
from tests.gmt_tasks.storage.s3_server import S3Server, s3_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

__all__ = ["checkpoint"]
N_CRYSTALS = 60
PROGRAM = Path(sys.executable).with_name("gmtscreen")


@pytest.fixture
def server() -> Iterator[S3Server]:
    with s3_server() as found:
        found.bucket("lab")
        found.put("lab/sets/part-0.parquet", prototypes(0))
        found.put("lab/sets/part-1.parquet", prototypes(1))
        yield found


def prototypes(seed: int) -> bytes:
    """Half of the crystals as a Parquet file with several row groups."""
    (block,) = open_source(f"prototypes:n={N_CRYSTALS // 2},seed={seed}").blocks()
    crystals, rows = block.crystals, range(block.crystals.n_crystals)
    ends = np.cumsum(crystals.atoms_per_crystal)[:-1]
    columns = {
        "id": block.source_ids,
        "lattice": [crystals.lattice[row].ravel().tolist() for row in rows],
        "species": [part.tolist() for part in np.split(crystals.numbers, ends)],
        "frac_coords": [part.ravel().tolist() for part in np.split(crystals.frac_coords, ends)],
    }
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, row_group_size=10)
    return stream.getvalue()


def test_inputs_and_model_from_object_storage_outlive_a_kill(
    server: S3Server, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = str(tmp_path / "hits.db")
    for name, value in (("MODELS", "s3://lab/models"), ("CACHE", str(tmp_path / "cache")), ("SHARD_ATOMS", "8")):
        monkeypatch.setenv(f"GMTSCREEN_{name}", value)
    ResultStore(database).close()
    promote = [PROGRAM, "models", "promote", checkpoint, "--why", "longer training", "--db", database]
    assert subprocess.run(promote, capture_output=True).returncode == 0
    screen = [PROGRAM, "screen", "s3://lab/sets/*.parquet", "--db", database, "--workers", "1"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(screen, stdout=log, stderr=log, env=os.environ)
    n_before = wait_for_results(process, database, tmp_path / "log")
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < n_before < N_CRYSTALS
    done = subprocess.run(screen, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    with ResultStore.open_existing(database) as store:
        (run,) = store.runs()
    assert (run["state"], run["in"], run["model"]) == ("finished", N_CRYSTALS, "gmtnet@9.0")
    assert run["done"] + run["duplicate"] == N_CRYSTALS
    # What had arrived before the kill was not asked for again; the weights travelled once.
    parts = [server.n_read(f"lab/sets/part-{number}.parquet") for number in (0, 1)]
    assert parts == [1, 1] and server.n_read("lab/models/gmtnet/9.0/gmtnet.safetensors") <= 2


def wait_for_results(process: "subprocess.Popen[bytes]", database: str, log: Path) -> int:
    """How many crystals have results, as soon as some have."""
    end = time.monotonic() + 400
    while time.monotonic() < end and process.poll() is None:
        with ResultStore.open_existing(database) as store:
            n_done = sum(int(run["done"]) for run in store.runs())
        if n_done:
            return n_done
        time.sleep(0.1)
    raise RuntimeError(log.read_text(errors="replace")[-3000:])
