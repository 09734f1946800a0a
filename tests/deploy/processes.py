"""Processes that a test starts from the deployment files, on loopback, and ends in every case."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.architecture.source_tree import ROOT

PATIENCE_S = 420.0
ON_LOOPBACK = """#!{python}
import sys
from ray._private import services
# Ray would take the address of the network card instead.
services.resolve_ip_for_localhost = lambda host: host
services.get_node_ip_address = lambda *_: "127.0.0.1"
"""
"""Goes before what takes the place of a program: the same words, but nothing listens beyond this machine."""

RAY = """
import os, socket
from ray.scripts import scripts
def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
if sys.argv[1:2] == ["start"]:
    sys.argv += ["--node-ip-address=127.0.0.1"]
    # Given, not found: a node dies when an agent needs more than 15 s to say which port it found.
    for agent in ("dashboard-agent-grpc", "dashboard-agent-listen", "runtime-env-agent", "metrics-export"):
        port = os.environ.get("AGENT_PORT") if agent == "dashboard-agent-listen" else None
        sys.argv += [f"--{{agent}}-port={{port or free_port()}}"]
    if "--head" in sys.argv:
        sys.argv += ["--temp-dir={folder}"]
    elif "--num-cpus=0" not in sys.argv:
        sys.argv += ["--num-cpus=1"]
scripts.main()
"""
GMTSCREEN = """
if __name__ == "__main__":  # Prefect's runner starts processes that import this file
    from flows.cli.app import main
    main()
"""


class Processes:
    """What was started, with one environment for all.

    Args:
        folder: for logs and programs.
        ray_folder: short, because Ray's sockets lie in it.
        environment: variables that all processes share.
    """

    def __init__(self, folder: Path, ray_folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self._started: list[tuple[str, subprocess.Popen[bytes]]] = []
        programs = folder / "bin"
        programs.mkdir()
        loopback = ON_LOOPBACK.format(python=sys.executable)
        self._program(programs / "ray", loopback + RAY.format(folder=ray_folder))
        self._program(programs / "gmtscreen", loopback + GMTSCREEN)
        self._marks = [str(folder), str(ray_folder)]
        path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
        inherited = ("HOME", "LANG", "LC_ALL", "TMPDIR", "OMP_NUM_THREADS")
        self.environment = {name: os.environ[name] for name in inherited if name in os.environ}
        self.environment |= {"PATH": path, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", **environment}

    @staticmethod
    def _program(path: Path, text: str) -> None:
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def add_program(self, name: str, text: str) -> None:
        """Puts a program of this name before all others on the path."""
        self._program(self.folder / "bin" / name, text)

    def start(self, name: str, words: list[str], environment: dict[str, str] | None = None, cwd: Path = ROOT) -> None:
        """Starts a process in a group of its own; its output goes into a log of its name."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                words, env=self.environment | (environment or {}), cwd=cwd, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self._started.append((name, process))

    def run(
        self, name: str, words: list[str], environment: dict[str, str] | None = None, cwd: Path = ROOT
    ) -> subprocess.CompletedProcess[str]:
        """Runs a process to its end and returns what it printed."""
        self.start(name, words, environment, cwd)
        process = self._started[-1][1]
        process.wait(PATIENCE_S)
        return subprocess.CompletedProcess(words, process.returncode, self.log(name), "")

    def log(self, name: str) -> str:
        """What a process printed so far."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def wait_for(self, name: str, is_so: Callable[[], bool]) -> None:
        """Waits until something is so while a process lives.

        Raises:
            RuntimeError: the process ended, or it took too long; the text is the end of its log.
        """
        end = time.monotonic() + PATIENCE_S
        process = next(process for other, process in self._started if other == name)
        while not is_so():
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{name}: {process.poll()}: {self.log(name)[-3000:]}")
            time.sleep(0.5)

    def kill_children(self, name: str, mark: str) -> list[int]:
        """Ends with -9, as a machine without memory does, what a process has started itself.

        Args:
            name: of the process.
            mark: stands in the command lines of those that are meant.

        Returns:
            Their numbers.
        """
        parent = next(process.pid for other, process in self._started if other == name)
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                about, words = (place / "stat").read_text(), (place / "cmdline").read_text(errors="replace")
            except OSError:
                continue
            # After the name in brackets, which may hold anything, come state and parent.
            if int(about.rpartition(")")[2].split()[1]) == parent and mark in words:
                found.append(int(place.name))
        for number in found:
            os.kill(number, signal.SIGKILL)
        return found

    def healthy(self, words: list[str], environment: dict[str, str] | None = None) -> bool:
        """Whether a health check passes."""
        done = subprocess.run(words, env=self.environment | (environment or {}), cwd=ROOT, capture_output=True)
        return done.returncode == 0

    def stop(self) -> None:
        """Ends every process and what it started, the youngest first."""
        for how, patience_s in ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)):
            for _, process in reversed(self._started):
                _signal(process, how)
            end = time.monotonic() + patience_s
            while any(process.poll() is None for _, process in self._started) and time.monotonic() < end:
                time.sleep(0.1)
        _kill_those_that_name(self._marks)


def _signal(process: "subprocess.Popen[bytes]", how: signal.Signals) -> None:
    try:
        os.killpg(process.pid, how)
    except ProcessLookupError:
        return


def _kill_those_that_name(marks: list[str]) -> None:
    """Ends daemons of our own Ray: their command lines name the test's own folders, which nobody else has."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if int(place.name) != os.getpid() and any(mark in words for mark in marks):
            try:
                os.kill(int(place.name), signal.SIGKILL)
            except ProcessLookupError:
                continue


@contextmanager
def processes(folder: Path, environment: dict[str, str]) -> Iterator[Processes]:
    """Processes that all end with the block."""
    ray_folder = Path(tempfile.mkdtemp(prefix="gmt-ray-"))
    started = Processes(folder, ray_folder, environment)
    try:
        yield started
    finally:
        started.stop()
        shutil.rmtree(ray_folder, ignore_errors=True)
