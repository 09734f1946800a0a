"""Runs that end in every way in every phase, and what they leave behind.

`python -m tests.flows.ends_of_runs [PHASE ...]` prints the table; one case takes about half a minute.
"""

import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import psutil

from flows.cli.open_ports import listeners_of
from gmt_tasks.import_guard import REPOSITORY_ROOT
from gmt_tasks.workers.run_folder import RUN_FOLDER_VARIABLE, processes_of_run
from tests.flows.conftest import write_crystals

PHASES = ("starting", "reading", "computing", "closing")
ENDS = (
    "done", "Ctrl-C", "SIGTERM", "closed terminal", "session leader killed", "driver killed", "worker killed",
    "watcher killed", "Ray killed",
)  # fmt: skip
PATIENCE_S, LEFT_AFTER_S = 240.0, 30.0
N_CRYSTALS = 24


@dataclass
class Run:
    """A run in a terminal of its own, whose session leader is a shell, with a folder for temporary files of its own.

    Attributes:
        folder: of everything that belongs to the test.
        terminal: the other side of its terminal.
        leader: the shell.
    """

    folder: Path
    terminal: int
    leader: int
    shared_memory: set[str] = field(default_factory=lambda: set(os.listdir("/dev/shm")))  # noqa: PTH208

    @classmethod
    def start(cls, folder: Path, phase: str) -> "Run":
        """Starts it; `folder` needs a short path."""
        for name in ("tmp", "run"):
            (folder / name).mkdir()
        source = write_crystals(folder / "run" / "c.jsonl", ["Si"] * N_CRYSTALS, a0=3.0)
        command = f"{sys.executable} -m tests.flows.cli.paused_cli screen {source} --db {folder}/run/a.db --workers 1"
        environment = {name: value for name, value in os.environ.items() if name != RUN_FOLDER_VARIABLE}
        environment.pop("PREFECT_API_URL", None)
        environment |= {
            "TMPDIR": str(folder / "tmp"), "PREFECT_HOME": str(folder / "run" / "prefect"),
            "GMTSCREEN_TEST_PHASE": phase, "GMTSCREEN_TEST_OF": str(folder), "GMTSCREEN_SHARD_ATOMS": "2",
            "PYTHONPATH": str(REPOSITORY_ROOT),
        }  # fmt: skip
        run = cls(folder, *_in_terminal(f"{command} >{folder}/run/out 2>{folder}/run/err", environment))
        run.wait_until(lambda: run.has_reached(phase))
        return run

    def said(self) -> str:
        """Standard error so far."""
        with suppress(OSError):
            return (self.folder / "run" / "err").read_text(encoding="utf-8")
        return ""

    def has_reached(self, phase: str) -> bool:
        """True when the run is in this phase."""
        if phase == "starting":
            return bool(self.pid("private_server"))
        return ("of 24 crystals " in self.said()) if phase == "computing" else f"phase: {phase}" in self.said()

    def wait_until(self, condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
        """Waits; raises TimeoutError when nothing comes of it."""
        end_s = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end_s:
                raise TimeoutError(self.said() or "it said nothing")
            time.sleep(0.5)

    def processes(self) -> list[psutil.Process]:
        """Everything that the run started, with its watcher; found by the environment of the test, or by open files."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                marked = process.environ().get("GMTSCREEN_TEST_OF") == str(self.folder)
                if marked and process.status() != psutil.STATUS_ZOMBIE and process.pid != self.leader:
                    found.append(process)
        for folder in self._run_folders():
            found += [process for process in processes_of_run(folder) if process not in found]
        return found

    def _run_folders(self) -> list[Path]:
        return list((self.folder / "tmp").glob("gmt-*"))

    def pid(self, word: str) -> int:
        """The first process of the run with a word in its command line or name."""
        return next((each.pid for each in self.processes() if word in words_of(each)), 0)

    def end(self, how: str) -> None:
        """Ends the run, or what it consists of."""
        driver = self.pid("paused_cli")
        if how == "Ctrl-C":
            os.write(self.terminal, b"\x03")
        elif how == "SIGTERM":
            os.kill(driver, signal.SIGTERM)
        elif how == "closed terminal":
            os.close(self.terminal)
            self.terminal = -1
        elif how == "session leader killed":
            os.kill(self.leader, signal.SIGKILL)
        elif how == "driver killed":
            os.kill(driver, signal.SIGKILL)
        elif how != "done":
            word = {"worker killed": "ray::", "watcher killed": "run_folder import watch", "Ray killed": "raylet"}[how]
            self.wait_until(lambda: self.pid(word))
            os.kill(self.pid(word), signal.SIGKILL)

    def has_ended(self) -> bool:
        """True when the driver is gone."""
        return not self.pid("paused_cli")

    def left_behind(self) -> list[str]:
        """What is there half a minute after the driver's end, or nothing sooner."""
        self.wait_until(self.has_ended)
        with suppress(TimeoutError):
            self.wait_until(lambda: not self._left(), LEFT_AFTER_S)
        return self._left()

    def _left(self) -> list[str]:
        processes = self.processes()
        names = [f"process {words_of(each)[:100]}" for each in processes]
        sockets = [f"socket {each}" for each in listeners_of({each.pid for each in processes})]
        files = [f"file {each.name}" for each in (self.folder / "tmp").iterdir()]
        shared = set(os.listdir("/dev/shm")) - self.shared_memory  # noqa: PTH208
        memory = [f"memory {name}" for name in shared if not is_mapped(name)]
        return names + sockets + files + memory

    def remove(self) -> None:
        """Ends what is left of the run and of its terminal."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()
        with suppress(OSError):
            os.kill(self.leader, signal.SIGKILL)
        if self.terminal >= 0:
            os.close(self.terminal)
        os.waitpid(self.leader, 0)


def is_mapped(name: str) -> bool:
    """True when a living process uses this shared memory: then it is not left behind, or of another program."""
    for maps in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):
            if f"/dev/shm/{name}" in maps.read_text(encoding="utf-8", errors="replace"):
                return True
    return False


def words_of(process: psutil.Process) -> str:
    """Name and command line; nothing of a process that is gone."""
    with suppress(psutil.Error):
        return " ".join([process.name(), *process.cmdline()])
    return ""


def _in_terminal(command: str, environment: dict[str, str]) -> tuple[int, int]:
    """A shell that leads a session with a terminal and runs a command in the foreground: terminal and process id."""
    ours, theirs = pty.openpty()
    arguments = ["/bin/sh", "-c", f"{command}; true"]
    code = (
        "import os, fcntl, termios, sys; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    shell = subprocess.Popen(
        [sys.executable, "-S", "-c", code, *arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=REPOSITORY_ROOT,
    )  # fmt: skip
    os.close(theirs)
    return ours, shell.pid


def left_behind(phase: str, how: str) -> list[str]:
    """What a run leaves that ends so in that phase."""
    folder = Path(tempfile.mkdtemp(prefix="e", dir="/tmp"))
    run = None
    try:
        run = Run.start(folder, phase)
        run.end(how)
        return run.left_behind()
    finally:
        if run:
            run.remove()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    # Undisturbed, every phase leads to the same end.
    cases = [("closing", "done"), *product(sys.argv[1:] or PHASES, ENDS[1:])]
    for phase, how in cases:
        began_s = time.monotonic()
        try:
            left = left_behind(phase, how)
        except TimeoutError as error:
            left = [f"waited in vain: {error}"]
        sys.stdout.write(f"{phase:10} {how:22} {'; '.join(left) or 'nothing'} ({time.monotonic() - began_s:.0f} s)\n")
        sys.stdout.flush()
