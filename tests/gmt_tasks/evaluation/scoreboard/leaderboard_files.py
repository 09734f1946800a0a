"""Small files in the format of the JARVIS leaderboard, with made-up ids and numbers."""

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gmt_tasks.evaluation.scoreboard.jarvis_tasks import TASKS, JarvisTask

KV = next(task for task in TASKS if task.key == "bulk_modulus_kv")
Rows = Iterable[tuple[str, Any]]


def write_zip(path: Path, text: str) -> None:
    """A zip with one text, named as the zip without its ending."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path.name.removesuffix(".zip"), text)


def write_benchmark(
    folder: Path, test: Mapping[str, Any], train: Mapping[str, Any] | None = None, task: JarvisTask = KV
) -> Path:
    """The benchmark of a task where a checkout has it."""
    path = folder / "benchmarks" / task.category / "SinglePropertyPrediction" / task.benchmark_file
    write_zip(path, json.dumps({"train": dict(train or {}), "val": {}, "test": dict(test)}))
    return path


def write_contribution(
    folder: Path, name: str, rows: Rows, *, task: JarvisTask = KV, head: str = "id,prediction"
) -> Path:
    """The table of a contribution with its metadata."""
    path = folder / "contributions" / name / task.contribution_file
    write_zip(path, "\n".join([head, *(f"{each},{value}" for each, value in rows)]) + "\n")
    metadata = {"model_name": name, "team_name": "made up", "date_submitted": "01-02-2023"}
    path.with_name("metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    return path
