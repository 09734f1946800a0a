"""Batches of fixed sizes: what fills them up changes nothing, and what cannot be captured is computed all the same."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from models.crystals.crystal import CrystalBatch, Floats
from models.crystals.graph import build_graph
from models.gmtnet import padded
from models.gmtnet.config import GMTNET, GMTNET_PAPER, GMTNetConfig
from models.gmtnet.device import PassSize
from models.gmtnet.network import Outputs
from models.gmtnet.padded import Bucket, Described, PaddedNetworks
from models.gmtnet.predictor import GMTNetPredictor
from models.gmtnet.torch_graph import INDICES, TorchGraph
from models.quantities import Tensor
from models.symmetry.idealize import as_given, idealize
from models.symmetry.orbits import IdealizedGraph, graph_as_given, idealized_graph
from models.symmetry.search import find_symmetry
from models.testing.contract import crystals_of_all_classes, textbook_crystals
from tests.models.gmtnet.test_device import FakeMemory
from tests.models.gmtnet.untrained import fresh_network, untrained

CONFIGS = pytest.mark.parametrize("config", [GMTNET, GMTNET_PAPER], ids=["default", "paper"])
CRYSTALS = CrystalBatch.join([textbook_crystals().crystals, crystals_of_all_classes(seed=5).crystals])
IDEAL = idealize(CRYSTALS, find_symmetry(CRYSTALS))
GRAPH = idealized_graph(IDEAL, GMTNET.graph)


def plain(graph: IdealizedGraph, dtype: torch.dtype = torch.float64, config: GMTNetConfig = GMTNET) -> Outputs:
    """Outputs of a batch that nothing fills up."""
    with torch.inference_mode():
        outputs: Outputs = fresh_network(config, dtype)(TorchGraph.from_graph(graph, "cpu", dtype))
        return outputs


def filled_up(
    graph: IdealizedGraph, dtype: torch.dtype = torch.float64, networks: PaddedNetworks | None = None
) -> Outputs:
    """Outputs of the same batch in a bucket."""
    return (networks or PaddedNetworks([fresh_network(GMTNET, dtype)], "cpu", dtype))(graph)[0]


def largest_error(got: Outputs, wanted: Outputs) -> float:
    """Largest difference of any output, as a share of that output's largest value."""
    return max(float((got[q] - values).abs().max() / values.abs().max()) for q, values in wanted.items())


@CONFIGS
def test_orbits_of_idealized_crystals_of_all_classes_say_what_all_their_atoms_say(config: GMTNetConfig) -> None:
    some = IDEAL if config is GMTNET else IDEAL.select(np.arange(0, IDEAL.crystals.n_crystals, 4))
    batch, model = some.crystals, untrained(config, torch.float64)
    assert len(idealized_graph(some, config.graph).numbers) < 0.5 * len(batch.numbers)
    outputs, (tensors, scalars) = model.predict_idealized(some), model.predict_with_scalars(batch)
    for name, values in {**tensors, **scalars}.items():
        got: Floats = {**outputs.tensors, **outputs.scalars}[name]
        assert np.abs(got - values).max() < 1e-9 * np.abs(values).max()


def test_without_the_rotations_of_the_other_atoms_it_is_wrong() -> None:
    """Negative control, of a rotation and of the sign of an improper one."""
    wanted = plain(GRAPH)
    straight = np.tile(np.eye(3), (len(GRAPH.rotations), 1, 1))
    assert largest_error(plain(replace(GRAPH, rotations=straight)), wanted) > 1e-3
    proper = GRAPH.rotations * np.linalg.det(GRAPH.rotations)[:, None, None]
    assert largest_error(plain(replace(GRAPH, rotations=proper)), wanted) > 1e-3


def test_a_part_of_a_graph_is_the_graph_of_these_crystals() -> None:
    part, alone = GRAPH.part(5, 17), idealized_graph(IDEAL.select(np.arange(5, 17)), GMTNET.graph)
    for name in padded.INDICES + padded.NUMBERS:
        np.testing.assert_allclose(getattr(part, name), getattr(alone, name), atol=1e-12)
    assert part.n_crystals == 12 and GRAPH.part(0, GRAPH.n_crystals).n_crystals == IDEAL.crystals.n_crystals


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_what_fills_up_a_batch_changes_nothing(dtype: torch.dtype, tolerance: float) -> None:
    bucket = Bucket.holding(GRAPH)
    # no empty promise: there is something that fills it up
    assert bucket.n_orbits > len(GRAPH.numbers) and bucket.n_edges > 1.02 * len(GRAPH.center)
    real = GRAPH.part(0, textbook_crystals().crystals.n_crystals)
    assert largest_error(filled_up(real, dtype), plain(real, dtype)) < tolerance
    if dtype is torch.float64:  # impossible bonds of random crystals make float32 no better than 1e-4
        assert largest_error(filled_up(GRAPH), plain(GRAPH)) < tolerance
    for values in filled_up(GRAPH, dtype).values():
        assert torch.isfinite(values).all() and len(values) == GRAPH.n_crystals


def test_networks_without_an_envelope_whose_edges_all_weigh_alike_fill_up_too() -> None:
    paper = idealized_graph(IDEAL.select(np.arange(6)), GMTNET_PAPER.graph)
    networks = PaddedNetworks([fresh_network(GMTNET_PAPER)], "cpu", torch.float64)
    assert largest_error(filled_up(paper, networks=networks), plain(paper, config=GMTNET_PAPER)) < 1e-12


def test_edges_with_a_weight_to_a_real_atom_would_change_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: neither is the weight of the edges that fill up a batch unseen, nor where they lead."""
    fill = padded._Arrays.fill

    def fill_wrongly(self: padded._Arrays, graph: IdealizedGraph, *, weighed: bool) -> None:
        fill(self, graph)
        n_edges, host, device = len(graph.center), self.host, self.device
        host["center"][n_edges:] = len(graph.numbers) - 1
        host["scaled_distance"][n_edges:] = 0.5 if weighed else 1.0
        for name, values in host.items():
            device[name].copy_(values)

    errors = {}
    for weighed in (False, True):
        monkeypatch.setattr(padded._Arrays, "fill", lambda self, graph, w=weighed: fill_wrongly(self, graph, weighed=w))
        errors[weighed] = largest_error(filled_up(GRAPH), plain(GRAPH))
    # without weight even edges of a real atom are harmless as long as they find a slot of the table
    assert errors[True] > 1e-3 and errors[True] > 10 * errors[False]


def test_more_edges_than_the_last_atom_has_room_for_may_fill_up_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    part = GRAPH.part(0, 8)
    bucket = Bucket.holding(part)
    narrow = replace(bucket, n_orbits=len(part.numbers) + 1, n_edges=len(part.center) + 3 * bucket.n_slots)
    monkeypatch.setattr(Bucket, "holding", lambda graph: narrow)
    assert largest_error(filled_up(part), plain(part)) < 1e-12


def test_a_bucket_that_was_used_before_holds_nothing_of_the_earlier_batch() -> None:
    networks = PaddedNetworks([fresh_network(GMTNET)], "cpu", torch.float64)
    buckets = set()
    for stop in (40, 39, 40, 38):
        part = GRAPH.part(3, stop)
        buckets.add(Bucket.holding(part))
        assert largest_error(filled_up(part, networks=networks), plain(part)) < 1e-12
    assert len(buckets) < 4, "some were used again"


def test_orbits_stay_orbits_where_they_are_rounded_to_as_many_as_the_atoms() -> None:
    of = np.diff(GRAPH.starts[0]), np.diff(GRAPH.starts[1])
    few = int(np.flatnonzero((of[0] < of[1]) & (of[1] < padded.SMALLEST))[0])
    part = GRAPH.part(few, few + 1)
    bucket = Bucket.holding(part)
    assert len(part.numbers) < len(part.orbit_of_atom) < padded.SMALLEST < bucket.n_atoms
    assert bucket.n_orbits < bucket.n_atoms
    assert largest_error(filled_up(part), plain(part)) < 1e-12


def test_crystals_of_which_each_atom_is_an_orbit_fill_up_alike() -> None:
    given = as_given(CRYSTALS.select(np.arange(12)))
    graph = idealized_graph(given, GMTNET.graph)
    bucket = Bucket.holding(graph)
    assert bucket.n_orbits == bucket.n_atoms
    everything = graph_as_given(given.crystals, build_graph(given.crystals, GMTNET.graph))
    assert largest_error(filled_up(graph), plain(everything)) < 1e-12


class FakeCapture:
    """Captures as a GPU does: what is computed later is what the arrays hold then, in the arrays of the first time."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails, self.n, self.n_replays = fails, 0, 0

    def __call__(self, compute: Callable[[], Described]) -> Callable[[], Described]:
        self.n += 1
        if self.fails:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        outputs = compute()

        def replay() -> Described:
            self.n_replays += 1
            for (features, invariant), (others, other) in zip(outputs, compute(), strict=True):
                for kind, values in others.items():
                    features[kind].copy_(values)
                invariant.copy_(other)
            return outputs

        return replay


def test_a_bucket_is_captured_when_it_is_used_again_and_launched_from_then_on() -> None:
    capture = FakeCapture()
    networks = PaddedNetworks([fresh_network(GMTNET)], "cpu", torch.float64, capture)
    parts = [GRAPH.part(0, 8), GRAPH.part(0, 30)]
    assert Bucket.holding(parts[0]) != Bucket.holding(parts[1])
    for count, part in enumerate([parts[0], parts[1], parts[0], parts[0], parts[1]]):
        assert largest_error(filled_up(part, networks=networks), plain(part)) < 1e-12
        assert capture.n == (0, 0, 1, 1, 2)[count]
        assert networks.is_captured(parts[0]) == (count >= 2)
    assert capture.n_replays == 3
    networks.forget()
    for _ in range(2):
        assert largest_error(filled_up(parts[0], networks=networks), plain(parts[0])) < 1e-12
    assert capture.n == 2 and not networks.is_captured(parts[0])


def test_after_a_capture_that_fails_everything_is_computed_kernel_by_kernel() -> None:
    capture = FakeCapture(fails=True)
    networks = PaddedNetworks([fresh_network(GMTNET)], "cpu", torch.float64, capture)
    part = GRAPH.part(0, 8)
    for _ in range(4):
        assert largest_error(filled_up(part, networks=networks), plain(part)) < 1e-12
    assert capture.n == 1 and not networks.is_captured(part)


def test_what_is_captured_never_waits_for_the_device() -> None:
    """On torch's device without memory whatever asks for a value fails, as it does while a GPU captures."""
    bucket, network = Bucket.holding(GRAPH), untrained(GMTNET).networks[0]
    shapes = {name: torch.int64 if name in INDICES else torch.float32 for name in bucket.shapes}
    tensors = {name: torch.empty(bucket.shapes[name], dtype=kind, device="meta") for name, kind in shapes.items()}
    nowhere = type(network)(network.config).to("meta").eval()
    features, invariant = nowhere.describe(TorchGraph.of_orbits(tensors, bucket.n_crystals, bucket.n_slots))
    assert invariant.shape == (bucket.n_crystals, GMTNET.channels)
    with pytest.raises((RuntimeError, NotImplementedError)):  # control: the heads wait
        nowhere.read(features, invariant)


def test_a_predictor_on_buckets_loses_no_crystal_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = untrained(GMTNET)
    expected = model.predict_idealized(IDEAL)
    n_edges = np.diff(GRAPH.starts[2])
    memory = FakeMemory(total=4.0 * n_edges.max())
    cramped = GMTNetPredictor(model.networks, model.elements, pass_size=PassSize(512, memory))
    cramped._padded = PaddedNetworks(model.networks, "cpu", torch.float32, FakeCapture())
    cramped.__dict__["_compiled"] = []
    tried, kept = list[int](), list[int]()
    monkeypatch.setattr(memory, "empty_cache", lambda: kept.append(len(cramped._padded._arrays)))

    def take(_: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        tried.append(len(inputs[0]))
        memory.take(float(len(inputs[0])))

    handle = model.networks[0].radial.register_forward_pre_hook(take)
    try:
        outputs = cramped.predict_idealized(IDEAL)
    finally:
        handle.remove()
    assert set(kept) == {0}, "buckets give back their memory before others are tried"
    assert max(tried) > memory.total >= max(memory.peaks)
    for name, tensors in expected.tensors.items():
        np.testing.assert_allclose(outputs.tensors[name], tensors, rtol=1e-3, atol=1e-4 * np.abs(tensors).max())


def test_passes_keep_to_memory_whatever_fills_up_their_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory by the edges of the bucket; the first pass measures, no later one is too large."""
    model, rows = untrained(GMTNET), np.tile(np.arange(IDEAL.crystals.n_crystals), 40)
    many = IDEAL.select(rows)
    memory = FakeMemory(total=16_000.0)
    cramped = GMTNetPredictor(model.networks, model.elements, pass_size=PassSize(512, memory))
    cramped._padded = networks = PaddedNetworks(model.networks, "cpu", torch.float32)
    cramped.__dict__["_compiled"] = []
    filled: list[float] = []

    def take(graph: IdealizedGraph) -> list[Outputs]:
        bucket = Bucket.holding(graph)
        filled.append(bucket.n_edges / len(graph.center))
        memory.take(bucket.n_edges)
        return [{Tensor.ELASTIC: torch.zeros(graph.n_crystals, 21)}]

    monkeypatch.setattr(PaddedNetworks, "__call__", lambda self, graph: take(graph))
    monkeypatch.setattr(cramped, "_outputs", lambda outputs: outputs)
    outputs = cramped.predict_idealized(many)
    assert networks is cramped._padded and outputs[Tensor.ELASTIC].shape == (1, len(rows), 21)
    assert memory.n_emptied == 0 and len(filled) > 6 and max(filled) > 1.2
    assert 0.5 * memory.total < max(memory.peaks) <= memory.total
