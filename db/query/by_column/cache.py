"""What searches keep in memory of the stored columns from one to the next, within a number of bytes.

Keys name the database, and values name the segments that they were read of; a segment's number never comes again with
other values, so nothing here can be out of date: what a search still finds in the database it may take from here.
"""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Any

MAX_BYTES = 256 * 2**20
"""Of a process, whatever the number of its databases: ids and some fifty columns of a million rows."""

N_LOCKS = 64


class Cache:
    """Values by key, the least recently used of which go when they are too large together; for several threads.

    Args:
        max_bytes: of all values.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._values: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._n_bytes = 0
        self._lock = Lock()
        self._locks = [Lock() for _ in range(N_LOCKS)]

    @property
    def n_bytes(self) -> int:
        """Of the values that are kept."""
        return self._n_bytes

    def alone(self, key: Hashable) -> Lock:
        """A lock to hold from `get` to `put`, so that what several threads want is read once."""
        return self._locks[hash(key) % N_LOCKS]

    def get(self, key: Hashable) -> Any:
        """The value that was put last, or None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Hashable, value: Any, n_bytes: int) -> None:
        """Keeps a value of a size, which nobody may change from now on; not one that is larger than all may be."""
        with self._lock:
            self._n_bytes -= self._values.pop(key, (None, 0))[1]
            if n_bytes > self._max_bytes:
                return
            self._values[key] = (value, n_bytes)
            self._n_bytes += n_bytes
            while self._n_bytes > self._max_bytes:
                _, (_, freed) = self._values.popitem(last=False)
                self._n_bytes -= freed

    def clear(self) -> None:
        """Keeps nothing."""
        with self._lock:
            self._values.clear()
            self._n_bytes = 0


CACHE = Cache(MAX_BYTES)
