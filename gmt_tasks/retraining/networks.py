"""Trains the networks of a candidate: one after the other here, or side by side as Ray tasks here or on a cluster.

A network whose checkpoint is there is not trained again, and one that was killed goes on after its last whole epoch,
so a lost worker costs at most an epoch. On a cluster the folders of snapshot and retraining must be on storage that all
nodes share.
"""

import os
from collections.abc import Callable
from pathlib import Path

from gmt_tasks.retraining.options import RetrainOptions
from gmt_tasks.retraining.plan import RetrainPlan
from gmt_tasks.training.config import TrainingConfig
from models.errors import ModelError
from models.gmtnet.card import read_card

Report = Callable[[str], None]
Progress = Callable[[float], None]

LOG = "training.log"


def train_networks(plan: RetrainPlan, options: RetrainOptions, report: Report, progress: Progress) -> list[Path]:
    """Trains what is not trained yet.

    Args:
        plan: of the retraining.
        options: how many side by side, and where.
        report: receives one line per event.
        progress: receives the share of all epochs that is done, now and then.

    Returns:
        The card of each network.

    Raises:
        ModelError: a training failed.
    """
    folders = [plan.network_folder(k) for k in range(len(plan.configs))]
    missing = [k for k, folder in enumerate(folders) if not is_trained(folder, plan.configs[k])]
    at_once = min(options.where.workers or os.cpu_count() or 1, len(missing))
    if options.where.ray_address is None and at_once <= 1:
        # Without Ray: a single core would only pay for its start.
        def report_progress(line: str) -> None:
            report(line)
            progress(share_done(plan))

        for k in missing:
            report(f"network {k + 1} of {len(folders)}")
            train_network(plan.configs[k], folders[k], options.where.device, report_progress)
    else:
        from gmt_tasks.workers.cluster import run_side_by_side

        report(f"{len(missing)} networks, {at_once} at a time; lines of each in {plan.folder}/member-*/{LOG}")
        device = options.where.device
        arguments = [(plan.configs[k], folders[k], device) for k in missing]
        waiting = lambda: progress(share_done(plan))  # noqa: E731  one expression
        run_side_by_side(
            train_network,
            arguments,
            address=options.where.ray_address,
            n_at_once=at_once,
            device=device,
            on_wait=waiting,
        )
    # A worker on another node may have written to a disk of its own.
    untrained = [k + 1 for k, folder in enumerate(folders) if not is_trained(folder, plan.configs[k])]
    if untrained:
        raise ModelError(
            f"{len(untrained)} of {len(folders)} networks left no checkpoint in {plan.folder}, first network "
            f"{untrained[0]}. On a cluster this folder must be on storage that all nodes share."
        )
    return [folder / f"{plan.name}.json" for folder in folders]


def train_network(config: TrainingConfig, folder: Path, device: str = "auto", report: Report | None = None) -> None:
    """Trains one network or goes on training it; every line goes to the folder's log too.

    Args:
        config: of the network.
        folder: of its run.
        device: "auto", "cpu" or "cuda".
        report: receives the lines; None where they go to the log alone.
    """
    # torch takes seconds to import, and drivers that only start workers do not need it.
    from gmt_tasks.training.training import train

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOG).open("a", encoding="utf-8") as log:

        def write_and_report(line: str) -> None:
            log.write(line + "\n")
            log.flush()
            if report is not None:
                report(line)

        train(config, folder, report=write_and_report, device=device)


def is_trained(folder: Path, config: TrainingConfig) -> bool:
    """True when the folder holds the checkpoint of this configuration."""
    path = folder / f"{config.name}.json"
    return path.exists() and read_card(path).version == config.version


def share_done(plan: RetrainPlan) -> float:
    """Share of all epochs of all networks that is done, 0 to 1, from the logs of their trainings."""
    done = total = 0
    for k, config in enumerate(plan.configs):
        total += config.epochs
        log = plan.network_folder(k) / LOG
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        # A resumed training appends to its log: the last epoch counts, not the number of lines.
        epochs = [line.split()[1].partition("/")[0] for line in lines if line.startswith("epoch ")]
        done += int(epochs[-1]) if epochs else 0
    return done / total
