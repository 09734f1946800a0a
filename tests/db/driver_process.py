"""A driver as a process of its own: leases and commits the shards of a run, and prints how many crystals it did.

python -m tests.db.driver_process DB RUN HOLDER STALE_AFTER_S [hang]: with `hang` it stops for good, without a
heartbeat, before its third commit.
"""

import os
import sys
import time

from db.records import ResultBlock, ShardLease
from db.store import ResultStore
from gmt_tasks.runs.drive import ShardDriver
from tests.gmt_tasks.runs.test_drive import DirectPool

PAUSE_S = 0.01
"""Per shard, so that every driver gets some."""


class PausingPool(DirectPool):
    """Computes in this process, slowly; may stop answering."""

    hang = False

    def collect(self, timeout_s: float = 1.0) -> list[tuple[ShardLease, ResultBlock]]:
        """As its parent, after a pause."""
        if self.hang and self.n_collected == 2:
            say("hangs")
            time.sleep(3600)
        time.sleep(PAUSE_S)
        return super().collect(timeout_s)


def say(word: object) -> None:
    """Tells the test."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main() -> None:
    """Drives until nothing is left."""
    db, run, holder, stale_after_s, *how = sys.argv[1:]
    pool = PausingPool()
    pool.hang = bool(how)
    with ResultStore(db) as store:
        driver = ShardDriver(store, int(run), pool, f"{holder}:{os.getpid()}:0", stale_after_s=float(stale_after_s))
        say(driver.drive())


if __name__ == "__main__":
    main()
