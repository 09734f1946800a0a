"""What each step from the plain network to the compiled one is worth: all of them but one, in turns.

Every form answers for the same candidates, in one thread, as processor time per crystal. Outputs are compared with
those of the plain network in float64 on the same idealised crystals: the largest difference over the largest component
of a tensor, in the median and at most over crystals.

    python -m benchmarks.network_steps --model gmtnet --n 480
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from benchmarks.speed.inputs import candidates_file, crystals_of
from benchmarks.speed.machine import described, machine
from benchmarks.speed.ratios import ratio, repeats
from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.graph import build_graph
from models.gmtnet.card import find_checkpoint
from models.gmtnet.compiled import batch as compiled_batch
from models.gmtnet.compiled import network as compiled_network
from models.gmtnet.network import GMTNet
from models.gmtnet.predictor import GMTNetPredictor
from models.gmtnet.torch_graph import TorchGraph
from models.quantities import Tensor
from models.symmetry.idealize import IdealizedCrystals, as_given, idealize
from models.symmetry.orbits import reduce_to_orbits
from models.symmetry.search import find_symmetry

Answers = dict[Tensor, Floats]
_BATCH = 128
"""Crystals at a time in the forms that are no part of the program."""


@dataclass(frozen=True)
class Form:
    """One way to compute the same.

    Attributes:
        name: for the table.
        run: answers for the crystals, tensors [n_crystals, ...].
    """

    name: str
    run: Callable[[], Answers]


def forms(model: str, given: CrystalBatch, ideal: IdealizedCrystals) -> Iterator[Form]:
    """The compiled network first, then each step left out, then the plain one.

    Args:
        model: name or checkpoint; of an ensemble the first network is measured, and all of them once.
        given: crystals.
        ideal: the same, idealised.
    """
    whole = GMTNetPredictor.load(find_checkpoint(model))[0]
    one = _predictor(whole, whole.networks[:1])
    yield Form("as screening does", lambda: _idealized(one, ideal))
    if len(whole.networks) > 1:
        yield Form(f"all {len(whole.networks)} networks", lambda: _idealized(whole, ideal))
    cells = as_given(ideal.crystals)
    yield Form("all atoms of primitive cells", lambda: _idealized(one, cells))
    yield Form("all atoms of the cells given", lambda: _idealized(one, as_given(given)))
    yield Form("radial functions computed", lambda: _patched(one, ideal, _without_tables(one)))
    yield Form("all edges at once", lambda: _patched(one, ideal, _edges_at_once(1 << 30)))
    yield Form("256 edges at once", lambda: _patched(one, ideal, _edges_at_once(256)))
    yield Form("fresh memory in every pass", lambda: _patched(one, ideal, _fresh_memory()))
    plain = one.networks[0]
    yield Form("plain network, one atom per orbit", lambda: _plain(plain, ideal.crystals, orbits=True))
    yield Form("plain network, all atoms of primitive cells", lambda: _plain(plain, ideal.crystals, orbits=False))
    yield Form("plain network, all atoms of the cells given", lambda: _plain(plain, given, orbits=False))


def _predictor(whole: GMTNetPredictor, networks: list[GMTNet]) -> GMTNetPredictor:
    return GMTNetPredictor(networks, whole.elements)


def _idealized(predictor: GMTNetPredictor, crystals: IdealizedCrystals) -> Answers:
    return {q: values[0] for q, values in predictor.predict_idealized(crystals).tensors.items()}


def _patched(predictor: GMTNetPredictor, crystals: IdealizedCrystals, patch: Any) -> Answers:
    with patch:
        return _idealized(predictor, crystals)


def _edges_at_once(n: int) -> Any:
    return mock.patch.object(compiled_batch, "EDGES_AT_ONCE", n)


def _without_tables(predictor: GMTNetPredictor) -> Any:
    """Radial features by the layer itself: Gaussians, two linear maps and softplus of every edge."""
    radial = predictor.networks[0].radial

    def computed(edges: Any, _tables: object, _steps: object, features: Any) -> None:
        lengths = torch.from_numpy(edges.lengths)
        spacing = radial.relative_centers[1] - radial.relative_centers[0]
        of_bond = torch.exp(-0.5 * ((lengths[:, 1:] - radial.relative_centers) / spacing) ** 2)
        of_length = torch.exp(-radial.gamma * (lengths[:, :1] - radial.centers) ** 2)
        total = radial.linear(of_length) + radial.relative(of_bond)  # type: ignore[misc]
        torch.from_numpy(features)[:] = torch.nn.functional.softplus(total)

    return mock.patch.object(compiled_network, "radial_features", computed)


@contextmanager
def _fresh_memory() -> Iterator[None]:
    """Arrays made anew for every use."""
    with mock.patch.object(compiled_batch.Workspace, "take", lambda _self, _name, *shape: torch.empty(*shape)):
        yield


def _plain(network: GMTNet, crystals: CrystalBatch, *, orbits: bool) -> Answers:
    """Answers of the plain network; graphs and orbits are made here too."""
    parts = []
    for rows in np.array_split(np.arange(crystals.n_crystals), max(1, crystals.n_crystals // _BATCH)):
        some = crystals.select(rows)
        graph: Any = build_graph(some, network.config.graph)
        graph = reduce_to_orbits(some, graph) if orbits else graph
        with torch.inference_mode():
            parts.append(network(TorchGraph.from_graph(graph, "cpu", torch.float32)))
    return {q: np.concatenate([part[q].double().numpy() for part in parts]) for q in network.config.tensors}


def measured(ways: list[Form], n_crystals: int, rounds: int) -> list[dict[str, Any]]:
    """Processor time of every form in µs per crystal, one after the other in every round."""
    times: dict[str, list[float]] = {way.name: [] for way in ways}
    for way in ways:
        way.run()  # what is compiled or loaded at first use is no cost of a crystal
    for _ in range(rounds):
        for way in ways:
            start = time.process_time()
            way.run()
            times[way.name].append(1e6 * (time.process_time() - start) / n_crystals)
    ours = times[ways[0].name]
    return [{"form": name, "us": repeats(each), "ratio": ratio(each, ours)} for name, each in times.items()]


def differences(model: str, ideal: IdealizedCrystals) -> dict[str, dict[str, float]]:
    """How far the compiled network is from the plain one in float64, relative to each tensor's largest component."""
    whole = GMTNetPredictor.load(find_checkpoint(model))[0]
    double = GMTNetPredictor.load_double(find_checkpoint(model))
    exact, compiled = double.predict_idealized(ideal).tensors, whole.predict_idealized(ideal).tensors
    found = {}
    for quantity, wanted in exact.items():
        axes = tuple(range(2, wanted.ndim))
        size = np.abs(wanted).max(axis=axes)
        # what symmetry forbids is zero up to rounding in both
        allowed = size > 1e-4 * size.max()
        error = np.abs(compiled[quantity] - wanted).max(axis=axes)[allowed] / size[allowed]
        found[quantity.value] = {"median": float(np.median(error)), "largest": float(error.max())}
    return found


def table(rows: list[dict[str, Any]]) -> str:
    """The table as Markdown."""
    lines = ["| form | µs per crystal (median) | times as screening does |", "|---|---:|---:|"]
    for row in rows:
        us, times = row["us"], row["ratio"]
        lines.append(f"| {row['form']} | {us['min']:,.0f} ({us['median']:,.0f}) | {times['of_minima']:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gmtnet")
    parser.add_argument("--candidates", type=Path)
    parser.add_argument("--n", type=int, default=480)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="JSON of the figures")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    crystals = crystals_of(candidates_file(asked.candidates, Path("runs")))
    chosen = np.random.default_rng(asked.seed).permutation(crystals.n_crystals)[: asked.n]
    given = crystals.select(np.sort(chosen))
    ideal = idealize(given, find_symmetry(given))
    rows = measured(list(forms(asked.model, given, ideal)), given.n_crystals, asked.rounds)
    apart = differences(asked.model, ideal)
    sys.stdout.write(table(rows) + "\n\nCompiled beside plain in float64, over the largest component:\n")
    for name, values in apart.items():
        sys.stdout.write(f"{name}: {values['median']:.1e} in the median, {values['largest']:.1e} at most\n")
    if asked.out:
        record = {"version": described(), "machine": machine(), "model": asked.model, "steps": rows, "apart": apart}
        asked.out.write_text(json.dumps(record, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
