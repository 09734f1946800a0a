"""How long another process computed and slept, apart from how long it waited for a processor.

On a busy machine wall time says nothing about a process: it may have stood in a queue. Linux counts, per process, the
time on a processor and the time in the queue (Documentation/scheduler/sched-stats.rst, /proc/PID/schedstat, both in
nanoseconds); what is left of the wall time it slept. Where nobody counts, all of it is taken for sleep.
"""

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_WAITS_OR_RUNS = b"R"


@dataclass(frozen=True)
class Spent:
    """What a process did with a span of time.

    Attributes:
        computing_s: time on a processor, in seconds.
        asleep_s: time in which it wanted none, in seconds.
    """

    computing_s: float
    asleep_s: float


class ProcessClock:
    """Watches one process, from now on.

    Args:
        pid: of a process on this machine.
    """

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")
        self._began_s, self._before, self._asleep_s = time.monotonic(), _counted(self._folder), 0.0

    def spent(self) -> Spent:
        """What it did since this clock was made."""
        passed_s, now = time.monotonic() - self._began_s, _counted(self._folder)
        if now is None or self._before is None:
            return Spent(0.0, passed_s)
        computing_s, queued_s = now[0] - self._before[0], now[1] - self._before[1]
        # A wait is counted when it ends: of a process that wants to run, what is not yet counted is no sleep.
        state = b""
        with suppress(OSError, IndexError):
            # The name of the program stands in brackets and may hold anything; the state follows it.
            state = (self._folder / "stat").read_bytes().rpartition(b")")[2].split()[0]
        if state != _WAITS_OR_RUNS:
            self._asleep_s = max(passed_s - computing_s - queued_s, self._asleep_s)
        return Spent(computing_s, self._asleep_s)


def _counted(process: Path) -> tuple[float, float] | None:
    """Seconds on a processor and in the queue for one; None where nobody counts them, or when the process is gone."""
    try:
        computing, queued, _ = (process / "schedstat").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return None
    return int(computing) * 1e-9, int(queued) * 1e-9
