"""Passes as large as memory allows: measured, not assumed, and no crystal given up for the size of another one."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from models.crystals.crystal import CrystalBatch
from models.errors import ModelError
from models.gmtnet import predictor
from models.gmtnet.config import GMTNET
from models.gmtnet.device import (
    CONTEXT_BYTES,
    FILLED_SHARE,
    FIRST_ATOMS,
    GpuMemory,
    PassSize,
    limit_gpu_share,
    resolve_device,
)
from models.gmtnet.predictor import GMTNetPredictor
from models.reference.crystals import textbook_crystals
from tests.models.gmtnet.untrained import untrained


@dataclass
class FakeMemory:
    """A device of `total` bytes of which `share` are this process's; passes say themselves what they take."""

    total: float
    share: float = 1.0
    taken: float = 0.0
    peaks: list[float] = field(default_factory=list)
    whole: bool = False
    n_emptied: int = 0
    others: float = 0.0

    def free_bytes(self) -> int:
        return int((1.0 if self.whole else self.share) * self.total - self.others)

    def held_by_others(self) -> bool:
        return self.others > 0

    def begin(self) -> None:
        self.taken = 0.0

    def peak_bytes(self) -> int:
        return int(self.taken)

    def empty_cache(self) -> None:
        self.n_emptied += 1

    def widen(self, *, whole: bool) -> None:
        self.whole = whole

    def take(self, n_bytes: float) -> None:
        """What a pass does to the memory.

        Raises:
            torch.OutOfMemoryError: it does not fit.
        """
        if n_bytes > self.free_bytes():
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total ...")
        self.taken = n_bytes
        self.peaks.append(n_bytes)


@given(
    st.floats(1e3, 1e6),
    st.floats(1e3, 1e6),
    st.integers(0, 1 << 30),
    st.integers(1000, 8000),
)
@settings(max_examples=60, deadline=None)
def test_passes_fill_what_is_measured_and_never_more(
    per_atom: float, per_edge: float, seed: int, room_atoms: int
) -> None:
    rng = np.random.default_rng(seed)
    n_atoms = np.sort(rng.integers(1, 60, 600))
    n_edges = n_atoms * rng.integers(8, 60, 600)
    # Room for so many atoms of the costliest kind.
    memory = FakeMemory(total=room_atoms * (per_atom + 60 * per_edge))
    size, start = PassSize(512, memory), 0
    sizes = []
    while start < len(n_atoms):
        n = size.fitting(n_atoms[start:], n_edges[start:])
        rows = slice(start, start + n)
        with size.measured(int(n_atoms[rows].sum()), int(n_edges[rows].sum())):
            memory.take(float(per_atom * n_atoms[rows].sum() + per_edge * n_edges[rows].sum()))
        sizes.append(int(n_atoms[rows].sum()))
        start += n
    assert max(memory.peaks) <= FILLED_SHARE * memory.total + 1
    assert sizes[0] <= FIRST_ATOMS
    if len(sizes) > 4:
        # Before the last pass, which takes what is left, every one but the first steps is worth its start.
        assert max(memory.peaks[2:-1]) > 0.1 * memory.total


def test_without_measured_memory_a_pass_has_its_number_of_atoms_and_a_large_crystal_one_of_its_own() -> None:
    size = PassSize(10)
    atoms = np.array([4, 4, 4, 30, 2])
    assert [size.fitting(atoms[k:], np.zeros(5 - k)) for k in range(5)] == [2, 2, 1, 1, 1]


@contextmanager
def costing(network: nn.Module, memory: FakeMemory, bytes_per_edge: float) -> Iterator[list[int]]:
    """A network whose passes take memory by their edges; yields the number of crystals of each that was tried."""
    tried: list[int] = []

    def take(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        tried.append(inputs[0].n_crystals)
        memory.take(bytes_per_edge * inputs[0].ends.shape[1])

    handle = network.register_forward_pre_hook(take)
    try:
        yield tried
    finally:
        handle.remove()


@pytest.fixture(scope="module")
def crystals() -> CrystalBatch:
    return textbook_crystals().crystals


def edges_of(crystals: CrystalBatch) -> int:
    return len(untrained(GMTNET).build_graph(crystals, GMTNET.graph, None).center)


def test_after_an_out_of_memory_halves_are_tried_and_every_crystal_has_its_numbers(crystals: CrystalBatch) -> None:
    plain = untrained(GMTNET)
    expected = plain.predict(crystals)
    largest = max(edges_of(crystals.select([k])) for k in range(crystals.n_crystals))
    memory = FakeMemory(total=1.5 * largest)
    cramped = GMTNetPredictor(plain.networks, plain.elements, pass_size=PassSize(512, memory))
    with costing(plain.networks[0], memory, 1.0) as tried:
        answers = cramped.predict(crystals)
    assert tried[0] == crystals.n_crystals and tried[1] < tried[0], "the first pass is too large, the next one smaller"
    assert memory.n_emptied > 0 and not memory.whole
    for quantity, tensors in expected.items():
        np.testing.assert_allclose(answers[quantity], tensors, rtol=1e-4, atol=1e-5 * np.abs(tensors).max())


@pytest.mark.parametrize(("room", "outcome"), [(1.01, nullcontext()), (0.5, pytest.raises(torch.OutOfMemoryError))])
def test_a_crystal_beyond_its_share_gets_the_whole_device_and_one_beyond_that_is_out_of_memory(
    crystals: CrystalBatch, room: float, outcome: AbstractContextManager[Any]
) -> None:
    plain, one = untrained(GMTNET), crystals.select([0])
    memory = FakeMemory(total=room * edges_of(one), share=0.25)
    cramped = GMTNetPredictor(plain.networks, plain.elements, pass_size=PassSize(512, memory))
    with costing(plain.networks[0], memory, 1.0) as tried, outcome:
        cramped.predict(one)
    assert tried[:2] == [1, 1] and not memory.whole, "the share is its own again"


def test_memory_that_other_processes_hold_is_waited_for(
    crystals: CrystalBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, one = untrained(GMTNET), crystals.select([0])
    memory, waited = FakeMemory(total=1.01 * edges_of(one), share=0.25), list[float]()

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        memory.others = 0.0 if len(waited) > 1 else memory.total / 2

    memory.others = memory.total / 2
    monkeypatch.setattr(predictor.time, "sleep", sleep)
    cramped = GMTNetPredictor(plain.networks, plain.elements, pass_size=PassSize(512, memory))
    with costing(plain.networks[0], memory, 1.0):
        cramped.predict(one)
    assert len(waited) == 2


def test_a_process_counts_its_share_of_a_gpu_and_what_others_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch's own functions, with made-up answers: 100 GiB of which 30 are free, 20 taken here and 10 kept here."""
    gib, shares = 1 << 30, dict[int, float]()
    answers: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "current_device": lambda: 0,
        "get_device_properties": lambda device: SimpleNamespace(total_memory=100 * gib),
        "mem_get_info": lambda device: (30 * gib, 100 * gib),
        "memory_allocated": lambda device: 20 * gib,
        "memory_reserved": lambda device: 30 * gib,
        "max_memory_allocated": lambda device: 25 * gib,
        "reset_peak_memory_stats": lambda device: None,
        "set_per_process_memory_fraction": lambda share, device: shares.__setitem__(device, share),
        "get_per_process_memory_fraction": lambda device: shares[device],
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    limit_gpu_share(0.5)
    assert set(shares) == {0, 1} and shares[0] == pytest.approx(0.5 - CONTEXT_BYTES / (100 * gib))
    memory = GpuMemory("cuda")
    assert memory.free_bytes() == int(shares[0] * 100 * gib) - 20 * gib, "its share, though more is free"
    memory.begin()
    assert memory.peak_bytes() == 5 * gib
    assert memory.held_by_others(), "70 GiB are taken, 30 of them here"
    memory.widen(whole=True)
    assert memory.free_bytes() == 40 * gib and shares[0] == 1.0, "what is free and what torch keeps"
    memory.widen(whole=False)
    assert memory.free_bytes() < 30 * gib and shares[0] < 0.5
    assert GpuMemory("cuda:1").free_bytes() < 30 * gib


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", ""])
def test_a_name_that_is_no_device_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match="is no device. Ask for auto, cpu, cuda"):
        resolve_device(name)


def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == "cpu"
    with pytest.raises(ModelError, match="cuda:1 is asked for and torch finds no GPU"):
        resolve_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [resolve_device(name) for name in ("auto", "cpu", "cuda:1")] == ["cuda", "cpu", "cuda:1"]
