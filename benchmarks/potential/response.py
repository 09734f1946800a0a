"""Dielectric and piezoelectric tensors by force constants of the potential and learned Born charges, beside GMTNet's.

    python -m benchmarks.potential.response --data FOLDER --opinions responses.jsonl [--splits train,val] [--report]

One line per labelled crystal of up to 12 atoms goes to `responses.jsonl`: force constants and internal strain at the
relaxed cell; a killed run goes on where it stopped. The report learns charges through train labels (born_charges.py),
tunes the share of this route in a blend with GMTNet on val (out of fold where val is judged), and prints errors of all.
"""

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import models
from benchmarks.potential import born_charges
from benchmarks.potential.born_charges import MAX_ATOMS, Responses
from benchmarks.potential.ionic_response import compliance
from benchmarks.potential.response_figures import dielectric_report, folds, piezoelectric_report
from gmt_tasks.labels.files import LabelledCrystals, read_labels
from gmt_tasks.screening.screener import Screener
from models.crystals.crystal import CrystalBatch
from models.crystals.graph import build_graph
from models.gmtnet.predictor import GMTNetPredictor
from models.gmtnet.torch_graph import TorchGraph
from models.potential.opinion import second_opinions
from models.potential.second_opinion import SecondOpinion
from models.potential.sevennet import SevenNet
from models.quantities import Tensor
from models.tensors.voigt import from_components

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BATCH = 16
N_FEATURES = 48
FLOOR_DIELECTRIC, FLOOR_PIEZOELECTRIC = 0.3, 0.1  # eV/Å², best rank correlation on train labels
SEEDS = 0, 1, 2


@dataclass(frozen=True)
class Crystals:
    """Labelled crystals with second opinions, in the order of the file; NaN where a label is missing.

    Attributes:
        rows: of the labelled crystals, [n].
        split, formula: [n].
        opinions: lines of the file.
        electronic, total: dielectric labels, [n, 3, 3].
        mean: ionic part of the mean dielectric constant, by the tensors or by another code, [n].
        piezoelectric: e_ijk label in C/m², [n, 3, 3, 3].
        sign_free: the label's sign is not proven, [n].
    """

    rows: Ints
    split: NDArray[np.str_]
    formula: NDArray[np.str_]
    opinions: list[dict[str, Any]]
    electronic: Floats
    total: Floats
    mean: Floats
    piezoelectric: Floats
    sign_free: NDArray[np.bool_]


def main() -> None:
    """Computes what is missing, then reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--opinions", type=Path, required=True)
    parser.add_argument("--splits", default="train,val")
    parser.add_argument("--report", action="store_true", help="with what is there, without computing more")
    asked = parser.parse_args()
    labels = read_labels(asked.data)
    if not asked.report:
        compute(labels, asked.splits.split(","), asked.opinions)
    sys.stdout.write(report(labels, read_crystals(labels, asked.opinions), asked.splits.split(",")[1:]))


def compute(labels: LabelledCrystals, splits: list[str], path: Path) -> None:
    """Appends the second opinions that are missing, small crystals first."""
    labelled = np.isfinite(labels.eps_mean).all(axis=1)
    for tensor in (Tensor.DIELECTRIC_TOTAL, Tensor.PIEZOELECTRIC):
        labelled |= np.isfinite(labels.components[tensor]).all(axis=1)
    counts = labels.crystals.atoms_per_crystal
    rows = np.flatnonzero(labelled & np.isin(labels.split, splits) & (counts <= MAX_ATOMS))
    done = set() if not path.exists() else {line["row"] for line in read_lines(path)}
    missing = [row for row in rows[np.argsort(counts[rows], kind="stable")].tolist() if row not in done]
    potential = SevenNet()
    with path.open("a", encoding="utf-8") as file:
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            opinions, failures = second_opinions(potential, labels.crystals.select(batch))
            for k, row in enumerate(batch):
                said = opinion_facts(opinions[k]) if k in opinions else {"failed": failures[k]}
                file.write(json.dumps({"row": row, "id": labels.ids[row]} | said) + "\n")
            file.flush()


def opinion_facts(opinion: SecondOpinion) -> dict[str, Any]:
    """What the formulas need, as plain data."""
    return {
        "relaxation": opinion.relaxation.value,
        "lattice": opinion.relaxed.lattice[0].tolist(),
        "frac_coords": opinion.relaxed.frac_coords.tolist(),
        "numbers": opinion.relaxed.numbers.tolist(),
        "force_constants": opinion.force_constants.tolist(),
        "internal_strain": opinion.internal_strain.tolist(),
    }


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines that are whole."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line[-1] == "\n"]


def read_crystals(labels: LabelledCrystals, path: Path) -> Crystals:
    """Crystals whose relaxation converged, with their labels."""
    lines = [line for line in read_lines(path) if line.get("relaxation") == "converged"]
    opinions = list({line["row"]: line for line in lines if len(line["numbers"]) <= MAX_ATOMS}.values())
    rows = np.array([line["row"] for line in opinions])
    electronic, total, piezoelectric = (
        from_components(tensor, labels.components[tensor][rows])
        for tensor in (Tensor.DIELECTRIC_ELECTRONIC, Tensor.DIELECTRIC_TOTAL, Tensor.PIEZOELECTRIC)
    )
    of_tensor = np.trace(total - electronic, axis1=1, axis2=2) / 3
    of_mean = labels.eps_mean[rows, 1] - labels.eps_mean[rows, 0]
    mean = np.maximum(np.where(np.isfinite(of_tensor), of_tensor, of_mean), 0)
    formula = np.array(labels.crystals.select(rows).formulas())
    return Crystals(
        rows, labels.split[rows], formula, opinions, electronic, total, mean, piezoelectric, labels.sign_unproven[rows]
    )


def batch_of(opinions: list[dict[str, Any]]) -> CrystalBatch:
    """The relaxed cells."""
    keys = ("lattice", "frac_coords", "numbers")
    return CrystalBatch.from_arrays(*([np.array(line[key]) for line in opinions] for key in keys))


def atom_features(opinions: list[dict[str, Any]], train: NDArray[np.bool_]) -> Floats:
    """Principal components over train of invariant features of atoms in GMTNet, [n, MAX_ATOMS, N_FEATURES]."""
    predictor = GMTNetPredictor.load(Path(models.__file__).parent / "weights" / "gmtnet.json")[0]
    parts = []
    for start in range(0, len(opinions), 32):
        graph = build_graph(batch_of(opinions[start : start + 32]), predictor.config.graph, None)
        every = TorchGraph.from_graph(graph, "cpu", torch.float32)
        n_atoms = len(every.numbers)
        # every atom as a crystal of its own: the means over crystals become the atoms' features
        share = torch.ones(n_atoms)
        every = replace(every, n_crystals=n_atoms, crystal_of_atom=torch.arange(n_atoms), share_of_atom=share)
        with torch.inference_mode():
            described = [network.describe(every) for network in predictor.networks]
        parts.append(torch.cat([torch.cat([features["0e"][0], nodes], 1) for features, nodes in described], 1).numpy())
    rows = np.concatenate(parts).astype(np.float64)
    crystal = np.repeat(np.arange(len(opinions)), [len(line["numbers"]) for line in opinions])
    place = np.concatenate([np.arange(len(line["numbers"])) for line in opinions])
    known = rows[train[crystal]]
    rows = (rows - known.mean(0)) / (known.std(0) + 1e-6)
    _, values, axes = np.linalg.svd(rows[train[crystal]], full_matrices=False)
    features = np.zeros((len(opinions), MAX_ATOMS, N_FEATURES))
    scale = values[:N_FEATURES] / np.sqrt(len(known))
    features[crystal, place] = rows @ axes[:N_FEATURES].T / scale
    return features


def responses_of(opinions: list[dict[str, Any]], features: Floats, floor: float) -> Responses:
    """Padded arrays of crystals."""
    n = len(opinions)
    numbers, mask = np.zeros((n, MAX_ATOMS), np.int64), np.zeros((n, MAX_ATOMS))
    inverse, strain = np.zeros((n, 3 * MAX_ATOMS, 3 * MAX_ATOMS)), np.zeros((n, 3 * MAX_ATOMS, 6))
    volume, ends, geometry = np.zeros(n), [], []
    for k, line in enumerate(opinions):
        size = len(line["numbers"])
        numbers[k, :size], mask[k, :size] = line["numbers"], 1
        inverse[k, : 3 * size, : 3 * size] = compliance(np.array(line["force_constants"]), floor=floor)
        strain[k, : 3 * size] = line["internal_strain"]
        volume[k] = np.abs(np.linalg.det(line["lattice"]))
        bonds = born_charges.bonds_of(np.array(line["lattice"]), np.array(line["frac_coords"]), numbers[k, :size])
        ends.append(np.stack([bonds.crystal + k, bonds.first, bonds.second]))
        geometry.append(np.concatenate([bonds.direction, bonds.radial, bonds.weight[:, None]], axis=1))
    arrays = (torch.tensor(array, dtype=torch.float32) for array in (mask, features, inverse, strain, volume))
    pairs = torch.tensor(np.concatenate(ends, axis=1)), torch.tensor(np.concatenate(geometry), dtype=torch.float32)
    return Responses(torch.tensor(numbers), *arrays, bonds=pairs)


def report(labels: LabelledCrystals, crystals: Crystals, splits: list[str]) -> str:
    """Learns on train, tunes the share on val, judges on the other splits."""
    torch.set_num_threads(1)
    train = crystals.split == "train"
    features = atom_features(crystals.opinions, train)
    softened = responses_of(crystals.opinions, features, FLOOR_DIELECTRIC)
    networks = Screener.load("gmtnet").predict(labels.crystals.select(crystals.rows))
    if len(networks.rows) != len(crystals.rows):
        raise SystemExit("GMTNet refuses some of the crystals; remove them from the opinions.")
    tensors = networks.derived.prediction.tensors
    electronic = tensors[Tensor.DIELECTRIC_ELECTRONIC]
    ionic = {"network": tensors[Tensor.DIELECTRIC_TOTAL] - electronic}
    charges = {}
    for name, n_features in (("route, elements", 0), ("route", N_FEATURES)):
        ionic[name], charges[name] = dielectric_route(crystals, softened, n_features)
    chosen = {split: np.flatnonzero(crystals.split == split) for split in splits}
    text = dielectric_report(chosen, crystals.formula, electronic, ionic, crystals.total, crystals.mean)
    firm = responses_of(crystals.opinions, features, FLOOR_PIEZOELECTRIC)
    e = {"network": tensors[Tensor.PIEZOELECTRIC]} | piezoelectric_route(crystals, firm, charges["route"])
    return text + piezoelectric_report(chosen, crystals.formula, e, crystals.piezoelectric, crystals.sign_free)


def dielectric_route(crystals: Crystals, responses: Responses, n_features: int) -> tuple[Floats, torch.Tensor]:
    """Ionic tensors of all crystals, [n, 3, 3], and charges; means over seeds."""
    rows = np.flatnonzero((crystals.split == "train") & np.isfinite(crystals.mean))
    tensor = crystals.total - crystals.electronic
    whole = np.isfinite(tensor[rows]).all(axis=(1, 2))
    norm = np.where(whole, np.linalg.norm(crystals.total[rows], axis=(1, 2)), np.nan)
    arrays = crystals.mean[rows], np.nan_to_num(tensor[rows]), norm
    labels = tuple(torch.tensor(array, dtype=torch.float32) for array in arrays)
    chosen = responses.select(rows)
    fitted = [born_charges.fit_charges(chosen, labels, n_features, seed) for seed in SEEDS]  # type: ignore[arg-type]
    with torch.no_grad():
        charges = [network(responses)[0] for network in fitted]
        ionic = torch.stack([responses.dielectric(z) for z in charges]).mean(0)
    return ionic.double().numpy(), torch.stack(charges).mean(0)


def piezoelectric_route(crystals: Crystals, responses: Responses, charges: torch.Tensor) -> dict[str, Floats]:
    """The ionic part by the charges as they are, and total tensors with bond terms, [n, 3, 3, 3]; means over folds."""
    rows = np.flatnonzero((crystals.split == "train") & np.isfinite(crystals.piezoelectric).all(axis=(1, 2, 3)))
    chosen, label = responses.select(rows), torch.tensor(crystals.piezoelectric[rows], dtype=torch.float32)
    fold = folds(crystals.formula[rows])
    sign_free = torch.tensor(crystals.sign_free[rows])
    fitted = [born_charges.fit_bonds(chosen, charges[rows], label, sign_free, fold == k, k) for k in SEEDS]
    with torch.no_grad():
        total = torch.stack([network(responses, charges)[0] for network in fitted]).mean(0)
        return {"ionic": responses.piezoelectric(charges).double().numpy(), "route": total.double().numpy()}


if __name__ == "__main__":
    main()
