"""`gs://` against an emulator of Google's server on loopback, where it is installed (gcp-storage-emulator)."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.source import join_blocks
from gmt_tasks.storage.address import StorageAddress
from gmt_tasks.storage.object_store import ObjectStore
from models.errors import SourceError
from tests.db.postgres_server import free_port
from tests.gmt_tasks.storage.test_object_storage import POSCAR

EMULATOR = shutil.which("gcp-storage-emulator")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(EMULATOR is None, reason="gcp-storage-emulator is not installed")]


@pytest.fixture
def options() -> Iterator[str]:
    """What stands behind an address so that it means the emulator, which has the bucket `lab`."""
    port = free_port()
    words = [str(EMULATOR), "start", "--host=127.0.0.1", f"--port={port}", "--in-memory", "--default-bucket=lab"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"?endpoint_override=http://127.0.0.1:{port}&anonymous=true"
    finally:
        process.terminate()
        process.wait(30)


def test_objects_of_google_are_listed_fingerprinted_and_read(
    options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GMTSCREEN_CACHE", str(tmp_path))
    store = ObjectStore(StorageAddress.parse(f"gs://lab/x{options}"))
    for name in ("POSCAR_1", "b/POSCAR_2", "notes.md"):
        store.write(f"lab/x/{name}", POSCAR.format(a=3.6).encode())
    source = open_source(f"gs://lab/x/{options}")
    before = source.fingerprint()
    assert join_blocks(list(source.blocks())).source_ids == ["POSCAR_1", "b/POSCAR_2"]
    store.write("lab/x/POSCAR_1", POSCAR.format(a=3.7).encode())
    changed = open_source(f"gs://lab/x/*{options}")
    assert changed.fingerprint() != before
    assert join_blocks(list(changed.blocks())).crystals.lattice[0, 0, 0] == 3.7
    with pytest.raises(SourceError, match="no such bucket"):
        open_source(f"gs://nothing/x/{options}")
