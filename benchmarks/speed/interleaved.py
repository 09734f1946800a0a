"""This version, an earlier one and what a user would write otherwise, asked in turns for the same crystals."""

import math
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.inputs import sample
from benchmarks.speed.ratios import by_stage, microseconds, ratio, repeats
from benchmarks.speed.versions import Asked, Contender, NoVersionError, checked_out, git
from gmt_tasks.sources.files.tables.parquet import TableFile
from models.crystals.crystal import CrystalBatch
from models.quantities import TENSORS

OURS, EARLIER, PLAIN = "this version", "before", "plain"
OURS_DISTILLED, OURS_PAPER = "this version, gmtnet-distilled", "this version, gmtnet-paper"
N_WARM_UP = 24
SEED = 11


def contenders(against: str) -> tuple[list[Contender], str]:
    """What is compared, and the earlier version in git's words or why there is none."""
    found = [Contender(OURS, "gmtnet")]
    try:
        found.append(Contender(EARLIER, "gmtnet", checked_out(against)))
        described = git("describe", "--always", "--tags", against)
    except NoVersionError as error:
        described = str(error)
    models = Contender(OURS_DISTILLED, "gmtnet-distilled"), Contender(OURS_PAPER, "gmtnet-paper")
    return [*found, *models, Contender(PLAIN, "plain")], described


def compare(candidates: Path, folder: Path, *, against: str, n: int, n_rounds: int) -> dict[str, Any]:
    """Rounds in which every contender screens the same sample, one after the other, each round another sample.

    Args:
        candidates: Parquet file.
        folder: for samples and databases.
        against: revision of the earlier version.
        n: crystals of a sample.
        n_rounds: rounds.

    Returns:
        Figures by contender, ratios to this version, the agreement of the two networks of the same weights.
    """
    chosen, described = contenders(against)
    warm_up = sample(candidates, N_WARM_UP, SEED, folder)
    samples = [sample(candidates, n, SEED, folder, skip=N_WARM_UP + k * n) for k in range(n_rounds)]
    answers: dict[str, list[dict[str, Any]]] = {contender.name: [] for contender in chosen}
    raw: dict[str, Any] = {}
    with ExitStack() as stack:
        processes = [stack.enter_context(Asked(contender, folder)) for contender in chosen]
        ready = {process.contender.name: process.wait_until_ready() for process in processes}
        warm = {process.contender.name: process.screen(warm_up)["cpu_s"] for process in processes}
        for path in samples:
            for process in processes:
                answer = process.screen(path)
                raw = raw | answer.pop("raw", {})
                answers[process.contender.name].append(answer)
    agreement = network_agreement(samples, raw)
    return {"n": n, "rounds": n_rounds, "earlier": described, "agreement": agreement} | figures(answers, ready, warm)


def figures(
    answers: dict[str, list[dict[str, Any]]], ready: dict[str, dict[str, Any]], warm: dict[str, float]
) -> dict[str, Any]:
    """Figures by contender and ratios from all answers."""
    ours = {name: microseconds(answers[name]) for name in (OURS, OURS_DISTILLED, OURS_PAPER) if name in answers}
    contenders_ = {}
    for name, of in answers.items():
        each = microseconds(of)
        contenders_[name] = {
            "us_per_crystal": repeats(each),
            "crystals_per_s": repeats([1e6 / value for value in each]),
            "stages": by_stage(of),
            "missing": ready[name]["missing"],
            "load_cpu_s": ready[name]["load_cpu_s"],
            "first_batch_cpu_s": warm[name],
        }
    pairs = [(of, to) for to in (OURS, OURS_DISTILLED, OURS_PAPER) for of in (EARLIER, PLAIN)]
    pairs.remove((EARLIER, OURS_PAPER))
    return {
        "contenders": contenders_,
        "ratios": [
            {"of": of, "to": to, **ratio(microseconds(answers[of]), ours[to])}
            for of, to in pairs
            if of in answers and to in ours
        ],
    }


def network_agreement(samples: Sequence[Path], raw: dict[str, Any], model: str = "gmtnet-paper") -> dict[str, Any]:
    """How far our network and the plain one of the same weights differ, on crystals whose graphs are the same.

    Differences are relative to the tensor's norm, or to a typical norm where the tensor is smaller: in a crystal with a
    centre of inversion e is what is left of terms that cancel.

    Args:
        samples: files of crystals.
        raw: tensors of the plain network by id and name.
        model: a shipped model of published layers.

    Returns:
        largest (by tensor), median, n, and n_other_graph: crystals in which a shell is split by rounding.
    """
    from gmt_tasks.screening.screener import Screener

    blocks = [block for path in samples for block in TableFile(path, path.name).blocks(0)]
    ids = [name for block in blocks for name in block.source_ids]
    crystals = CrystalBatch.join([block.crystals for block in blocks])
    kept = [k for k, name in enumerate(ids) if name in raw]
    network = Screener.load(model, device="cpu").model
    same = same_graph(crystals.select(kept), network.graph_spec)
    differences = {}
    for tensor, values in network.predict(crystals.select(kept)).items():
        other = np.array([raw[ids[k]][str(tensor)] for k in kept])
        axes = tuple(range(1, other.ndim))
        size = np.maximum(np.sqrt((values[0] ** 2).sum(axis=axes)), TENSORS[tensor].absolute_below)
        differences[str(tensor)] = (np.sqrt(((other - values[0]) ** 2).sum(axis=axes)) / size)[same]
    return {
        "largest": {name: float(each.max(initial=0.0)) for name, each in differences.items()},
        "median": statistics.median(np.concatenate(list(differences.values())).tolist()) if same.any() else math.nan,
        "n": int(same.sum()),
        "n_other_graph": int((~same).sum()),
    }


def same_graph(crystals: CrystalBatch, spec: Any) -> np.ndarray:
    """Crystals in which the plain graph has as many edges as ours, [n_crystals]."""
    from pymatgen.core import Lattice, Structure

    from benchmarks.speed.plain.line import graph_of
    from models.crystals.graph import build_graph

    ours = build_graph(crystals, spec)
    n_edges = np.bincount(ours.crystal_of_atom[ours.center], minlength=crystals.n_crystals)
    first, same = crystals.first_atom, np.zeros(crystals.n_crystals, dtype=bool)
    for k in range(crystals.n_crystals):
        atoms = slice(first[k], first[k + 1])
        structure = Structure(Lattice(crystals.lattice[k]), crystals.numbers[atoms], crystals.frac_coords[atoms])
        same[k] = graph_of(structure).num_edges == n_edges[k]
    return same
