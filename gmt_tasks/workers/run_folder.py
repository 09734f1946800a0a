"""One private folder per run, and a watcher that removes it with every process of the run, however the run ends.

Ray's sockets, Prefect's server and everything temporary live in the folder, which nobody else may enter: Ray opens its
own session folder to every user of the machine, who could put another socket in the place of one of them. Whatever the
run starts carries the folder's name in its environment. A process that was killed cleans up nothing, so the watcher is
started before anything else, waits for the end of a pipe that only the run holds open, ends every process with that
name in its environment, and removes the folder. Processes of other runs, and of a cluster at another address, carry
another name or none.
"""

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from models.errors import GmtError

RUN_FOLDER_VARIABLE = "GMTSCREEN_RUN_FOLDER"
"""Names the run that a process belongs to; every process inherits it from the one that started it."""

PREFIX = "gmt-"
_LONGEST_SOCKET_PATH = 103
"""Bytes that the path of a Unix socket may have on every system; Linux allows four more."""
_LONGEST_IN_FOLDER = len("/ray/session_2026-01-31_23-59-59_999999_1234567/sockets/plasma_store")
_SWEEP_S = 25.0
_SWEEP_EVERY_S = 0.1


@dataclass(frozen=True)
class _Run:
    """The folder of this process and what watches over it."""

    path: Path
    pid: int
    watcher: "subprocess.Popen[bytes]"


_runs: list[_Run] = []
"""At most one: that of this process, or of the process that this one was forked from."""


def run_folder() -> Path:
    """The private folder of this process, made at the first call, together with its watcher.

    Raises:
        GmtError: no folder for temporary files has a path that is short enough for sockets.
    """
    if _runs and _runs[0].pid == os.getpid():
        return _runs[0].path
    path = _base() / f"{PREFIX}{secrets.token_hex(4)}"
    # The watcher first: whenever this process is killed, somebody knows the name of what it leaves behind.
    watcher = _start_watcher(path)
    path.mkdir(mode=0o700)
    _runs[:] = [_Run(path, os.getpid(), watcher)]
    os.environ[RUN_FOLDER_VARIABLE] = str(path)
    atexit.register(end_run)
    return path


def hold_temporary_files() -> None:
    """Makes the run folder the one for temporary files, of this process and of all that it starts from now on.

    Raises:
        GmtError: as `run_folder`.
    """
    os.environ["TMPDIR"] = tempfile.tempdir = str(run_folder())


def end_run() -> None:
    """Ends every process that this one started and that still lives, and removes the folder, if there is one.

    Called at the exit of the process.
    """
    if not _runs or _runs[0].pid != os.getpid():
        return
    run = _runs.pop()
    os.environ.pop(RUN_FOLDER_VARIABLE, None)
    if run.watcher.stdin:
        run.watcher.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        run.watcher.wait(_SWEEP_S)
    # Somebody may have killed the watcher.
    remove_run(run.path)


def _base() -> Path:
    """Where the folder is made: where Ray and other programs would put theirs, or /tmp when that path is too long."""
    room = _LONGEST_SOCKET_PATH - _LONGEST_IN_FOLDER - len(f"/{PREFIX}12345678")
    choices = [os.environ.get("RAY_TMPDIR"), tempfile.gettempdir(), "/tmp"]  # noqa: S108  the folder in it is private
    for choice in filter(None, choices):
        if len(os.fsencode(choice)) <= room and os.access(choice, os.W_OK | os.X_OK):
            return Path(choice).absolute()
    raise GmtError(
        f"No folder for temporary files has a path of at most {room} bytes, which the sockets in it need. Set TMPDIR "
        "to a writable folder with a shorter path."
    )


def _start_watcher(path: Path) -> "subprocess.Popen[bytes]":
    import_path = [str(Path(entry).absolute()) for entry in sys.path]  # its current folder is another one
    code = f"import sys; sys.path[:] = {import_path!r}; from {__name__} import watch; watch({str(path)!r})"
    # Without the run's name, so that it does not end itself; in a session of its own, out of reach of the terminal.
    environment = {name: value for name, value in os.environ.items() if name != RUN_FOLDER_VARIABLE}
    quiet = subprocess.DEVNULL
    return subprocess.Popen(  # noqa: S603  our own interpreter on our own module
        [sys.executable, "-S", "-c", code],
        stdin=subprocess.PIPE,
        stdout=quiet,
        stderr=quiet,
        env=environment,
        cwd="/",
        start_new_session=True,
    )


def watch(folder: str) -> None:
    """The watcher's whole life: waits until the run is over, then removes what is left of it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    remove_run(Path(folder))


def remove_run(folder: Path) -> None:
    """Ends every process of a run and removes its folder, for at most 25 seconds; nothing when both are gone."""
    end_s = time.monotonic() + _SWEEP_S
    while True:
        left = list(processes_of_run(folder))
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)
        if not (left or folder.exists()) or time.monotonic() > end_s:
            return
        time.sleep(_SWEEP_EVERY_S)


def processes_of_run(folder: Path) -> Iterator[psutil.Process]:
    """Living processes of a run, except this one."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            variables = process.environ()
            belongs = variables.get(RUN_FOLDER_VARIABLE) == str(folder)
            if not variables:
                # Ray's agents overwrite their environment with a title; they keep their logs open.
                belongs = any(folder in Path(opened.path).parents for opened in process.open_files())
            if belongs:
                yield process
