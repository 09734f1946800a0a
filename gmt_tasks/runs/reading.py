"""The reading of a run's sources as its driver sees it, which computes beside it in another thread.

What is in the database is computed while the rest is read: a core that reads and one that computes need not wait for
each other, and the first results of a million crystals are there after seconds.
"""

import threading
from types import TracebackType
from typing import Self

from models.errors import GmtError


class NobodyComputesError(GmtError):
    """The driver beside the reading failed: nobody would compute what is still to be read."""

    def __init__(self) -> None:
        super().__init__("the reading ended because the computing beside it failed; run the same command again")


class Reading:
    """Whether more may come; one thread reads within this context, another waits for what comes."""

    def __init__(self, *, ended: bool = False) -> None:
        """A reading that begins, or one that ended before."""
        self._news = threading.Event()
        self._ended = ended
        self._failed = self._in_vain = False

    @property
    def ended(self) -> bool:
        """True when nothing more comes."""
        return self._ended

    @property
    def failed(self) -> bool:
        """True when the reading ended before its sources did."""
        return self._failed

    def added(self) -> None:
        """A block of inputs is in.

        Raises:
            NobodyComputesError: nobody computes them any more.
        """
        self._news.set()
        if self._in_vain:
            raise NobodyComputesError()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._failed, self._ended = kind is not None, True
        self._news.set()

    def give_up(self) -> None:
        """The driver failed: the next block is the last."""
        self._in_vain = True

    def wait(self, timeout_s: float) -> None:
        """Waits until something came since the last `take_news`, or the reading ended."""
        self._news.wait(timeout_s)

    def take_news(self) -> bool:
        """True when something came or the reading ended since the last call."""
        if not self._news.is_set():
            return False
        # what comes from here on is news again: whoever calls this looks for it afterwards
        self._news.clear()
        return True
