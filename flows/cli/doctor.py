"""`gmtscreen doctor`: is everything here that a run needs, and does anything listen where it should not?"""

import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.open_ports import listeners_of, listeners_of_machine, process_tree
from flows.cli.options import AsJson, Db, Model
from flows.terminal.console import Exit, print_json
from gmt_tasks.import_guard import REPOSITORY_ROOT, find_foreign_packages

if TYPE_CHECKING:
    from packaging.requirements import Requirement


class Health(StrEnum):
    """The outcome of a check."""

    GOOD = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True)
class Check:
    """One line of the report: what was looked at, how it is, what was found, and what to do when it is bad."""

    name: str
    health: Health
    found: str
    advice: str = ""


KNOWN_PORTS = {4200: "Prefect", 5432: "PostgreSQL", 6379: "Ray", 8265: "Ray dashboard", 10001: "Ray client"}


def doctor(
    *,
    db: Db = None,
    model: Model = None,
    quick: Annotated[bool, typer.Option("--quick", help="Do not start Ray (so GPUs are not counted).")] = False,
    json: AsJson = False,
) -> None:
    """Checks python, packages, GPU, ray, database, model, foreign packages and open ports."""
    checks = list(run_checks(db, model, quick=quick))
    if json:
        print_json({"checks": [asdict(check) for check in checks], "healthy": is_healthy(checks)})
    else:
        _print(checks)
    if not is_healthy(checks):
        raise typer.Exit(int(Exit.BROKEN_PROMISE))


def is_healthy(checks: list[Check]) -> bool:
    """True when no check is bad."""
    return all(check.health is not Health.BAD for check in checks)


def run_checks(db: str | None, model: str | None, *, quick: bool) -> Iterator[Check]:
    """Every check in turn; none can stop the others."""
    yield check_python()
    yield check_origin()
    yield from check_packages()
    yield _guarded("database", lambda: check_database(db))
    yield _guarded("model", lambda: check_model(model))
    if not quick:
        yield _guarded("ray, gpu", check_ray)
    yield _guarded("ports", check_ports)


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except Exception as error:  # noqa: BLE001  a doctor reports what it meets
        return Check(name, Health.BAD, " ".join(str(error).split()) or type(error).__name__)


def check_python() -> Check:
    """Version and number of cores."""
    found = f"{platform.python_version()} at {sys.executable}, {os.cpu_count()} cores"
    if sys.version_info < (3, 11):
        return Check("python", Health.BAD, found, "Install Python 3.11 or newer.")
    return Check("python", Health.GOOD, found)


def check_origin() -> Check:
    """Whether `models`, `db`, `gmt_tasks` and `flows` are ours."""
    foreign = find_foreign_packages()
    if foreign:
        listed = ", ".join(f"{name} from {place}" for name, place in foreign.items())
        return Check("packages", Health.BAD, listed, "Install gmtscreen in an environment of its own.")
    return Check("packages", Health.GOOD, f"models, db, gmt_tasks and flows come from {REPOSITORY_ROOT}")


def check_packages() -> Iterator[Check]:
    """Whether what gmtscreen requires is installed in the versions that its metadata names.

    Packages with an upper bound have a line each, as a later version breaks something there; of the others, and there
    are many, those that are missing or too old.
    """
    from packaging.requirements import Requirement

    try:
        requirements = [Requirement(text) for text in requires("gmtscreen") or ()]
    except PackageNotFoundError:
        found = "gmtscreen is not installed as a package, so the versions that it needs are not known"
        yield Check("versions", Health.NOTE, found, "Run `pip install -e .` in the folder of pyproject.toml.")
        return
    for requirement in requirements:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            check = check_package(requirement)
            bounded = any(each.operator.startswith("<") for each in requirement.specifier)
            if bounded or check.health is not Health.GOOD:
                yield check


def check_package(requirement: "Requirement") -> Check:
    """Whether a package is installed in a version that gmtscreen works with."""
    advice = f"pip install '{requirement}'"
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        return Check(requirement.name, Health.BAD, "not installed", advice)
    if not requirement.specifier.contains(found, prereleases=True):
        return Check(requirement.name, Health.BAD, f"{found}, gmtscreen needs {requirement.specifier}", advice)
    return Check(requirement.name, Health.GOOD, found)


def check_database(db: str | None) -> Check:
    """Whether the database opens; a missing SQLite file is fine, it will be made."""
    from db.engine import parse_url
    from db.store import ResultStore
    from gmt_tasks.settings import load_settings

    settings = load_settings(db=db)
    parse_url(settings.database)  # a mistyped URL must not be printed as if it were a path: it may hold a password
    if "://" not in settings.database and not Path(settings.database).exists():
        folder = Path(settings.database).resolve().parent
        if not os.access(folder, os.W_OK):
            return Check("database", Health.BAD, f"{folder} cannot be written", "Choose another place with --db.")
        return Check("database", Health.GOOD, f"{settings.shown_database} does not exist yet and can be made")
    with ResultStore.open_existing(settings.database) as store:
        return Check("database", Health.GOOD, f"{settings.shown_database}, {len(store.run_numbers())} runs")


def check_model(model: str | None) -> Check:
    """Whether the model's card is found."""
    from gmt_tasks.runs.session import describe_model
    from gmt_tasks.settings import load_settings

    described, _ = describe_model(load_settings(model=model).model)
    return Check("model", Health.GOOD, f"{described}, sha256 {described.sha256[:12]}")


def check_ray() -> Check:
    """Starts Ray as a run would, asks it for GPUs, looks where it listens, and ends it."""
    from gmt_tasks.workers.cluster import count_devices, start_ray, stop_ray

    started = start_ray(n_cpus=1)
    _, gpus = count_devices()
    wide = [str(each) for each in listeners_of(process_tree(os.getpid())) if not each.loopback]
    if started:
        stop_ray()
    if wide:
        advice = "Report it; until then run behind a firewall, or with RAY_AUTH_MODE=token."
        return Check("ray, gpu", Health.BAD, f"starts, but listens beyond loopback: {', '.join(wide)}", advice)
    if gpus and version("torch").endswith("+cpu"):
        advice = "Install a CUDA build of torch in the tested range to use them."
        return Check("ray, gpu", Health.NOTE, f"starts; {gpus} GPU, but this torch is built for the CPU only", advice)
    devices = f"{gpus} GPU" if gpus else "no GPU, workers use the CPU"
    return Check("ray, gpu", Health.GOOD, f"starts, on loopback only; {devices}")


def check_ports() -> Check:
    """What of Ray, Prefect and PostgreSQL listens, and whether beyond loopback."""
    listening = {(each.port, each.loopback) for each in listeners_of_machine()}
    known = sorted((port, loopback) for port, loopback in listening if port in KNOWN_PORTS)
    wide = sum(not loopback for _, loopback in listening)
    found = ", ".join(f"{KNOWN_PORTS[port]} {port} {'loopback' if near else 'ALL INTERFACES'}" for port, near in known)
    rest = f"{wide} of {len(listening)} listening ports of this machine are open beyond loopback"
    if any(not loopback for _, loopback in known):
        advice = "Bind it to 127.0.0.1, or set RAY_AUTH_MODE=token (Ray) or an auth string (Prefect)."
        return Check("ports", Health.NOTE, f"{found}; {rest}", advice)
    return Check("ports", Health.GOOD, f"{found or 'nothing of Ray, Prefect or PostgreSQL'}; {rest}")


def _print(checks: list[Check]) -> None:
    from flows.reports.tables import console, new_table

    table = new_table("", "check", "found")
    for check in checks:
        table.add_row(check.health.value, check.name, f"{check.found}{'. ' + check.advice if check.advice else ''}")
    console().print(table)
