"""One-line events, rates and the removal of secrets from what is printed."""

import logging
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

LOGGER = logging.getLogger("gmtscreen")

_URL_PASSWORD = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://[^\s:/@]*):(?P<secret>[^\s@]+)@", re.IGNORECASE)
_KEY_VALUE = re.compile(r"(?P<head>(?:password|passwd|pwd|token|api_?key|secret)=)(?P<secret>[^&\s]+)", re.IGNORECASE)


def redact(text: str) -> str:
    """The text with the passwords of URLs and `key=value` secrets replaced by ***."""
    return _KEY_VALUE.sub(r"\g<head>***", _URL_PASSWORD.sub(r"\g<head>:***@", text))


def event(name: str, **facts: object) -> None:
    """Logs one line `name key=value ...` at level INFO, without secrets and without control characters.

    Args:
        name: what happened, dotted, e.g. "shard.committed".
        facts: numbers and short texts.
    """
    if LOGGER.isEnabledFor(logging.INFO):
        text = redact(" ".join([name, *(f"{key}={value}" for key, value in facts.items())]))
        # Names and details come from foreign files: they must not write lines of their own or steer a terminal.
        LOGGER.info("%s", "".join(character if character.isprintable() else "?" for character in text))


def listen(*, verbose: bool) -> None:
    """Sends events to standard error: every event when verbose, otherwise warnings only."""
    if not LOGGER.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
        LOGGER.addHandler(handler)
        LOGGER.propagate = False
    LOGGER.setLevel(logging.INFO if verbose else logging.WARNING)


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        n_done: crystals committed (with a result or quarantined), earlier calls included.
        n_total: crystals that the run has to do, as far as its sources are read.
        crystals_per_s: rate of the recent past, 0 before the first result.
        eta_s: seconds until the rest is done at this rate, None while the rate is unknown or more may come.
        more_may_come: sources are still being read.
    """

    n_done: int
    n_total: int
    crystals_per_s: float
    eta_s: float | None
    more_may_come: bool = False


class RateMeter:
    """Rate over a sliding window, so that a slow start or an interruption does not spoil the ETA for hours."""

    def __init__(self, window_s: float = 120.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._window_s = window_s
        self._clock = clock
        self._marks: deque[tuple[float, int]] = deque([(clock(), 0)])
        self._n = 0

    def add(self, n: int) -> None:
        """Counts n more items, now."""
        self._n += n
        now = self._clock()
        self._marks.append((now, self._n))
        # Two marks stay, however old: a rate needs a time to divide by.
        while len(self._marks) > 2 and now - self._marks[0][0] > self._window_s:
            self._marks.popleft()

    @property
    def per_s(self) -> float:
        """Items per second from the oldest mark of the window until now; 0 before the first item."""
        since, before = self._marks[0]
        elapsed = self._clock() - since
        return (self._n - before) / elapsed if elapsed > 0 and self._n > before else 0.0

    def progress(self, n_done: int, n_total: int, *, more_may_come: bool = False) -> Progress:
        """The state of a run of n_total items of which n_done are done, at the present rate."""
        rate = self.per_s
        eta_s = (n_total - n_done) / rate if rate > 0 and not more_may_come else None
        return Progress(n_done, n_total, rate, eta_s, more_may_come)
