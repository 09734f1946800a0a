"""SevenNet-l3i5, a universal interatomic potential: the network of the `sevenn` package, weights in models/weights.

The weights are those of the package, as safetensors (benchmarks/potential/convert_sevennet.py): nothing is unpickled.
What they were trained on and what they are known to get wrong stands in models/weights/SEVENNET.md.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from safetensors.torch import load

from models.crystals.crystal import SYMBOLS, CrystalBatch, Floats, Ints
from models.crystals.neighbors import Neighbors, find_neighbors
from models.potential.card import CARD
from models.potential.fused.pairs import Pairs
from models.potential.interface import EV_PER_A3_IN_GPA, Evaluation, PotentialError

_EDGES_PER_PASS = {"fused": 3_000, "plain": 8_000}
"""What keeps a fused pass in the caches of a CPU, a plain one below 4 GB; a crystal of more has a pass of its own."""


class _Network(Protocol):
    def atomic_energies(self, vectors: torch.Tensor, rows: torch.Tensor, pairs: Pairs) -> torch.Tensor:
        """Energy of each atom in eV from the vectors of pairs in angstrom and the rows of the atoms' elements."""


class SevenNet:
    """SevenNet-l3i5 as a `models.potential.interface.Potential`.

    It is equivariant under rotations and translations, not under reflections: see `models.potential.mirrored`. On a CPU
    the convolutions are fused (`models.potential.fused`); elsewhere `sevenn`'s own are used.

    Args:
        device: "cpu", "cuda" or "cuda:1".
        dtype: of the network, "float32", in which it was trained, or "float64".
        fused: False takes `sevenn`'s own convolutions on a CPU too, fifteen times slower.

    Attributes:
        name, version, sha256: of the weights.
        elements: the 89 atomic numbers of the training data.

    Raises:
        PotentialError: `sevenn` or numba is missing, the weights are damaged, or there is no such device.
    """

    def __init__(self, *, device: str = "cpu", dtype: str = "float32", fused: bool = True) -> None:
        card, weights = _read(CARD)
        self.name: str = card["name"]
        self.version: str = card["version"]
        self.sha256: str = card["sha256"]
        type_map = {int(z): row for z, row in card["config"]["_type_map"].items()}
        self.elements = frozenset(type_map)
        self._cutoff = float(card["config"]["cutoff"])
        self._dtype = {"float32": torch.float32, "float64": torch.float64}[dtype]
        self._device = torch.device(device)
        if self._device.type == "cuda" and not torch.cuda.is_available():
            raise PotentialError(f"The device {device} is asked for and torch finds no GPU. Ask for cpu.")
        is_fused = fused and self._device.type == "cpu"
        self._edges_per_pass = _EDGES_PER_PASS["fused" if is_fused else "plain"]
        with _missing_packages_named():
            network = _build(card["config"] | {"_type_map": type_map}, weights, self._dtype, optimize=not is_fused)
            if is_fused:
                from models.potential.fused.network import FusedNetwork  # numba is needed for this one only

                self._network: _Network = FusedNetwork(network)
            else:
                self._network = _PlainNetwork(network.to(self._device))
        self._rows = torch.zeros(len(SYMBOLS), dtype=torch.int64)
        self._rows[list(type_map)] = torch.tensor(list(type_map.values()))

    def evaluate(self, crystals: CrystalBatch) -> Evaluation:
        """Energies, forces and stresses of all crystals, some at a time.

        Raises:
            PotentialError: some crystal has an element that the network does not know.
        """
        unknown = sorted({int(z) for z in crystals.numbers} - self.elements)
        if unknown:
            symbols = ", ".join(SYMBOLS[z] for z in unknown)
            raise PotentialError(f"{self.name} was not trained on {symbols}. Leave crystals with these elements out.")
        cutoff = np.full(crystals.n_crystals, self._cutoff)
        neighbors = find_neighbors(crystals.lattice, crystals.frac_coords, crystals.crystal_of_atom, cutoff)
        first_edge = np.searchsorted(neighbors.center, crystals.first_atom)
        parts = []
        start = 0
        while start < crystals.n_crystals:
            fitting = np.searchsorted(first_edge, first_edge[start] + self._edges_per_pass, side="right") - 1
            stop = max(start + 1, min(int(fitting), crystals.n_crystals))
            atoms = slice(crystals.first_atom[start], crystals.first_atom[stop])
            near = neighbors.take(np.arange(first_edge[start], first_edge[stop]))
            near = near._replace(center=near.center - atoms.start, neighbor=near.neighbor - atoms.start)
            owner = crystals.crystal_of_atom[atoms] - start
            parts.append(self._evaluate_at_once(near, crystals.numbers[atoms], owner, stop - start))
            start = stop
        empty = (np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3, 3)))
        energy, forces, virial = (np.concatenate(arrays) for arrays in zip(empty, *parts, strict=True))
        volume = np.abs(np.linalg.det(crystals.lattice))
        return Evaluation(energy, forces, virial / volume[:, None, None] * EV_PER_A3_IN_GPA)

    def _evaluate_at_once(
        self, neighbors: Neighbors, numbers: Ints, owner: Ints, n_crystals: int
    ) -> tuple[Floats, Floats, Floats]:
        """Energies in eV [n_crystals], forces in eV/Å [n_atoms, 3], derivatives by strain in eV [n_crystals, 3, 3]."""
        pairs = Pairs.of(neighbors, len(numbers))
        with torch.enable_grad():
            vectors = torch.as_tensor(pairs.vector, dtype=self._dtype, device=self._device).requires_grad_()
            rows = self._rows[torch.as_tensor(numbers)].to(self._device)
            atomic = self._network.atomic_energies(vectors, rows, pairs)
            (gradient,) = torch.autograd.grad(atomic.sum(), vectors)
        energy = np.zeros(n_crystals)
        np.add.at(energy, owner, atomic.detach().cpu().numpy())
        # Of a pair's vector, so that forces sum to zero: it lengthens when the second atom moves along it.
        pull = gradient.double().cpu().numpy()
        forces = np.zeros((len(numbers), 3))
        np.add.at(forces, pairs.first, pull)
        np.subtract.at(forces, pairs.second, pull)
        virial = np.zeros((n_crystals, 3, 3))
        np.add.at(virial, owner[pairs.first], pairs.vector[:, :, None] * pull[:, None, :])
        # the energy does not change with rotations: what is not symmetric is rounding
        return energy, forces, (virial + virial.transpose(0, 2, 1)) / 2


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The card and the weights beside it, which must be those that it names."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        content = path.with_suffix(".safetensors").read_bytes()
    except (OSError, ValueError) as error:
        raise PotentialError(f"The weights of SevenNet cannot be read: {error}. Install gmtscreen again.") from error
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != card["sha256"]:
        raise PotentialError(
            f"{path.with_suffix('.safetensors')} is not the file its card describes: sha256 {sha256[:12]}, not "
            f"{card['sha256'][:12]}. Install gmtscreen again."
        )
    return card, load(content)


@contextmanager
def _missing_packages_named() -> Iterator[None]:
    """Says how to install what cannot be imported inside."""
    try:
        yield
    except ImportError as error:
        raise PotentialError(
            f"SevenNet needs a package that is missing: {error.name}. Install it with: pip install 'gmtscreen[refine]'."
        ) from error


def _build(config: dict[str, Any], weights: dict[str, torch.Tensor], dtype: torch.dtype, *, optimize: bool) -> Any:
    """The network of `sevenn`, for inference."""
    from sevenn.model_build import build_E3_equivariant_model

    per_element = {key: weights[f"rescale_atomic_energy.{key}"].tolist() for key in ("shift", "scale")}
    with _defaults(dtype, optimize=optimize):
        network = build_E3_equivariant_model(config | per_element).to(dtype)
    missing = {name for name, parameter in network.named_parameters() if parameter.numel()} - weights.keys()
    try:
        if missing:
            raise RuntimeError(f"{len(missing)} are missing, {min(missing)} for one.")
        # Coupling coefficients and masks are not among the weights: a new network has them in its own precision.
        network.load_state_dict(network.state_dict() | weights)
    except RuntimeError as error:
        raise PotentialError(f"The weights do not fit the network that this sevenn builds: {error}") from error
    return network.eval().requires_grad_(requires_grad=False)


@contextmanager
def _defaults(dtype: torch.dtype, *, optimize: bool) -> Iterator[None]:
    """Builds networks of a precision inside; without e3nn's search for fast contractions, which takes a second."""
    import e3nn

    before, settings = torch.get_default_dtype(), e3nn.get_optimization_defaults()
    torch.set_default_dtype(dtype)
    e3nn.set_optimization_defaults(optimize_einsums=optimize and settings["optimize_einsums"])
    try:
        yield
    finally:
        torch.set_default_dtype(before)
        e3nn.set_optimization_defaults(optimize_einsums=settings["optimize_einsums"])


class _PlainNetwork:
    """The network as it is: modules one after another, from edges in both directions to the energies of atoms."""

    def __init__(self, network: Any) -> None:
        modules = dict(network.named_children())
        self._n_elements = modules.pop("onehot_idx_to_onehot").num_classes
        for name in ("reduce_total_enegy", "force_output"):  # sevenn's spelling
            del modules[name]
        self._modules = modules

    def atomic_energies(self, vectors: torch.Tensor, rows: torch.Tensor, pairs: Pairs) -> torch.Tensor:
        """Energy of each atom in eV, float64, shape [n_atoms]."""
        sign = torch.as_tensor(np.where(pairs.reverse, -1.0, 1.0), dtype=vectors.dtype, device=vectors.device)
        target = np.repeat(np.arange(len(rows)), np.diff(pairs.starts))
        species = torch.nn.functional.one_hot(rows, self._n_elements).to(vectors.dtype)
        data = {
            "edge_vec": vectors[torch.as_tensor(pairs.pair)] * sign[:, None],
            "edge_index": torch.as_tensor(np.stack([target, pairs.source]), device=vectors.device),
            "x": species,
            "node_attr": species,
            "atom_type": rows,
        }
        for module in self._modules.values():
            data = module(data)
        return data["atomic_energy"].squeeze(1).double()
