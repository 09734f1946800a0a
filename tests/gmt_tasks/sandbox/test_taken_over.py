"""A child that a crafted file has taken over: it may say what it likes, and makes its parent do nothing."""

import ctypes
import os
import pickle
import socket
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gmt_tasks.sandbox.children import Ending, Outcome, SandboxPool, _outcome
from gmt_tasks.sandbox.messages import MAX_MESSAGE_BYTES, Channel, MalformedMessageError, Message, decode, encode
from tests.gmt_tasks.sandbox.sandboxed import BEHAVIOURS, TARGET, endings


def framed(content: bytes, arrays: bytes = b"") -> str:
    """An answer on the wire, in hexadecimal."""
    return (struct.pack("<QQ", len(content), len(arrays)) + content + arrays).hex()


class Bomb:
    """What a pickle can do: whoever loads it makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.target,)


def test_no_answer_makes_the_parent_run_anything(tmp_path: Path) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "ran"))
    piped = struct.pack("!i", len(bomb)) + bomb  # as multiprocessing's pipes send objects
    answers = [piped.hex(), framed(bomb), framed(b'[["value", 1], []]', bomb)]
    outcomes = endings([*(("say", answer) for answer in answers), ("return", 7)], max_workers=1, wall_s=20.0)
    assert [outcome.ending for outcome in outcomes] == [Ending.DIED] * 3 + [Ending.VALUE]
    assert not (tmp_path / "ran").exists()
    pickle.loads(bomb)  # noqa: S301 - our own bomb, to see that it is one
    assert (tmp_path / "ran").exists()


NONSENSE = {
    "no ending": framed(b'[["won", 1], []]'),
    "no pair": framed(b"[1, []]"),
    "too deep": framed(b"[" * 100_000),
    "too long": struct.pack("<QQ", MAX_MESSAGE_BYTES, 1).hex(),
    "far too long": struct.pack("<QQ", 2**64 - 1, 2**64 - 1).hex(),
    "more arrays than bytes": framed(b'[["value", 1], [["f8", [1000000000]]]]'),
    "a negative shape": framed(b'[["value", 1], [["f8", [-1, -8]]]]', bytes(64)),
    "bytes left over": framed(b'[["value", 1], []]', bytes(8)),
    "an array of objects": framed(b'[["value", 1], [["O", [1]]]]', bytes(8)),
    "a huge shape of nothing": framed(b'[["value", 1], [["f8", [0, 9223372036854775808]]]]'),
    "a long number": framed(b'[["value", ' + b"9" * 5000 + b"], []]"),
    "the wrong kind": framed(b'[["value", "text"], []]'),
}


def one_more(message: Message) -> int:
    return int(message.content + 1)


@pytest.mark.parametrize("kind", NONSENSE)
def test_nonsense_is_no_answer(kind: str) -> None:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    with ours, theirs:
        theirs.sendall(bytes.fromhex(NONSENSE[kind]))
        with pytest.raises(MalformedMessageError):
            _outcome(Channel(ours).get() or Message(), one_more)


def test_nonsense_ends_the_child_and_costs_its_own_argument() -> None:
    # One that is no outcome, one that announces too much, one that does not decode.
    answers = [NONSENSE[kind] for kind in ("no ending", "far too long", "the wrong kind")]
    with SandboxPool(TARGET, decode=one_more, wall_s=20.0, max_workers=2) as pool:
        outcomes: list[Outcome] = list(pool.map([*(("say", answer) for answer in answers), ("return", 7)]))
    assert [outcome.ending for outcome in outcomes] == [Ending.DIED] * 3 + [Ending.VALUE]
    assert all("answered with" in outcome.detail for outcome in outcomes[:-1])
    assert outcomes[-1].value == 8


def test_an_endless_answer_is_stopped() -> None:
    dribbling, value = endings([("dribble", 0.001), ("return", 1)], max_workers=1, wall_s=2.0)
    assert (dribbling.ending, value.value) == (Ending.TIMED_OUT, 1)


def test_a_child_that_does_not_read_does_not_stop_its_parent() -> None:
    """It answers and reads no more: the next argument, larger than any buffer, must not be waited for."""
    orders = [("say", framed(b'[["value", 1], []]')), ("return", "y" * (8 << 20)), ("return", 3)]
    first, second, third = endings(orders, max_workers=1, wall_s=3.0)
    assert (first.value, second.ending, third.value) == (1, Ending.TIMED_OUT, 3)


def has_landlock() -> bool:
    return int(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1)) >= 6


@pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock of version 6")
def test_native_code_changes_no_file_but_in_its_folder_and_signals_nobody(tmp_path: Path) -> None:
    folder, kept = tmp_path / "own", tmp_path / "kept"
    folder.mkdir()
    kept.write_text("x")
    orders = [
        ("remove natively", str(kept)),
        ("create natively", str(tmp_path / "new")),
        ("link natively", str(folder / "link")),
        ("signal natively", os.getpid()),
        ("create natively", str(folder / "new")),
    ]
    *refused, granted = endings(orders, folder=str(folder), max_workers=1)
    assert [outcome.value for outcome in refused] == [-1] * 4
    assert granted.value >= 0 and (folder / "new").exists()
    assert kept.exists() and not (tmp_path / "new").exists()
    # Negative control: nothing else forbids it.
    assert BEHAVIOURS["link natively"](str(folder / "link")) == BEHAVIOURS["signal natively"](os.getpid()) == 0
    assert BEHAVIOURS["remove natively"](str(kept)) == 0


@pytest.mark.parametrize("shape", [(0,), (3,), (2, 3, 3), (0, 3)])
@pytest.mark.parametrize("kind", [np.float64, np.int64])
def test_arrays_survive_the_wire(shape: tuple[int, ...], kind: type) -> None:
    array = np.random.default_rng(0).integers(-(2**60), 2**60, shape).astype(kind)
    message = Message({"text": 'Å "\ud800', "number": 1.5, "none": None}, (array, array[..., :1]))
    lengths, head, *arrays = encode(message)
    back = decode(bytearray(head), bytearray(b"".join(arrays)))
    assert struct.unpack("<QQ", lengths) == (len(head), sum(len(piece) for piece in arrays))
    assert back.content == message.content
    for ours, theirs in zip(message.arrays, back.arrays, strict=True):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape and np.array_equal(ours, theirs)
        assert theirs.flags.writeable or not theirs.size


def test_a_message_whose_arrays_were_cut_is_none() -> None:
    _, head, *arrays = encode(Message(1, (np.arange(4.0),)))
    with pytest.raises(MalformedMessageError, match="24 bytes"):
        decode(bytearray(head), bytearray(b"".join(arrays))[:-8])
