"""What the driver and the children that read foreign input send each other: plain JSON and arrays, never objects.

Whoever takes over a child by a hole in a parser can send any bytes. The driver makes of them numbers, texts, lists,
dicts and arrays of two kinds, within a number of bytes, and nothing else: no byte of a message names code or a class.
What the parts mean, and whether they make sense, the receiver checks again.

A message on the wire: two numbers of 8 bytes (length of the JSON, length of the arrays), the JSON, the arrays.
"""

import json
import math
import socket
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_MESSAGE_BYTES = 1 << 29
"""Far above an honest answer: 64 MiB of text, or a block of a table with 64 KiB of metadata in each of its rows."""

_LENGTHS = struct.Struct("<QQ")
_KINDS = {"f8": np.dtype("<f8"), "i8": np.dtype("<i8")}
_CHUNK = 1 << 20

Array = NDArray[np.float64] | NDArray[np.int64]


class MalformedMessageError(Exception):
    """The other side sent what is no message, or one that makes no sense."""


@dataclass(frozen=True)
class Message:
    """A JSON value and the arrays that belong to it.

    Attributes:
        content: None, numbers, texts, lists, and dicts with texts as keys.
        arrays: float64 or int64, any shape.
    """

    content: Any = None
    arrays: tuple[Array, ...] = ()


def encode(message: Message) -> list[bytes | memoryview]:
    """The message as it goes over the wire, in pieces.

    Raises:
        ValueError: it is larger than a message may be.
    """
    kinds = ["i8" if array.dtype.kind in "iu" else "f8" for array in message.arrays]
    pairs = list(zip(kinds, message.arrays, strict=True))
    arrays = [np.ascontiguousarray(array, dtype=_KINDS[kind]) for kind, array in pairs]
    # The receiver trusts the sizes no further than the bytes that come, and the kinds no further than these two.
    layout = [[kind, array.shape] for kind, array in pairs]
    head = json.dumps([message.content, layout], separators=(",", ":"), default=str).encode("ascii")
    head += b" " * (-len(head) % 8)  # arrays begin where numpy likes them to
    n_bytes = sum(array.nbytes for array in arrays)
    if len(head) + n_bytes > MAX_MESSAGE_BYTES:
        raise ValueError(f"an answer of {len(head) + n_bytes} bytes, limit {MAX_MESSAGE_BYTES}")
    return [_LENGTHS.pack(len(head), n_bytes), head, *(array.reshape(-1).view(np.uint8).data for array in arrays)]


def decode(head: bytearray, body: bytearray) -> Message:
    """The message of its two parts; the arrays may be written to.

    Raises:
        MalformedMessageError: no JSON, or arrays of another kind or size than the body has.
    """
    try:
        content, layout = json.loads(head)
        arrays, start = [], 0
        for kind, shape in layout:
            if not all(type(n) is int and n >= 0 for n in shape):
                raise MalformedMessageError(f"an array of shape {str(shape)[:60]}")
            size = math.prod(shape)
            if start + 8 * size > len(body):
                raise MalformedMessageError(f"arrays of more than the {len(body)} bytes that came")
            arrays.append(np.frombuffer(body, _KINDS[kind], size, start).reshape(shape))
            start += 8 * size
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise MalformedMessageError(f"no message: {type(error).__name__}: {str(error)[:100]}") from error
    if start != len(body):
        raise MalformedMessageError(f"arrays of {start} bytes, {len(body)} came")
    return Message(content, tuple(arrays))


class Channel:
    """One end of a socket pair that carries messages; waits for the other side only if the socket blocks.

    Args:
        end: the socket; the channel closes it.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._unsent: list[memoryview] = []
        self._part = bytearray()  # the part that is being read: lengths, JSON, arrays
        self._n_read = 0
        self._parts: list[bytearray] = []
        self._expect(_LENGTHS.size)

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._end.fileno()

    @property
    def is_sending(self) -> bool:
        """True while a part of a message waits for the other side to read."""
        return bool(self._unsent)

    def put(self, message: Message) -> None:
        """Takes a message; `flush` sends it."""
        self._unsent += [memoryview(piece).cast("B") for piece in encode(message)]

    def flush(self) -> None:
        """Sends as much as the socket takes: everything if it blocks. Raises OSError when the other side is gone."""
        try:
            while self._unsent:
                n_sent = self._end.send(self._unsent[0])
                self._unsent[0] = self._unsent[0][n_sent:]
                if not self._unsent[0]:
                    del self._unsent[0]
        except BlockingIOError:
            return

    def get(self) -> Message | None:
        """The next message; None if it has not come whole and the socket does not block.

        Raises:
            EOFError: the other side is gone.
            MalformedMessageError: it announces too much, or what came is no message.
        """
        while True:
            while self._n_read < len(self._part):
                try:
                    n_bytes = self._end.recv_into(memoryview(self._part)[self._n_read : self._n_read + _CHUNK])
                except BlockingIOError:
                    return None
                if not n_bytes:
                    raise EOFError
                self._n_read += n_bytes
            if (message := self._finish_part()) is not None:
                return message

    def _finish_part(self) -> Message | None:
        """Turns to the next part of the message; gives the message after its last."""
        self._parts.append(self._part)
        if len(self._parts) == 1:
            lengths = _LENGTHS.unpack(self._part)
            if sum(lengths) > MAX_MESSAGE_BYTES:
                raise MalformedMessageError(f"a message of {sum(lengths)} bytes, limit {MAX_MESSAGE_BYTES}")
            self._expect(lengths[0])
            return None
        if len(self._parts) == 2:
            self._expect(_LENGTHS.unpack(self._parts[0])[1])
            return None
        _, head, body = self._parts
        self._parts = []
        self._expect(_LENGTHS.size)
        return decode(head, body)

    def _expect(self, n_bytes: int) -> None:
        self._part, self._n_read = bytearray(n_bytes), 0

    def close(self) -> None:
        """Closes the socket."""
        self._end.close()
