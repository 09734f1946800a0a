"""How fast a GPU screens: the networks alone by size of batch, then the whole line; and how far it is from the CPU.

    python -m benchmarks.gpu               into runs/gpu.json, below eight minutes on one card
    python -m benchmarks.gpu --dry-run     all of it with a few crystals and the CPU as the device: shows that it runs

Networks alone: from graphs in this machine's memory to components there, so with both copies. Whole line: a run of
`gmtscreen screen`, from the file to committed rows. What is measured is written after every part.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.speed.generator import write_parts
from benchmarks.speed.inputs import candidates_file, crystals_of, sample
from benchmarks.speed.machine import described, machine
from benchmarks.speed.whole_run import screen
from models.gmtnet.card import find_checkpoint
from models.gmtnet.padded import Bucket, CudaCapture, PaddedNetworks
from models.gmtnet.predictor import GMTNetPredictor, stacked
from models.quantities import TENSORS
from models.symmetry.idealize import IdealizedCrystals, idealize
from models.symmetry.orbits import IdealizedGraph, idealized_graph
from models.symmetry.search import find_symmetry
from models.tensors.voigt import to_components

SEED = 7
SIZES = 128, 512, 1024, 2048, 4096, 8192
TIMED_S = 4.0
N_LINE, N_DRY = 100_000, 40
SHOWN = (
    "crystals", "launched", "crystals_per_s", "described_per_s", "steady_crystals_per_s", "captured_share",
    "bytes_per_edge", "peak_bytes", "failed", "done", "refused", "wall_s", "start_s", "gpu_percent", "gpu_memory_mib",
    "gpu_watt",
)  # fmt: skip


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=Path, help="Parquet file of crystals")
    parser.add_argument("--model", default="gmtnet")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of the whole line")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu.json"))
    parser.add_argument("--dry-run", action="store_true")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints and writes."""
    asked = arguments(words)
    device = "cpu" if asked.dry_run else "cuda"
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch finds no GPU here; --dry-run goes through the benchmark on the CPU.")
    folder = asked.out.parent.resolve() / "gpu"
    folder.mkdir(parents=True, exist_ok=True)
    candidates = candidates_file(asked.candidates, folder).resolve()
    result: dict[str, Any] = {
        "dry_run": asked.dry_run,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "version": described(),
        "machine": machine() | {"gpu": None if device == "cpu" else torch.cuda.get_device_name()},
        "model": asked.model,
    }
    for name, figures in networks_alone(asked.model, candidates, folder, device, few=asked.dry_run):
        result.setdefault(name, []).append(figures)
        say(result, asked.out, line_of(figures))
    n = N_DRY if asked.dry_run else N_LINE
    write_parts(candidates, n, folder / f"line-{n}", SEED)
    line = whole_line(asked.model, folder / f"line-{n}", asked.workers, device)
    result["whole_line"] = line
    say(result, asked.out, f"whole line, {asked.workers} workers: {line_of(line)}")


def line_of(figures: dict[str, Any]) -> str:
    """What a terminal shows of figures; the file has all of them."""
    shown = {name: value for name, value in figures.items() if name in SHOWN or name in list(TENSORS)}
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in shown.items()
    )


def say(result: dict[str, Any], path: Path, line: str) -> None:
    """Prints a line at once, and writes all that is known."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def networks_alone(
    model: str, candidates: Path, folder: Path, device: str, *, few: bool = False
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Figures of the networks without what lies before and behind them, one by one.

    Args:
        model: a shipped model or a checkpoint.
        candidates: crystals.
        folder: for a sample of them.
        device: "cuda" or "cpu".
        few: as few crystals as show that it runs.

    Yields:
        "agreement" or "batches", and the figures.
    """
    sizes, timed_s = ((8, 16), 0.0) if few else (SIZES, TIMED_S)
    predictor = GMTNetPredictor.load(find_checkpoint(model), device=device)[0]
    crystals = crystals_of(sample(candidates, 2 * max(sizes), SEED, folder))
    ideal = idealize(crystals, find_symmetry(crystals))
    graph = idealized_graph(ideal, predictor.config.graph)
    yield "agreement", agreement(model, predictor, ideal.select(np.arange(sizes[1])), graph.part(0, sizes[1]))
    for size in sizes:
        parts = [graph.part(start, start + size) for start in range(0, min(graph.n_crystals, 8 * size), size)]
        for launched in ("kernel by kernel", "as CUDA graphs")[: 1 if device == "cpu" else 2]:
            capture = CudaCapture() if launched == "as CUDA graphs" else None
            networks = PaddedNetworks(predictor.networks, device, predictor.dtype, capture)
            yield "batches", {"crystals": size, "launched": launched} | timed(networks, parts, device, timed_s)


def agreement(
    model: str, predictor: GMTNetPredictor, ideal: IdealizedCrystals, graph: IdealizedGraph
) -> dict[str, float]:
    """Largest difference of each tensor from that of the compiled loops on the CPU, over its norm."""
    wanted = GMTNetPredictor.load(find_checkpoint(model), device="cpu")[0].predict_idealized(ideal).tensors
    networks = PaddedNetworks(predictor.networks, predictor.device, predictor.dtype)
    got = stacked(networks(graph))
    largest = {}
    for tensor, values in wanted.items():
        components = to_components(tensor, values)
        norm = np.maximum(np.linalg.norm(components, axis=-1), TENSORS[tensor].absolute_below)
        largest[tensor.value] = float((np.linalg.norm(got[tensor] - components, axis=-1) / norm).max())
    return largest


def timed(networks: PaddedNetworks, parts: list[IdealizedGraph], device: str, seconds: float) -> dict[str, Any]:
    """Crystals per second of batches, over and over for at least so many seconds, and memory of the first round.

    `described_per_s` is the same without the heads, which wait for the device and are never captured.
    """
    on_gpu = device != "cpu"
    n_edges = max(len(part.center) for part in parts)
    facts: dict[str, Any] = {
        "buckets": [asdict(bucket) for bucket in {Bucket.holding(part) for part in parts}],
        "orbits": max(len(part.numbers) for part in parts),
        "edges": n_edges,
    }

    def predict(part: IdealizedGraph) -> None:
        stacked(networks(part))

    def describe(part: IdealizedGraph) -> None:
        networks.describe(part)
        if on_gpu:
            torch.cuda.synchronize()

    try:
        before = torch.cuda.memory_allocated() if on_gpu else 0
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        for part in parts:
            predict(part)
        if on_gpu:
            facts["peak_bytes"] = torch.cuda.max_memory_allocated() - before
            facts["bytes_per_edge"] = facts["peak_bytes"] / n_edges
        for part in parts:  # buckets that were used once above are captured here
            predict(part)
        with sampled_gpu() as samples:
            facts["crystals_per_s"] = crystals_per_s(predict, parts, seconds)
        facts["described_per_s"] = crystals_per_s(describe, parts, seconds / 2)
    except torch.OutOfMemoryError:
        return facts | {"crystals_per_s": None, "failed": "out of memory"}
    captured = sum(networks.is_captured(part) for part in parts) / len(parts)
    return facts | {"captured_share": captured} | means_of(samples)


def crystals_per_s(compute: Callable[[IdealizedGraph], None], parts: list[IdealizedGraph], seconds: float) -> float:
    """Rate over whole rounds, one at least."""
    n, began_s = 0, time.monotonic()
    while not n or time.monotonic() - began_s < seconds:
        for part in parts:
            compute(part)
            n += part.n_crystals
    return n / (time.monotonic() - began_s)


@contextmanager
def sampled_gpu() -> Iterator[list[str]]:
    """Lines of nvidia-smi, two a second, about the GPU while what is inside runs; none where there is no such program.

    The list is filled at the end.
    """
    lines: list[str] = []
    program = shutil.which("nvidia-smi") if torch.cuda.is_available() else None
    if program is None:
        yield lines
        return
    query = "--query-gpu=utilization.gpu,memory.used,power.draw"
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(  # noqa: S603  our own words
            [program, "--id=0", query, "--format=csv,noheader,nounits", "--loop-ms=500"], stdout=output
        )
        try:
            yield lines
        finally:
            process.terminate()
            process.wait()
            output.seek(0)
            lines += output.read().splitlines()


def means_of(samples: list[str]) -> dict[str, float | None]:
    """Mean utilisation in %, most memory in MiB and mean power in W of lines of nvidia-smi."""
    rows = [[float(word) for word in line.split(",")] for line in samples if line and "N/A" not in line]
    if not rows:
        return {"gpu_percent": None, "gpu_memory_mib": None, "gpu_watt": None}
    percent, mib, watt = np.array(rows).T
    return {"gpu_percent": float(percent.mean()), "gpu_memory_mib": float(mib.max()), "gpu_watt": float(watt.mean())}


def whole_line(model: str, source: Path, workers: int, device: str) -> dict[str, Any]:
    """A run of `gmtscreen screen` into a fresh database.

    Utilisation is the mean over the whole run, its start included.
    """
    with sampled_gpu() as samples:
        figures = screen(source, source.parent / "line.db", workers=workers, device=device, model=model)
    return figures | means_of(samples)


if __name__ == "__main__":
    main()
