"""What a user would write otherwise: pymatgen, ASE's neighbour list, a plain network, SQL one crystal at a time."""

import json
import sqlite3
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from ase.neighborlist import primitive_neighbor_list
from pymatgen.analysis.elasticity import ElasticTensor
from pymatgen.analysis.piezo import PiezoTensor
from pymatgen.core import Lattice, Structure
from pymatgen.core.tensors import Tensor as CartesianTensor
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
from torch_geometric.data import Batch, Data

from benchmarks.speed.plain.network import PlainGMTNet, load_plain
from models.quantities import Tensor
from models.tensors.voigt import from_components

SYMPREC = 0.01
N_NEIGHBORS, REACH = 16, 1.001
BATCH_CRYSTALS = 32

EV_PER_A3_TO_GPA = 160.21766
_COLUMNS = (
    "id", "formula", "spacegroup", "eps_electronic", "eps_total", "piezoelectric", "elastic", "k_vrh", "g_vrh",
    "young", "poisson", "anisotropy", "eps_mean", "d_max",
)  # fmt: skip


@dataclass
class PlainLine:
    """The whole line for rows of a Parquet file, one crystal after the other but for the network.

    Attributes:
        network: the plain one.
        seconds: processor time by step, summed up.
    """

    network: PlainGMTNet = field(default_factory=load_plain)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def screen(self, path: Path, database: Path) -> dict[str, dict[Tensor, np.ndarray]]:
        """Screens a file of candidates into an SQLite database of its own.

        Args:
            path: Parquet with id, lattice, species, frac_coords.
            database: file that is made.

        Returns:
            Raw tensors by id, before symmetrization, as the network gives them.
        """
        with self._timed("read"):
            rows = pq.read_table(path, columns=["id", "lattice", "species", "frac_coords"]).to_pylist()
        raw: dict[str, dict[Tensor, np.ndarray]] = {}
        with sqlite3.connect(database) as connection:
            connection.execute(f"CREATE TABLE IF NOT EXISTS results ({', '.join(_COLUMNS)})")
        for first in range(0, len(rows), BATCH_CRYSTALS):
            raw |= self._screen_batch(rows[first : first + BATCH_CRYSTALS], database)
        return raw

    def _screen_batch(self, rows: list[dict[str, Any]], database: Path) -> dict[str, dict[Tensor, np.ndarray]]:
        with self._timed("structures"):
            structures = [structure_of(row) for row in rows]
        with self._timed("symmetry"):
            analysed = [SpacegroupAnalyzer(structure, symprec=SYMPREC) for structure in structures]
            symmetry = [(found.get_space_group_number(), found.get_point_group_operations(cartesian=True))
                        for found in analysed]  # fmt: skip
        with self._timed("neighbours"):
            graphs = [graph_of(structure) for structure in structures]
        with self._timed("network"), torch.no_grad():
            outputs = self.network(Batch.from_data_list(graphs))
            tensors = {t: from_components(t, x.double().numpy()) for t, x in outputs.items()}
        raw = {}
        for k, (row, structure, (number, operations)) in enumerate(zip(rows, structures, symmetry, strict=True)):
            raw[row["id"]] = {tensor: values[k] for tensor, values in tensors.items()}
            with self._timed("symmetrize"):
                obeying = symmetrized(raw[row["id"]], operations)
            with self._timed("derive"):
                derived = moduli(obeying)
            with self._timed("store"), sqlite3.connect(database) as connection:
                values = (row["id"], structure.composition.reduced_formula, number, *map(_text, obeying.values()))
                marks = ", ".join("?" for _ in _COLUMNS)
                connection.execute(f"INSERT INTO results VALUES ({marks})", (*values, *derived))  # noqa: S608
        return raw

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        before = time.process_time()
        yield
        self.seconds[step] += time.process_time() - before


def structure_of(row: dict[str, Any]) -> Structure:
    """A structure of a row of candidates."""
    lattice, coords = np.reshape(row["lattice"], (3, 3)), np.reshape(row["frac_coords"], (-1, 3))
    return Structure(Lattice(lattice), row["species"], coords)


def graph_of(structure: Structure) -> Data:
    """The graph that `gmtnet-paper` was trained on: whole shells of the 16 nearest neighbours, from either end."""
    n_atoms = len(structure)
    radius = 1.25 * np.cbrt(3 * N_NEIGHBORS * structure.volume / n_atoms / (4 * np.pi))
    while True:
        found = primitive_neighbor_list(
            "ijDd",
            (True, True, True),
            structure.lattice.matrix,
            structure.frac_coords,
            radius,
            use_scaled_positions=True,
        )
        center, neighbor, vector, distance = found
        counts = np.bincount(center, minlength=n_atoms)
        if counts.min() >= N_NEIGHBORS:
            nearest = np.array([np.sort(distance[center == k])[N_NEIGHBORS - 1] for k in range(n_atoms)])
            if REACH * nearest.max() <= radius:
                break
        radius *= 1.3
    kept = distance < REACH * np.maximum(nearest[center], nearest[neighbor])
    ends = np.stack([neighbor[kept], center[kept]])
    return Data(
        z=torch.tensor(structure.atomic_numbers),
        edge_index=torch.from_numpy(ends).long(),
        vector=torch.from_numpy(vector[kept]).float(),
        num_nodes=n_atoms,
    )


def symmetrized(tensors: dict[Tensor, np.ndarray], operations: list[Any]) -> dict[str, Any]:
    """Tensors averaged over the point group with pymatgen's operations, in its classes."""
    full = {
        "eps_electronic": CartesianTensor(tensors[Tensor.DIELECTRIC_ELECTRONIC]),
        "eps_total": CartesianTensor(tensors[Tensor.DIELECTRIC_TOTAL]),
        "piezoelectric": PiezoTensor(tensors[Tensor.PIEZOELECTRIC]),
        "elastic": ElasticTensor.from_voigt(tensors[Tensor.ELASTIC]),
    }
    return {name: sum(tensor.transform(op) for op in operations) / len(operations) for name, tensor in full.items()}


def moduli(tensors: dict[str, Any]) -> tuple[float, ...]:
    """Moduli, mean dielectric constant and the largest d of symmetrized tensors, by pymatgen where it has them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        elastic = ElasticTensor(tensors["elastic"])
        piezo = PiezoTensor(tensors["piezoelectric"]).voigt
    d = 1e3 * piezo @ np.linalg.pinv(elastic.voigt)
    values = (
        elastic.k_vrh, elastic.g_vrh, elastic.y_mod, elastic.homogeneous_poisson, elastic.universal_anisotropy,
        np.trace(tensors["eps_total"]) / 3, np.linalg.svd(d, compute_uv=False)[0],
    )  # fmt: skip
    return tuple(float(value) for value in values)


def _text(tensor: Any) -> str:
    return json.dumps(np.asarray(tensor).tolist())
