"""A forked worker process: it computes one block of crystals after the other and reports the errors."""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from db.records import ResultBlock
from gmt_tasks.workers.jobs import first_line
from models.errors import Reason

_PR_SET_PDEATHSIG = 1
_SMALLEST_ALLOWANCE_BYTES = 1 << 30
_MEMORY_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")


@dataclass(frozen=True)
class Failure:
    """A block without an answer.

    Attributes:
        reason: MODEL_FAILED, OUT_OF_MEMORY or WORKER_DIED.
        detail: one line.
        external: the crystals did not cause it: the same rows deserve another try.
        process_lost: the process cannot go on, for instance because its GPU context is lost.
    """

    reason: Reason
    detail: str
    external: bool = False
    process_lost: bool = False


def serve_blocks(pipe: "Connection[Any, Any]", load: Callable[[], Any]) -> None:
    """The worker's main loop: (ids, crystals) in, ResultBlock or Failure out, until the owner is gone; never returns.

    Args:
        pipe: to the owner; the first message is the process id, or the text of what `load` raised.
        load: returns the screener.
    """
    # Whatever happens, the server's code behind the fork must not run in here.
    status = 1
    try:
        if sys.platform == "linux":
            # It ends with the server, and before anything else when the kernel runs short of memory.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        # A core file of a loaded model has gigabytes; an interrupt of the terminal is for the owner.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        worker = _load(pipe, load)
        while True:
            crystal_ids, crystals = pipe.recv()
            pipe.send(_attempt(worker, crystal_ids, crystals))
    except (EOFError, OSError):
        status = 0
    finally:
        os._exit(status)


def _load(pipe: "Connection[Any, Any]", load: Callable[[], Any]) -> Any:
    """Loads the screener and reports the process id to the owner, or the error."""
    try:
        worker = load()
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {first_line(str(error))}")
        raise
    _limit_memory(gpu=bool(os.environ.get("CUDA_VISIBLE_DEVICES")))
    pipe.send(os.getpid())
    return worker


def _attempt(worker: Any, crystal_ids: list[str], crystals: Any) -> ResultBlock | Failure:
    try:
        block: ResultBlock = worker.screen(crystal_ids, crystals)
    except Exception as error:  # noqa: BLE001 - whatever a model raises belongs to the crystals, and is reported
        detail = f"{type(error).__name__}: {first_line(str(error))}"
        if is_out_of_memory(error):
            return Failure(Reason.OUT_OF_MEMORY, detail)
        # After an error of its kernels a GPU refuses everything else from the same process.
        return Failure(Reason.MODEL_FAILED, detail, process_lost="CUDA" in detail)
    return block


def is_out_of_memory(error: BaseException) -> bool:
    """True for what numpy, torch on a CPU and torch on a GPU raise when there is no memory left."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in text for words in _MEMORY_WORDS)


def _limit_memory(*, gpu: bool) -> None:
    """Half of what is free now may be taken: then a greedy crystal gets a MemoryError and its neighbours live on.

    Not on a GPU, whose driver reserves address space without end.
    """
    if gpu:
        return
    free = free_memory_bytes()
    used = psutil.Process().memory_info()
    # What the limit counts; where the system does not tell, all that is in memory.
    limit = getattr(used, "data", used.rss) + max(free // 2, _SMALLEST_ALLOWANCE_BYTES)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def free_memory_bytes() -> int:
    """Memory that this machine, or the container around this process, still has."""
    free = [int(psutil.virtual_memory().available)]
    for group in (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")):
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            most, now = _number_in(group / limit), _number_in(group / used)
            if most is not None and now is not None:
                free.append(most - now)
    return max(min(free), 0)


def _number_in(path: Path) -> int | None:
    """The number of bytes that is all of a file of the kernel; None when there is no such file, or it says "max"."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdigit() else None
