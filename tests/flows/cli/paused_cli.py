"""The command line with arithmetic instead of a model, slowed down in one phase of a run, for tests that end it there.

GMTSCREEN_TEST_PHASE names the phase. What is slow says so on standard error first.
"""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from flows.terminal.console import say
from gmt_tasks.runs import session
from tests.flows.cli import fake_cli
from tests.flows.conftest import describe_fake, fake_worker

READING_S, CLOSING_S = 60.0, 4.0
_ingest_source, _close = session.ingest_source, session.ScreenSession.close


def slow_ingest(*arguments: Any, on_block: Callable[[int], None], **more: Any) -> int:
    """Reads as a file of a thousand small blocks is read: between blocks the run may be stopped."""
    say("phase: reading")
    end_s = time.monotonic() + READING_S
    while time.monotonic() < end_s:
        time.sleep(0.05)
        on_block(0)
    return _ingest_source(*arguments, on_block=on_block, **more)


def slow_close(self: session.ScreenSession) -> None:
    """Waits before it ends the workers."""
    say("phase: closing")
    time.sleep(CLOSING_S)
    _close(self)


if __name__ == "__main__":
    phase = os.environ["GMTSCREEN_TEST_PHASE"]
    worker = fake_cli.slow_worker if phase == "computing" else fake_worker
    replaced: dict[str, Any] = {"describe_model": describe_fake, "load_worker": partial(worker)}
    if phase == "reading":
        replaced["ingest_source"] = slow_ingest
    if phase == "closing":
        session.ScreenSession.close = slow_close  # type: ignore[method-assign]
    fake_cli.run(**replaced)
