"""A command with all its processes: processor time and memory, by what each process is for."""

import subprocess
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROLES = (
    ("workers", ("fork_server",)),
    ("readers, content ids", ("gmt_tasks.sandbox", "multiprocessing")),
    ("Prefect", ("private_server", "prefect", "uvicorn")),
    ("Ray", ("ray::", "raylet", "gcs_server", "/ray/", "ray.")),
)
"""What stands in the command line of a process, by role; the first that fits. The command itself is the driver."""

SAMPLED_EVERY_S = 0.5
MEMORY_EVERY = 4
"""Samples of processor time between two of memory: shared pages are counted by walking through them."""


def role_of(command: str) -> str:
    """What a process below the driver is for."""
    return next((role for role, marks in ROLES if any(mark in command for mark in marks)), "other")


@dataclass
class Seen:
    """A process as it was last seen.

    Attributes:
        role: what it is for.
        parent: its first parent's id.
        own_s, reaped_s: processor time of its own, and of its ended children, in s.
        resident: largest resident memory in bytes.
    """

    role: str
    parent: int
    own_s: float = 0.0
    reaped_s: float = 0.0
    resident: int = 0


@dataclass
class ProcessTree:
    """Samples a process and all its descendants, also those whose parents have ended.

    Attributes:
        root: process id of the command.
        seen: every process that was ever there, by id.
        peak_shared: largest memory of all processes together in bytes, pages that several share counted once.
        peak_by_role: the same of the processes of each role.
    """

    root: int
    seen: dict[int, Seen] = field(default_factory=dict)
    peak_shared: int = 0
    peak_by_role: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def sample(self, *, memory: bool) -> None:
        """Looks at every process now."""
        shared: dict[str, int] = defaultdict(int)
        for process in self._alive():
            try:
                with process.oneshot():
                    if process.pid not in self.seen:
                        role = "driver" if process.pid == self.root else role_of(" ".join(process.cmdline()))
                        self.seen[process.pid] = Seen(role, process.ppid())
                    entry, times = self.seen[process.pid], process.cpu_times()
                    if entry.role == "other":  # seen between fork and exec
                        entry.role = role_of(" ".join(process.cmdline()))
                    entry.own_s = times.user + times.system
                    entry.reaped_s = times.children_user + times.children_system
                    entry.resident = max(entry.resident, process.memory_info().rss)
                if memory:
                    shared[entry.role] += process.memory_full_info().pss
            except psutil.Error:
                continue  # ended meanwhile, or a zombie
        if memory:
            self.peak_shared = max(self.peak_shared, sum(shared.values()))
            for role, n_bytes in shared.items():
                self.peak_by_role[role] = max(self.peak_by_role[role], n_bytes)

    def _alive(self) -> list[psutil.Process]:
        """The command, what was seen before, and all their children, by one look at all processes of the machine."""
        children: dict[int, list[psutil.Process]] = defaultdict(list)
        found: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            try:
                children[process.ppid()].append(process)
            except psutil.Error:
                continue
            if process.pid == self.root or process.pid in self.seen:
                found[process.pid] = process
        waiting = list(found)
        while waiting:
            fresh = [child for child in children[waiting.pop()] if child.pid not in found]
            found |= {child.pid: child for child in fresh}
            waiting += [child.pid for child in fresh]
        return list(found.values())

    def cpu_s(self) -> float:
        """Processor time of all processes so far in s.

        Short-lived children that no sample saw are in what their parent reaped.
        """
        total = 0.0
        for pid, entry in self.seen.items():
            known = sum(child.own_s + child.reaped_s for child in self.seen.values() if child.parent == pid)
            total += entry.own_s + max(0.0, entry.reaped_s - known)
        return total

    def cpu_by_role(self) -> dict[str, float]:
        """Processor time by role in s, of what samples saw."""
        seconds: dict[str, float] = defaultdict(float)
        for entry in self.seen.values():
            seconds[entry.role] += entry.own_s
        return dict(seconds)

    def resident_by_role(self) -> dict[str, int]:
        """Largest resident memory of one process of each role in bytes."""
        largest: dict[str, int] = defaultdict(int)
        for entry in self.seen.values():
            largest[entry.role] = max(largest[entry.role], entry.resident)
        return dict(largest)


@dataclass
class Measured:
    """A command that ended.

    Attributes:
        returncode: 0 when it did what it should.
        wall_s: from start to end.
        tree: its processes.
        lines: of its standard error with the seconds since the start at which they came.
        output: its standard output.
    """

    returncode: int
    wall_s: float
    tree: ProcessTree
    lines: list[tuple[float, str]]
    output: str


def measure(command: list[str], environment: dict[str, str], folder: Path) -> Measured:
    """Runs a command to its end and looks at its processes twice a second.

    Args:
        command: words.
        environment: all its variables.
        folder: in which it runs.
    """
    began_s = time.monotonic()
    process = subprocess.Popen(  # noqa: S603  our own command
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder
    )
    lines: list[tuple[float, str]] = []
    output: list[str] = []

    def read_errors() -> None:
        lines.extend((time.monotonic() - began_s, line.rstrip("\n")) for line in process.stderr or ())

    readers = [
        threading.Thread(target=read_errors),
        threading.Thread(target=lambda: output.extend(process.stdout or ())),
    ]
    for reader in readers:
        reader.start()
    tree, n = ProcessTree(process.pid), 0
    while process.poll() is None:
        tree.sample(memory=n % MEMORY_EVERY == 0)
        n += 1
        time.sleep(SAMPLED_EVERY_S)
    wall_s = time.monotonic() - began_s
    for reader in readers:
        reader.join(timeout=30)
    return Measured(process.returncode, wall_s, tree, lines, "".join(output))
