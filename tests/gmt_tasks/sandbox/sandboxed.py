"""What children of the sandbox's tests do: work, hang, crash, try to get out, and answer as one that was taken over."""

import ctypes
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from gmt_tasks.sandbox.children import Outcome, SandboxPool
from gmt_tasks.sandbox.messages import Message

TARGET = "tests.gmt_tasks.sandbox.sandboxed:behave"


def behave(order: Any) -> Message:
    """Runs in the child: does what the order says."""
    what, value = order
    if what == "array":
        return Message("an array", (np.arange(value, dtype=np.float64),))
    return Message(BEHAVIOURS[what](value))


def endings(orders: list[Any], **options: Any) -> list[Outcome]:
    """How the orders ended."""
    with SandboxPool(TARGET, **options) as pool:
        return list(pool.map(orders))


def spin(seconds: float) -> None:
    """Uses processor time."""
    began = time.process_time()
    while time.process_time() < began + seconds:
        pass


def fail(text: str) -> NoReturn:
    raise ValueError(text)


def connected_natively(address: tuple[str, int]) -> bool:
    """Connects through libc, past everything that Python could refuse."""
    host, port = address
    libc = ctypes.CDLL(None)
    packed = struct.pack("=H", 2) + struct.pack(">H", port) + bytes(map(int, host.split("."))) + bytes(8)
    return libc.connect(libc.socket(2, 1, 0), packed, len(packed)) == 0


def natively(function: str, *arguments: Any) -> int:
    """Calls a function of libc."""
    return int(getattr(ctypes.CDLL(None), function)(*arguments))


def channel_end() -> int:
    """The descriptor of the child's channel, the only socket that it has."""
    descriptors = (int(path.name) for path in Path("/proc/self/fd").iterdir() if path.exists())
    return next(n for n in sorted(descriptors) if n > 2 and stat.S_ISSOCK(os.fstat(n).st_mode))


def say(answer: str) -> None:
    """A child that has been taken over sends bytes of its own, given in hexadecimal, and then waits."""
    os.write(channel_end(), bytes.fromhex(answer))
    time.sleep(60)


def dribble(pause: float) -> None:
    """A child that has been taken over sends an answer that never ends, byte by byte."""
    os.write(channel_end(), struct.pack("<QQ", 1 << 20, 0))
    while True:
        os.write(channel_end(), b" ")
        time.sleep(pause)


BEHAVIOURS: dict[str, Callable[[Any], Any]] = {
    "return": lambda value: value,
    "sleep": time.sleep,
    "spin": spin,
    "kill": lambda _: os.kill(os.getpid(), signal.SIGSEGV),
    "exit": os._exit,
    "leave": sys.exit,
    "raise": fail,
    "allocate": lambda n_bytes: len(bytearray(n_bytes)),
    "connect": lambda address: socket.create_connection(tuple(address), timeout=5) is not None,
    "connect natively": connected_natively,
    "program": lambda command: subprocess.run(command, check=True).returncode,
    "write": lambda path: Path(path).write_bytes(b"x" * 10),
    "environment": lambda _: dict(os.environ),
    "text": lambda n_chars: "x" * n_chars,
    "remove natively": lambda path: natively("unlink", os.fsencode(path)),
    "create natively": lambda path: natively("open", os.fsencode(path), os.O_CREAT | os.O_WRONLY, 0o600),
    "link natively": lambda path: natively("symlink", b"/etc/passwd", os.fsencode(path)),
    "signal natively": lambda process: natively("kill", process, 0),
    "say": say,
    "dribble": dribble,
}
