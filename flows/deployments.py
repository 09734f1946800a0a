"""Retraining on a schedule from one process: a deployment that this process serves until it is stopped.

`deploy/prefect.yaml` is the way for an installation with workers and a work pool; this one needs a Prefect server and
nothing else. Every run is a process of its own, which takes database and folders from the environment.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flows.orchestration import quiet_prefect, start_server
from flows.parameters import to_parameters
from flows.terminal.console import say
from models.errors import GmtError

if TYPE_CHECKING:
    from gmt_tasks.retraining.options import RetrainOptions
    from gmt_tasks.settings import Settings

NAME = "scheduled"


def serve_retrain(settings: "Settings", options: "RetrainOptions", cron: str) -> None:
    """Registers the deployment `retrain/scheduled` and runs it on time, one run at a time, until a signal comes.

    A run that is due while another works is cancelled: the labels that it would have taken are in the next one.

    Args:
        settings: database and folders; handed to the runs through the environment.
        options: of every run.
        cron: minute, hour, day of month, month, day of week, in UTC.

    Raises:
        GmtError: no Prefect server is named, or the schedule cannot be read.
    """
    from gmt_tasks.registry.model_files import datasets_folder
    from gmt_tasks.retraining.retraining import Retraining
    from gmt_tasks.training.config import TrainingConfig

    # Prefect reads its environment when it is imported, which checking a schedule does.
    quiet_prefect()
    check_schedule(cron)
    if not os.environ.get("PREFECT_API_URL"):
        raise GmtError(
            "A schedule needs a Prefect server that stays: start one with an auth string (`prefect server start`, "
            "PREFECT_SERVER_API_AUTH_STRING), and name it in PREFECT_API_URL and PREFECT_API_AUTH_STRING."
        )
    # What a person has to mend is said now, at the terminal, and not by the first run at night.
    TrainingConfig.read(options.config)
    Retraining(settings, options, datasets_folder(settings)).open().close()
    start_server()
    os.environ |= environment_of(settings)
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy

    from flows.retrain import retrain

    say(f"retraining {settings.shown_database} at '{cron}' UTC until this is stopped; the runs: retrain/{NAME}")
    # Prefect finds the flow by its file, relative to the folder that the runs begin in.
    os.chdir(Path(__file__).resolve().parents[1])
    retrain.serve(
        NAME,
        cron=cron,
        parameters=to_parameters(options.absolute()),
        description="Retrains on the accepted labels; the gate decides whether the candidate goes live.",
        limit=1,
        global_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW),
        print_starting_message=False,
    )


def check_schedule(cron: str) -> None:
    """Refuses a schedule that is no cron text.

    Raises:
        GmtError: it does not have five fields that a calendar knows.
    """
    from prefect.client.schemas.schedules import CronSchedule

    try:
        CronSchedule(cron=cron, timezone="UTC")
    except ValueError:
        raise GmtError(
            f"{cron!r} is no schedule. Give minute, hour, day of month, month and day of week: '0 3 * * 6'."
        ) from None


def environment_of(settings: "Settings") -> dict[str, str]:
    """The variables that give the runs this process's settings; paths become absolute."""
    database = settings.database
    # A run begins in another folder.
    variables = {"GMTSCREEN_DB": database if "://" in database else str(Path(database).absolute())}
    if settings.models is not None:
        models = settings.models  # a folder, or an address in object storage
        variables["GMTSCREEN_MODELS"] = models if isinstance(models, str) else str(models.absolute())
    if settings.datasets is not None:
        variables["GMTSCREEN_DATASETS"] = str(settings.datasets.absolute())
    named = {"RAY_ADDRESS": settings.ray_address, "USER": settings.user, "NOTIFY": settings.notify}
    return variables | {f"GMTSCREEN_{name}": value for name, value in named.items() if value}
