"""The command line with arithmetic instead of a model, as a process of its own that a test can kill."""

import os
import sys
from functools import partial
from typing import Any

from flows.cli.app import main
from gmt_tasks.runs import session
from tests.flows.conftest import describe_fake
from tests.gmt_tasks.workers.fake_screener import FakeScreener, make_fake


def slow_worker(model: str, device: str, symprec: float) -> FakeScreener:
    """A worker that needs a fifth of a second per shard, so that a run can be caught in the middle.

    It says what GMTSCREEN_TEST_SAYS holds, for those who look where the words of a worker end up.
    """
    sys.stderr.write(os.environ.get("GMTSCREEN_TEST_SAYS", "") + "\n")
    sys.stderr.flush()
    return make_fake(delay_s=0.2)


def run(**replaced: Any) -> None:
    """Runs the command line of this process with parts of the session replaced."""
    for name, value in replaced.items():
        setattr(session, name, value)
    main()


if __name__ == "__main__":
    # Workers find the function in the importable module, not in this script.
    from tests.flows.cli import fake_cli

    run(describe_model=describe_fake, load_worker=partial(fake_cli.slow_worker))
