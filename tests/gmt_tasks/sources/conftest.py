"""Settings of the network sources that every test of them has, and children that tests share."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gmt_tasks.sources.files.source import _Children
from gmt_tasks.sources.source import ReadOptions

KEY = "k" * 32


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Mirrors in a folder of the test's own; impatient, with a made-up key."""
    for name, value in {
        "GMTSCREEN_CACHE": str(tmp_path / "cache"),
        "GMTSCREEN_REQUESTS_PER_S": "1000",
        "GMTSCREEN_RETRY_WAIT_S": "0",
        "MP_API_KEY": KEY,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("GMTSCREEN_OFFLINE", raising=False)
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def started_children() -> Iterator[_Children]:
    """The processes that read for a source, started once: a fresh interpreter with pymatgen takes seconds."""
    with ExitStack() as stack:
        yield _Children.start(ReadOptions(deadline_s=60.0, memory_bytes=3 << 30), stack)


@pytest.fixture
def shared_children(started_children: _Children, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every source of the test reads through the same children, whatever its own limits of time and memory."""
    monkeypatch.setattr(_Children, "start", lambda options, stack: started_children)
