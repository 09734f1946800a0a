"""SevenNet-l3i5, a universal interatomic potential, from the `sevenn` package with weights that ship with gmtscreen."""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from models.crystals.crystal import SYMBOLS, CrystalBatch
from models.crystals.neighbors import Neighbors, find_neighbors
from models.potential.fused_network import FusedNetwork, Pairs
from models.potential.interface import EV_PER_A3_IN_GPA, Evaluation, PotentialError

_CARD = Path(__file__).parents[1] / "weights" / "sevennet-l3i5.json"
_MAX_EDGES = 20_000  # of one pass


def _build(card: dict[str, Any], weights: dict[str, torch.Tensor], dtype: torch.dtype) -> Any:
    """SevenNet's own network with the given weights."""
    try:
        from sevenn.model_build import build_E3_equivariant_model
    except ImportError as error:
        raise PotentialError(
            f'SevenNet cannot be loaded: {error}. Install it with: pip install "gmtscreen[refine]".'
        ) from error
    config = dict(card["config"])
    config["_type_map"] = {int(z): row for z, row in config["_type_map"].items()}
    config["shift"] = weights["rescale_atomic_energy.shift"].tolist()
    config["scale"] = weights["rescale_atomic_energy.scale"].tolist()
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        network = build_E3_equivariant_model(config)
    finally:
        torch.set_default_dtype(before)
    network = network.to(dtype)
    network.load_state_dict(network.state_dict() | weights)
    return network.eval().requires_grad_(False)


class SevenNet:
    """SevenNet-l3i5 as a `Potential`.

    Args:
        device: "cpu" or "cuda".
        dtype: of the network, "float32" or "float64".
    """

    def __init__(self, *, device: str = "cpu", dtype: str = "float32") -> None:
        card = json.loads(_CARD.read_text(encoding="utf-8"))
        path = _CARD.with_suffix(".safetensors")
        if hashlib.sha256(path.read_bytes()).hexdigest() != card["sha256"]:
            raise PotentialError(f"{path} is not the file its card describes. Restore it.")
        self.name: str = card["name"]
        self.version: str = card["version"]
        self.sha256: str = card["sha256"]
        self._card = card
        self._device = torch.device(device)
        self._dtype = {"float32": torch.float32, "float64": torch.float64}[dtype]
        self._network = _build(card, load_file(path), self._dtype).to(self._device)
        self._fused = FusedNetwork(self._network)
        self._rows = torch.full((len(SYMBOLS),), -1, dtype=torch.int64)
        for z, row in card["config"]["_type_map"].items():
            self._rows[int(z)] = row

    @cached_property
    def elements(self) -> frozenset[int]:
        """The 89 atomic numbers of its training data."""
        return frozenset(int(z) for z in self._card["config"]["_type_map"])

    def evaluate(self, crystals: CrystalBatch) -> Evaluation:
        """Energies, forces and stresses, in passes of at most so many edges as fit into the caches and memory."""
        unknown = sorted({int(z) for z in crystals.numbers} - self.elements)
        if unknown:
            raise PotentialError(f"SevenNet-l3i5 does not know {', '.join(SYMBOLS[z] for z in unknown)}.")
        cutoff = np.full(crystals.n_crystals, self._card["config"]["cutoff"])
        edges = find_neighbors(crystals.lattice, crystals.frac_coords, crystals.crystal_of_atom, cutoff)
        crystal_of_edge = crystals.crystal_of_atom[edges.center]
        ends = np.cumsum(np.bincount(crystal_of_edge, minlength=crystals.n_crystals))
        energy = np.zeros(crystals.n_crystals)
        forces = np.zeros((len(crystals.numbers), 3))
        stress = np.zeros((crystals.n_crystals, 3, 3))
        start = 0
        while start < crystals.n_crystals:
            done = ends[start - 1] if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, done + _MAX_EDGES, side="right")))
            atoms = slice(crystals.first_atom[start], crystals.first_atom[stop])
            part = edges.take(np.arange(done, ends[stop - 1]))
            part = part._replace(center=part.center - atoms.start, neighbor=part.neighbor - atoms.start)
            owner = crystals.crystal_of_atom[atoms] - start
            energy[start:stop], forces[atoms], stress[start:stop] = self._pass(
                part, crystals.numbers[atoms], owner, stop - start
            )
            start = stop
        volume = np.abs(np.linalg.det(crystals.lattice))
        return Evaluation(energy, forces, stress / volume[:, None, None] * EV_PER_A3_IN_GPA)

    def _pass(
        self, edges: Neighbors, numbers: NDArray[np.int64], owner: NDArray[np.int64], n_crystals: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Energy, forces and virial of crystals that are computed at once."""
        pairs = Pairs.of(edges, len(numbers))
        once = pairs.neighbors
        vector = torch.as_tensor(once.vector, dtype=self._dtype).requires_grad_()
        atomic = self._fused.atomic_energies(vector, self._rows[torch.as_tensor(numbers)], pairs.edges)
        gradient = torch.zeros_like(vector)
        if len(once.center):
            (gradient,) = torch.autograd.grad(atomic.sum(), vector)
        per_pair = gradient.double().numpy()
        energy = np.bincount(owner, weights=atomic.detach().numpy(), minlength=n_crystals)
        forces = np.zeros((len(numbers), 3))
        np.add.at(forces, once.center, per_pair)
        np.subtract.at(forces, once.neighbor, per_pair)
        virial = np.zeros((n_crystals, 3, 3))
        np.add.at(virial, owner[once.center], once.vector[:, :, None] * per_pair[:, None, :])
        return energy, forces, (virial + virial.transpose(0, 2, 1)) / 2
