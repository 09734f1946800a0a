"""Networks on batches of a few fixed sizes: one copy to the device, and kernels that are launched together.

A GPU is done with a small kernel before the next one is launched. A CUDA graph launches all of them at once, but holds
for fixed shapes and addresses only. So orbits, atoms and edges are filled up to the next size of a bucket with ones
that nothing real looks at: edges of weight 0 from and to atoms of a crystal of its own. Arrays of a batch lie one
behind the other in host memory that is locked in place, so that the device fetches them while this process goes on.

On a CPU the same is computed without a graph: to test it, and to try a benchmark where there is no GPU.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor as TorchTensor

from models.gmtnet.network import GMTNet, Outputs
from models.gmtnet.torch_graph import INDICES, NUMBERS, Features, TorchGraph
from models.symmetry.orbits import IdealizedGraph

SMALLEST = 64
"""Orbits, atoms and edges of a bucket at least."""

STEPS = 2
"""Sizes of a bucket from one size to its double."""

MOST_FILLED_UP = 2 ** (1 / STEPS)
"""How many times as large as its batch a bucket may be."""

SLOTS = 32
"""Edges per atom come in multiples of it."""

Described = list[tuple[Features, TorchTensor]]
"""Mean features of each network, as of `GMTNet.describe`."""

Capture = Callable[[Callable[[], Described]], Callable[[], Described]]
"""Takes what a function does to fixed arrays, and returns what does it again."""


@dataclass(frozen=True)
class Bucket:
    """A size of batches.

    Attributes:
        n_crystals, n_orbits, n_atoms, n_edges: of the batch with what fills it up.
        n_slots: edges of an atom at most.
    """

    n_crystals: int
    n_orbits: int
    n_atoms: int
    n_edges: int
    n_slots: int

    @staticmethod
    def holding(graph: IdealizedGraph) -> "Bucket":
        """The smallest bucket for a graph, with room for at least one more crystal, orbit and atom."""
        n_orbits, n_atoms = len(graph.numbers), len(graph.orbit_of_atom)
        rounded = _rounded(n_orbits + 1)
        # as many orbits as atoms would say that every atom is an orbit of its own
        atoms = rounded if n_orbits == n_atoms else max(_rounded(n_atoms + 1), rounded + 1)
        n_slots = SLOTS * max(1, -(-graph.most_edges // SLOTS))
        # of crystals there are few arrays: fewer sizes of them are fewer buckets
        return Bucket(_rounded(graph.n_crystals + 1, 1), rounded, atoms, _rounded(len(graph.center)), n_slots)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the arrays of a graph, by their names."""
        of_orbits, of_atoms, of_edges = (self.n_orbits,), (self.n_atoms,), (self.n_edges,)
        return {
            **dict.fromkeys(("numbers", "crystal_of_orbit", "share"), of_orbits),
            "orbit_of_atom": of_atoms,
            "rotations": (*of_atoms, 3, 3),
            **dict.fromkeys(("center", "neighbor", "scaled_distance"), of_edges),
            "vector": (*of_edges, 3),
        }


def _rounded(n: int, n_steps: int = STEPS) -> int:
    """The next of the sizes of buckets, so many of which double a size."""
    return math.ceil(2 ** (math.ceil(n_steps * math.log2(max(n, SMALLEST))) / n_steps))


class _Arrays:
    """The arrays of a bucket on the host and on a device."""

    def __init__(self, bucket: Bucket, device: str, dtype: torch.dtype) -> None:
        self.bucket, on_gpu = bucket, device != "cpu"
        self.blocks: list[tuple[TorchTensor, TorchTensor]] = []
        self.host: dict[str, TorchTensor] = {}
        self.device: dict[str, TorchTensor] = {}
        for names, kind in ((INDICES, torch.int32), (NUMBERS, dtype)):
            n = sum(math.prod(bucket.shapes[name]) for name in names)
            block = torch.empty(n, dtype=kind, pin_memory=on_gpu), torch.empty(n, dtype=kind, device=device)
            self.blocks.append(block)
            self.host |= _views(block[0], names, bucket)
            self.device |= _views(block[1], names, bucket)
        self._copied = torch.cuda.Event() if on_gpu else None

    def fill(self, graph: IdealizedGraph) -> None:
        """Puts a graph into the arrays and begins their copy to the device."""
        if self._copied is not None:
            self._copied.synchronize()  # the batch before may still be on its way
        bucket, n_edges = self.bucket, len(graph.center)
        for name, array in self.host.items():
            values = torch.as_tensor(getattr(graph, name))
            array[: len(values)] = values
        n_orbits, n_atoms = len(graph.numbers), len(graph.orbit_of_atom)
        # hydrogen atoms of the last crystal, all images of the last orbit's
        for name, first, value in (
            ("numbers", n_orbits, 1),
            ("crystal_of_orbit", n_orbits, bucket.n_crystals - 1),
            ("share", n_orbits, 0),
            ("orbit_of_atom", n_atoms, bucket.n_orbits - 1),
            ("rotations", n_atoms, torch.eye(3)),
            ("neighbor", n_edges, bucket.n_atoms - 1),
            ("vector", n_edges, torch.tensor([1.0, 0.0, 0.0])),
            ("scaled_distance", n_edges, 1),  # at the cutoff, where the envelope is 0
        ):
            self.host[name][first:] = value
        # sums over an atom are slow where all edges lead to one
        left, room = bucket.n_edges - n_edges, bucket.n_orbits - n_orbits
        self.host["center"][n_edges:] = n_orbits + torch.arange(left) * room // max(left, 1)
        for host, device in self.blocks:
            device.copy_(host, non_blocking=True)
        if self._copied is not None:
            self._copied.record()

    def graph(self) -> TorchGraph:
        """What is on the device."""
        tensors = self.device | {name: self.device[name].long() for name in INDICES}
        return TorchGraph.of_orbits(tensors, self.bucket.n_crystals, self.bucket.n_slots)


def _views(block: TorchTensor, names: Sequence[str], bucket: Bucket) -> dict[str, TorchTensor]:
    """Arrays one behind the other in a block."""
    shapes = [bucket.shapes[name] for name in names]
    ends = pairwise(accumulate(map(math.prod, shapes), initial=0))
    return {name: block[a:b].view(shape) for name, shape, (a, b) in zip(names, shapes, ends, strict=True)}


class CudaCapture:
    """Captures CUDA graphs on the current device, all in one pool of memory: they are never launched at the same time.

    Not yet run on a GPU.
    """

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, compute: Callable[[], Described]) -> Callable[[], Described]:
        """Records what a function launches; nothing in it may wait for the device."""
        graph: Any = torch.cuda.CUDAGraph()
        # a capture that fails may leave its own stream as the current one
        with torch.cuda.stream(torch.cuda.current_stream()), torch.cuda.graph(graph, pool=self._pool):
            outputs = compute()

        def replay() -> Described:
            graph.replay()
            return outputs

        return replay


class PaddedNetworks:
    """Networks of one configuration on batches of fixed sizes.

    A bucket's first batch is computed kernel by kernel, its second one captured, all others launched as a whole. After
    a capture that fails, and when memory has run out, nothing is captured any more.

    Args:
        networks: on the device, for inference.
        device: "cuda", "cuda:1" or "cpu".
        dtype: of the networks.
        capture: how to capture; None captures nothing.
    """

    def __init__(
        self, networks: Sequence[GMTNet], device: str, dtype: torch.dtype, capture: Capture | None = None
    ) -> None:
        self._networks, self._device, self._dtype = networks, device, dtype
        self._capture = capture
        self._arrays: dict[Bucket, _Arrays] = {}
        self._captured: dict[Bucket, Callable[[], Described]] = {}

    def __call__(self, graph: IdealizedGraph) -> list[Outputs]:
        """Outputs of every network; see `GMTNet.forward`."""
        outputs = []
        with self._on_device():
            for network, (features, invariant) in zip(self._networks, self.describe(graph), strict=True):
                real = {kind: values[:, : graph.n_crystals] for kind, values in features.items()}
                # heads wait for the device (a matrix exponential looks at its matrix), and are small
                outputs.append(network.read(real, invariant[: graph.n_crystals]))
        return outputs

    def describe(self, graph: IdealizedGraph) -> Described:
        """Mean features of the crystals, and of what fills up the bucket; they hold until the next batch."""
        bucket = Bucket.holding(graph)
        is_first = bucket not in self._arrays
        with self._on_device():
            if is_first:
                self._arrays[bucket] = _Arrays(bucket, self._device, self._dtype)
            arrays = self._arrays[bucket]
            arrays.fill(graph)
            if not is_first and bucket not in self._captured:
                self._try_to_capture(arrays)
            return self._captured[bucket]() if bucket in self._captured else self._compute(arrays)

    def is_captured(self, graph: IdealizedGraph) -> bool:
        """True when a graph takes no memory any more: its bucket has its own."""
        return Bucket.holding(graph) in self._captured

    def forget(self) -> None:
        """Gives back the memory of all buckets, and keeps none for graphs from now on."""
        self._capture = None
        self._captured.clear()
        self._arrays.clear()

    def _compute(self, arrays: _Arrays) -> Described:
        graph = arrays.graph()
        return [network.describe(graph) for network in self._networks]

    def _try_to_capture(self, arrays: _Arrays) -> None:
        """Captures a bucket, or gives up capturing; whatever the reason, it can still be computed."""
        if self._capture is None:
            return
        try:
            self._captured[arrays.bucket] = self._capture(lambda: self._compute(arrays))
        except RuntimeError:  # a kernel that cannot be captured, or no memory for it
            self._capture = None
            self._captured.clear()

    @contextmanager
    def _on_device(self) -> Iterator[None]:
        """Launches what is inside on the networks' device, for inference."""
        with torch.inference_mode(), nullcontext() if self._device == "cpu" else torch.cuda.device(self._device):
            yield
