"""Versions of gmtscreen and the plain line as processes that are asked for batches over a pipe."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]
BASELINE = Path(__file__).with_name("baseline.txt")
SERVER = Path(__file__).with_name("one_process.py")
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


class NoVersionError(RuntimeError):
    """An earlier version cannot be checked out."""


def git(*arguments: str) -> str:
    """What git says about the repository, without its last line break."""
    done = subprocess.run(  # noqa: S603  our own words
        ["git", "-C", str(ROOT), *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise NoVersionError(
            f"git {arguments[0]}: {done.stderr.strip()}. Give --against a revision of this repository."
        )
    return done.stdout.strip()


def baseline() -> str:
    """The revision that figures are compared with when nobody names another."""
    return BASELINE.read_text(encoding="utf-8").split()[0]


def checked_out(revision: str) -> Path:
    """A folder with the files of a revision, below build/; made once per commit."""
    commit = git("rev-parse", "--verify", f"{revision}^{{commit}}")
    folder = ROOT / "build" / "speed" / commit[:12]
    if not (folder / "models").is_dir():
        git("worktree", "prune")
        git("worktree", "add", "--detach", "--force", str(folder), commit)
    return folder


@dataclass(frozen=True)
class Contender:
    """One of what is compared.

    Attributes:
        name: in tables.
        kind: "plain", or the model that gmtscreen loads.
        root: of the version.
    """

    name: str
    kind: str
    root: Path = ROOT


class Asked:
    """A process that screens files for a contender when it is asked; use it as a context.

    Attributes:
        ready: its first answer: missing stages, processor time of its start.
    """

    def __init__(self, contender: Contender, folder: Path) -> None:
        self.contender, self._folder, self._n_asked = contender, folder, 0
        environment = os.environ | ONE_THREAD | {"PYTHONPATH": str(contender.root)}
        self._process = subprocess.Popen(  # noqa: S603  our own interpreter on our own file
            [sys.executable, "-P", str(SERVER), contender.kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=ROOT,
        )
        self.ready: dict[str, Any] = {}

    def wait_until_ready(self) -> dict[str, Any]:
        """Its first answer."""
        if not self.ready:
            self.ready = self._answer()
            if Path(self.ready["root"]) != self.contender.root:
                raise RuntimeError(f"{self.contender.name} runs {self.ready['root']}, not {self.contender.root}")
        return self.ready

    def screen(self, path: Path) -> dict[str, Any]:
        """Figures of screening a file into a fresh database; see `OwnLine.screen`."""
        self.wait_until_ready()
        self._n_asked += 1
        database = self._folder / f"asked-{self._process.pid}-{self._n_asked}.db"
        if self._process.stdin is None:
            raise RuntimeError("the process has no standard input")
        self._process.stdin.write(json.dumps({"path": str(path), "database": str(database)}) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        for part in self._folder.glob(f"{database.name}*"):
            part.unlink()
        return answer

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise RuntimeError(f"{self.contender.name} ended with {self._process.wait()}; its last words stand above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        if error is not None:
            self._process.terminate()
        self._process.wait()
