"""Where networks compute: which device a name means, and how much of its memory one pass may fill.

On a GPU the size of a pass is measured, not assumed: a small first pass shows what an edge and an atom cost, the next
ones fill what is free. Cost is linear in atoms and edges, so a pass that keeps to the measured bytes per atom and to
the measured bytes per edge keeps to the budget, whatever its mixture. Atoms are those with edges: one of each orbit.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import ModelError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FIRST_ATOMS = 512
"""Of the pass that measures: large enough that what every pass needs does not count, small enough for any GPU."""

LARGEST_GROWTH = 8
"""A pass is at most so many times as large as any that was measured: nothing is concluded over farther distances."""

FILLED_SHARE = 0.8
"""Of the free memory; blocks of an allocator do not fit together without gaps."""

CONTEXT_BYTES = 700 << 20
"""Memory of a GPU that each process takes for itself, beside what torch counts."""


def resolve_device(device: str) -> str:
    """The device that a name means.

    Args:
        device: "auto" takes the GPU when there is one, else "cpu", "cuda" or "cuda:1".

    Raises:
        ModelError: it is no such name, or a GPU is asked for and there is none.
    """
    if device not in ("auto", "cpu", "cuda") and not device.removeprefix("cuda:").isdigit():
        raise ModelError(f"{device!r} is no device. Ask for auto, cpu, cuda or cuda:0, cuda:1 and so on.")
    has_gpu = torch.cuda.is_available()
    if device.startswith("cuda") and not has_gpu:
        raise ModelError(f"The device {device} is asked for and torch finds no GPU. Ask for cpu, or see `nvidia-smi`.")
    return ("cuda" if has_gpu else "cpu") if device == "auto" else device


def limit_gpu_share(share: float) -> None:
    """Leaves the rest of each GPU to the other processes on it; nothing where there is no GPU.

    Args:
        share: of a GPU's memory that this process may take.
    """
    if torch.cuda.is_available():
        for device in range(torch.cuda.device_count()):
            total = torch.cuda.get_device_properties(device).total_memory
            # Each process takes something that torch does not count.
            own = max(share - CONTEXT_BYTES / total, 0.01)
            torch.cuda.set_per_process_memory_fraction(min(own, 1.0), device)


class DeviceMemory(Protocol):
    """The memory of a device as passes see it."""

    def free_bytes(self) -> int:
        """What this process may still take."""

    def begin(self) -> None:
        """Begins to watch a pass."""

    def peak_bytes(self) -> int:
        """Most that the pass took, beyond what was taken when it began."""

    def empty_cache(self) -> None:
        """Gives back what torch keeps for later."""

    def widen(self, *, whole: bool) -> None:
        """Lets this process take the whole device, or only its share of it again."""

    def held_by_others(self) -> bool:
        """True when other processes hold memory of the device, which they may give back."""


class GpuMemory:
    """Memory of a GPU that several processes may share, each within its limit (`limit_gpu_share`).

    Args:
        device: "cuda" or "cuda:1".
    """

    def __init__(self, device: str) -> None:
        # Some of torch's functions take no device without a number.
        index = torch.device(device).index
        self._device = torch.cuda.current_device() if index is None else index
        self._own_share = self._share = torch.cuda.get_per_process_memory_fraction(self._device)
        self._before = 0

    def free_bytes(self) -> int:
        """Free for all, or of this process's share, whichever is less; with what torch keeps for later."""
        taken = torch.cuda.memory_allocated(self._device)
        kept = torch.cuda.memory_reserved(self._device) - taken
        free, total = torch.cuda.mem_get_info(self._device)
        return max(min(free + kept, int(self._share * total) - taken), 0)

    def begin(self) -> None:
        """Begins to watch a pass."""
        self._before = torch.cuda.memory_allocated(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)

    def peak_bytes(self) -> int:
        """Most that the pass took, beyond what was taken when it began."""
        return torch.cuda.max_memory_allocated(self._device) - self._before

    def empty_cache(self) -> None:
        """Gives back what torch keeps for later: other processes on this GPU may need it."""
        torch.cuda.empty_cache()

    def widen(self, *, whole: bool) -> None:
        """Lets this process take the whole device, or only its share of it again."""
        self._share = 1.0 if whole else self._own_share
        torch.cuda.set_per_process_memory_fraction(self._share, self._device)

    def held_by_others(self) -> bool:
        """True when other processes hold memory of the device, which they may give back."""
        free, total = torch.cuda.mem_get_info(self._device)
        return total - free - torch.cuda.memory_reserved(self._device) > CONTEXT_BYTES


@dataclass
class PassSize:
    """How many crystals go into the next pass: a fixed number of atoms, or as many as fit into measured memory.

    Attributes:
        most_atoms: of a pass whose memory is not measured.
        memory: of the device; None where it is not measured.
    """

    most_atoms: int
    memory: DeviceMemory | None = None
    _bytes_per_atom: float = 0.0
    _bytes_per_edge: float = 0.0
    _measured_atoms: int = 0
    _ceiling_atoms: float = np.inf

    def fitting(self, n_atoms: Ints | Floats, n_edges: Ints | Floats) -> int:
        """How many of the next crystals go into one pass, at least one.

        Args:
            n_atoms: of each crystal, shape [n_crystals].
            n_edges: of each crystal, shape [n_crystals].
        """
        atoms = np.cumsum(n_atoms)
        limit = self.most_atoms if self.memory is None else FIRST_ATOMS
        fits = atoms <= limit
        if self.memory is not None and self._measured_atoms:
            budget = FILLED_SHARE * self.memory.free_bytes()
            fits = (atoms * self._bytes_per_atom <= budget) & (np.cumsum(n_edges) * self._bytes_per_edge <= budget)
            fits &= atoms <= LARGEST_GROWTH * self._measured_atoms
        return max(1, int(np.count_nonzero(fits & (atoms <= self._ceiling_atoms))))

    @contextmanager
    def measured(self, n_atoms: int, n_edges: int) -> Iterator[None]:
        """Measures what the pass inside takes; a pass that fails measures nothing.

        Args:
            n_atoms: of the pass.
            n_edges: of the pass.
        """
        if self.memory is not None:
            self.memory.begin()
        yield
        # What once did not fit may fit again when other processes are done.
        self._ceiling_atoms *= 2
        # Of a small pass most is what every pass needs: it says nothing about the next atom.
        if self.memory is not None and 2 * n_atoms >= self._measured_atoms:
            peak = self.memory.peak_bytes()
            self._measured_atoms = max(self._measured_atoms, n_atoms)
            self._bytes_per_atom, self._bytes_per_edge = peak / n_atoms, peak / max(n_edges, 1)

    def out_of_memory(self, n_atoms: float) -> None:
        """Lets the next pass have half as many atoms at most, and gives back what torch kept.

        Args:
            n_atoms: of the pass that found no memory.
        """
        self._ceiling_atoms = n_atoms / 2
        if self.memory is not None:
            self.memory.empty_cache()
