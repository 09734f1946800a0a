"""Settings that every test shares, and the closing lines that say what was not run and how to run it."""

import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# Kernels are tiny and results must not depend on the number of cores; read before numpy and torch are imported.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

# A suite that is started in the background inherits ignored signals, and hands them down to the processes it tests.
for _signal, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _handler)

# Repeatable by default: the same examples on every machine, and none fails by the clock. To look for new examples:
# pytest --hypothesis-profile=search
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")

TARGETS = {name: f"make test-{name}" for name in ("slow", "chaos", "browser", "postgres")}
"""What runs the tests of each marker."""

DESELECTED = pytest.StashKey[Counter[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begins to count."""
    config.stash[DESELECTED] = Counter()


@pytest.fixture(scope="session", autouse=True)
def migrated_copies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The revisions run once for the SQLite databases of a process; tests of the revisions ask for `revisions_run`."""
    from db import engine
    from tests.db.migrated_copies import MigratedCopies

    with pytest.MonkeyPatch.context() as patch:
        template = tmp_path_factory.mktemp("migrated") / "template.db"
        patch.setattr(engine, "_migrate", MigratedCopies(template, engine._migrate))
        yield


SHARED_FIXTURES = ("prefect_server",)
"""What costs a quarter of a minute to make: the files that use it share a process."""


class FilesScheduling(LoadFileScheduling):
    """Gives the tests of a file to one process, and all files that use the same dear fixture.

    xdist's own groups are not used: with pytest 9.2 they are silently ignored.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return shared_fixture(self.config.rootpath / file) or file


@cache
def shared_fixture(file: Path) -> str | None:
    """The dear fixture that a file of tests names."""
    text = file.read_text(encoding="utf-8")
    return next((name for name in SHARED_FIXTURES if name in text), None)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FilesScheduling:
    """How several processes share the tests: in the order of `pytest_collection_modifyitems`."""
    config.option.loadscopereorder = False
    return FilesScheduling(config, log)


@pytest.hookimpl(trylast=True)  # when tests of other markers are left out already
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files of few tests first, where processes share them: these tests are the long ones, for which all would wait."""
    if hasattr(config, "workerinput"):
        n_tests = Counter(item.path for item in items)
        items.sort(key=lambda item: n_tests[item.path])


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Counts what a marker leaves out, by the marker that has a target of its own."""
    for item in items:
        marker = next((name for name in TARGETS if item.get_closest_marker(name)), None)
        if marker is not None:
            item.config.stash[DESELECTED][marker] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of several hands its count to the one that prints; all of them leave out the same tests."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["deselected"] = dict(session.config.stash[DESELECTED])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes the count of a process that is done."""
    node.config.stash[DESELECTED].update(
        {name: n - node.config.stash[DESELECTED][name] for name, n in node.workeroutput["deselected"].items()}
        if hasattr(node, "workeroutput")
        else {}
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Says in the last lines what was left out or skipped, why, and what runs it."""
    lines = [f"{n} marked {name}: {TARGETS[name]}" for name, n in sorted(config.stash[DESELECTED].items())]
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple)
    )
    lines += [f"{n} skipped: {reason}" for reason, n in reasons.most_common()]
    if lines:
        terminalreporter.section("not run")
        for line in lines:
            terminalreporter.line(line)
