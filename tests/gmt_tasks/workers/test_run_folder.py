"""The private folder of a run and its watcher: whatever ends the run, processes and folder go, and no others."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from gmt_tasks.import_guard import REPOSITORY_ROOT
from gmt_tasks.workers import run_folder
from models.errors import GmtError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems hide environments of processes")

RUN = """
import os, subprocess, sys
from gmt_tasks.workers import run_folder
folder = run_folder.run_folder()
assert run_folder.run_folder() == folder
# As a server does that outlives its parent: another session, and no pipe.
child = subprocess.Popen(["sleep", "600"], start_new_session=True, stdout=subprocess.DEVNULL)
(folder / "inside").write_text("x")
print(folder, child.pid, run_folder._runs[0].watcher.pid, flush=True)
sys.stdin.read()
"""


class Run:
    """A process with a run folder, a process that it started, and its watcher."""

    def __init__(self, temporary: Path) -> None:
        environment = {**os.environ, "TMPDIR": str(temporary), "RAY_TMPDIR": ""}
        command = [sys.executable, "-c", RUN]
        pipe = subprocess.PIPE
        self.driver = subprocess.Popen(
            command, cwd=REPOSITORY_ROOT, env=environment, stdin=pipe, stdout=pipe, text=True, start_new_session=True
        )
        folder, *pids = self.driver.stdout.readline().split()  # type: ignore[union-attr]
        self.folder = Path(folder)
        self.child, self.watcher = (psutil.Process(int(pid)) for pid in pids)

    def left(self) -> list[object]:
        """What is left of it."""
        alive = [each for each in (self.child, self.watcher) if is_alive(each)]
        return [*alive, *([self.folder] if self.folder.exists() else [])]

    def is_gone_within(self, seconds: float) -> bool:
        """True when nothing is left of it after that time, or sooner."""
        end_s = time.monotonic() + seconds
        while self.left() and time.monotonic() < end_s:
            time.sleep(0.1)
        return not self.left()


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Where runs make their folders; sockets in them need short paths."""
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder:
        yield Path(folder)


@contextmanager
def started(temporary: Path) -> Iterator[Run]:
    """A run that is ended, whatever a test does."""
    run = Run(temporary)
    try:
        yield run
    finally:
        run.driver.kill()
        run_folder.remove_run(run.folder)
        run.driver.communicate()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_run_that_a_signal_kills_leaves_nothing_and_another_run_goes_on(
    number: signal.Signals, short_folder: Path
) -> None:
    with started(short_folder) as run, started(short_folder) as other:
        assert stat.S_IMODE(run.folder.stat().st_mode) == 0o700
        os.killpg(run.driver.pid, number)
        assert run.is_gone_within(30), run.left()
        assert len(other.left()) == 3, "another run is nobody's business"


def test_a_run_that_ends_has_left_nothing_when_it_is_over_even_without_its_watcher(short_folder: Path) -> None:
    with started(short_folder) as run, started(short_folder) as unwatched:
        unwatched.watcher.kill()
        for each in (run, unwatched):
            each.driver.communicate("")
            assert each.left() == []
    assert list(short_folder.iterdir()) == []


def test_without_its_watcher_a_killed_run_would_leave_everything(short_folder: Path) -> None:
    """The control of the tests above."""
    with started(short_folder) as run:
        run.watcher.kill()
        run.driver.kill()
        run.driver.wait()
        assert not run.is_gone_within(2)
        assert len(run.left()) == 2


def test_a_folder_whose_sockets_would_have_too_long_paths_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 80)
    deep.mkdir()
    monkeypatch.setenv("RAY_TMPDIR", str(deep))
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    assert run_folder._base() == Path("/tmp")
    monkeypatch.setattr(os, "access", lambda path, _: path != "/tmp")
    with pytest.raises(GmtError, match="TMPDIR"):
        run_folder._base()
