"""Children that tests share."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gmt_tasks.sources.files.source import _Children
from gmt_tasks.sources.source import ReadOptions


@pytest.fixture(scope="session")
def started_children() -> Iterator[_Children]:
    """The processes that read for a source, started once: a fresh interpreter with pymatgen takes seconds."""
    with ExitStack() as stack:
        yield _Children.start(ReadOptions(deadline_s=60.0, memory_bytes=3 << 30), stack)


@pytest.fixture
def shared_children(started_children: _Children, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every source of the test reads through the same children, whatever its own limits of time and memory."""
    monkeypatch.setattr(_Children, "start", lambda options, stack: started_children)
