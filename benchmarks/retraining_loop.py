"""The loop that keeps a screening alive, on real labels, by the commands that its users type.

`python -m benchmarks.retraining_loop WORK --data ../shared/data` divides the label files by formula into three label
batches and walks: a model is trained on the first, a better one with the second, what was screened is screened again,
the better model is rolled back and restored, poisoned versions of the third are offered, at last the true third. Each
command's output lies in WORK/NN-name.txt; a table at the end says how each ended. Stopped, it goes on where it was.
About an hour and a half on two cores.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pymatgen.core import Composition

from flows.cli.models import DEFAULT_DATA
from gmt_tasks.labels.kinds import KINDS
from tests.gmt_tasks.labels.planted_faults import halved, rotated, scaled, with_nan, wrong_voigt_order

Row = dict[str, Any]

N_LABEL_BATCHES = 3
CONFIG = """network = "gmtnet"
name = "loop"
version = "1"
data = "{data}"
epochs = {epochs}
candidates = "candidates.parquet"
candidates_per_epoch = 2500
"""
SCREENED = ("reference", "prototypes:n=1000")


def say(line: str) -> None:
    """Prints a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def label_batches(data: Path) -> list[dict[str, list[Row]]]:
    """The rows of every label file, by label batch and file; a formula is in one label batch only."""
    found: list[dict[str, list[Row]]] = [defaultdict(list) for _ in range(N_LABEL_BATCHES)]
    for path in sorted(data.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                formula = Composition(row["formula"]).reduced_formula
                place = int(sha256(f"loop {formula}".encode()).hexdigest(), 16) % N_LABEL_BATCHES
                found[place][path.name.partition(".")[0]].append(row)
    return found


def wrong_crystals(rows: Sequence[Row]) -> list[Row]:
    """Values joined to the next crystal of the same space group: each row looks right by itself."""
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["kind"], row.get("spacegroup")].append(row)
    return [
        row | {key: other[key] for key in KINDS[row["kind"]].keys if key in other}
        for group in groups.values()
        for row, other in zip(group, group[1:] + group[:1], strict=True)
    ]


POISONS: dict[str, Callable[[Sequence[Row]], list[Row]]] = {
    "rotated": rotated,
    "vasp-order": wrong_voigt_order,
    "kbar": lambda rows: scaled(rows, 10.0),
    "halved": halved,
    "nan": with_nan,
    "wrong-crystals": wrong_crystals,
}
"""Faults by name. All but the last leave scalars as they are, which pass; without a model to compare with the last one
passes in many parts, and what comes of training on them is the gate's."""


def write(folder: Path, files: dict[str, list[Row]], change: Callable[[Sequence[Row]], Iterable[Row]] = list) -> None:
    """Label files of a label batch, each changed as it is said."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in files.items():
        with gzip.open(folder / f"{name}.jsonl.gz", "wt", encoding="utf-8", compresslevel=1) as file:
            file.writelines(json.dumps(row) + "\n" for row in change(rows))


@dataclass(frozen=True)
class Step:
    """One command of the loop: a name, the words after `gmtscreen`, and the exit status that is expected."""

    name: str
    words: tuple[str, ...]
    status: int = 0


RETRAIN = ("retrain", "--config", "loop.toml", "--members", "2")
SCREEN = ("screen", *SCREENED, "--model", "loop")


def first_steps() -> list[Step]:
    """The first label batch and its model: too few labels and epochs for the bounds of the gate."""
    return [
        Step("first labels", ("ingest", "first", "--labels", "--model", "none")),
        Step("first model", RETRAIN, 1),
    ]


def second_steps() -> list[Step]:
    """The second label batch, and what was screened before and after."""
    return [
        Step("screen", SCREEN),
        Step("second labels", ("ingest", "second", "--labels", "--model", "loop")),
        Step("second model", RETRAIN),
        Step("nothing new", RETRAIN),
        Step("screen again", SCREEN),
        Step("screen once more", SCREEN),
    ]


def decision_steps(first: str, second: str) -> list[Step]:
    """What moved, and there and back between the two models."""
    return [
        Step("compare", ("compare", first, second, "--sort=-k_vrh_gpa")),
        Step("rollback", ("models", "rollback", "loop", "--why", "tried out")),
        Step("screen after rollback", SCREEN),
        Step("restored", ("models", "promote", second, "--why", "the gate let it pass")),
        Step("decisions", ("models", "show", "loop")),
    ]


def poison_steps() -> list[Step]:
    """Poisoned versions of the third label batch, a retraining on what came through, and the true third."""
    offered = [Step(f"third, {name}", ("ingest", name, "--labels", "--model", "loop"), 1) for name in POISONS]
    return [
        *offered,
        Step("wrong crystals, unseen", ("ingest", "wrong-crystals", "--labels", "--model", "none")),
        Step("poisoned model", RETRAIN, 1),
        Step("true third", ("ingest", "third", "--labels", "--model", "loop"), 1),
        Step("true third, replacing", ("ingest", "third", "--labels", "--model", "loop", "--replace")),
        Step("third model", RETRAIN),
        Step("all models", ("models", "list")),
    ]


class Walk:
    """Runs the steps in a folder, each once, and keeps what they printed and how long they took."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._place = folder, 0
        self.rows: list[str] = ["| step | command | status | min | last line |", "|---|---|---|---|---|"]

    def take(self, steps: Iterable[Step]) -> int:
        """Runs what has not ended yet; returns the exit status of the last step."""
        status = 0
        for step in steps:
            self._place += 1
            stem = self.folder / f"{self._place:02d}-{step.name.replace(', ', '-').replace(' ', '-')}"
            output, ended = stem.with_suffix(".txt"), stem.with_suffix(".json")
            if not ended.exists():
                began = time.perf_counter()
                with output.open("w", encoding="utf-8") as file:
                    words = [str(Path(sys.executable).with_name("gmtscreen")), *step.words]
                    ended_as = subprocess.run(words, cwd=self.folder, stdout=file, stderr=file, check=False)  # noqa: S603  our own command
                ended.write_text(
                    json.dumps({"status": ended_as.returncode, "minutes": (time.perf_counter() - began) / 60})
                )
            fact = json.loads(ended.read_text())
            status = int(fact["status"])
            said = [line for line in output.read_text(encoding="utf-8").splitlines() if line.strip()]
            as_expected = "" if fact["status"] == step.status else f" (expected {step.status})"
            last = said[-1].strip() if said else ""
            row = f"| {step.name} | `gmtscreen {' '.join(step.words)}` | {fact['status']}{as_expected} "
            self.rows.append(row + f"| {fact['minutes']:.1f} | {last} |")
            say(self.rows[-1])

        return status

    def versions(self) -> list[str]:
        """Versions of the model, the oldest first."""
        folders = sorted(
            (self.folder / "gmtscreen.db.models" / "loop").iterdir(), key=lambda path: path.stat().st_mtime
        )
        return [f"loop@{path.name}" for path in folders]


def main() -> None:
    """Walks the loop and prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--epochs", type=int, default=16)
    asked = parser.parse_args()
    walk = Walk(asked.work.absolute())
    if not (walk.folder / "loop.toml").exists():
        first, second, third = label_batches(asked.data)
        write(walk.folder / "first", first)
        write(walk.folder / "second", second)
        write(walk.folder / "third", third)
        known = {name: [row for row in rows if row["kind"] in KINDS] for name, rows in third.items()}
        for name, change in POISONS.items():
            write(walk.folder / name, known, change)
        config = CONFIG.format(data=asked.data.absolute(), epochs=asked.epochs)
        (walk.folder / "loop.toml").write_text(config, encoding="utf-8")
    os.environ["GMTSCREEN_USER"] = "the loop"
    if walk.take(first_steps()):
        why = "the first model; the next ones are compared with it"
        walk.take([Step("a person decides", ("models", "promote", walk.versions()[0], "--force", "--why", why))])
    walk.take(second_steps())
    walk.take(decision_steps(*walk.versions()[:2]))
    walk.take(poison_steps())
    (walk.folder / "table.md").write_text("\n".join([*walk.rows, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
