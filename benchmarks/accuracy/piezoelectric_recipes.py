"""What lifts the ranking of piezoelectric crystals: recipes side by side, out of fold on all labels of train and val.

    python -m benchmarks.accuracy.piezoelectric_recipes --data FOLDER --out runs/recipes --recipe base [--seed 1]
        [--internal-strain internal-strain.ndjson] [--fold K]
    python -m benchmarks.accuracy.piezoelectric_recipes --data FOLDER --out runs/recipes --report

A recipe changes one thing of the loop of gmt_tasks/training/loop.py. To be quick, trainings read the crystals that have
a tensor or a singular value of e, and no candidates, for 10 epochs: what is compared is recipes, not what they reach.
The folds are those of cross_validation.py, by formula; the test part takes no part. The report scores tensors of
crystals that no network of theirs was trained on, with 90 % bootstrap intervals of the differences over crystals.
"""

import argparse
import json
import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.accuracy.cross_validation import APART, N_FOLDS, part_of
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.screening.screener import Screener
from gmt_tasks.training.config import TrainingConfig
from gmt_tasks.training.data import Prepared, training_rows
from gmt_tasks.training.epochs import Report
from gmt_tasks.training.loop import TrainingLoop
from gmt_tasks.training.training import match_head, set_constants, train
from models.crystals.crystal import CrystalBatch, Floats, Ints
from models.crystals.graph import build_graph
from models.gmtnet.config import CONFIGS
from models.gmtnet.heads import DirectionHead
from models.gmtnet.label_scales import direction_scales
from models.gmtnet.loss import TypicalNorms, robust_error
from models.gmtnet.network import GMTNet
from models.gmtnet.torch_graph import TorchGraph
from models.quantities import Tensor
from models.symmetry.orbits import join_orbit_graphs, reduce_to_orbits
from models.symmetry.search import find_symmetry
from models.tensors.voigt import to_components

EPOCHS = 10
E = Tensor.PIEZOELECTRIC
OFFSET_C_PER_M2 = 0.1
"""Added to norms before their logarithm is taken: below it nobody sorts."""

NOMINAL_PER_STEP, NOMINAL_WEIGHT = 10, 2.0
NAME = "piezoelectric-trial"

WeightedLosses = dict[str, tuple[float, torch.Tensor]]


class Recipe(StrEnum):
    """What is changed."""

    BASE = "base"
    SIGN_FREE = "sign-free"
    BALANCED = "balanced"
    NORMS = "norms"
    FRAME_FREE = "frame-free"
    INTERNAL_STRAIN = "internal-strain"


class SignFree(TrainingLoop):
    """Either sign of e costs the same, whether a label proves it or not."""

    def weighted_losses(self, data: Prepared, rows: Ints, typical: TypicalNorms) -> WeightedLosses:
        """Weight and loss of every kind of label in a batch."""
        free = replace(data.targets, sign_unproven=torch.ones_like(data.targets.sign_unproven))
        return super().weighted_losses(replace(data, targets=free), rows, typical)


class Balanced(TrainingLoop):
    """Crystals with a piezoelectric label are repeated by the root of how rare their point group is among them.

    Attributes:
        group: number of the point group of each labelled crystal.
    """

    group: ClassVar[Ints]

    def order(self, data: Prepared, rng: np.random.Generator) -> Ints:
        """The crystals of an epoch, as many as without balance."""
        has_label = ~torch.isnan(data.targets.components[E][data.scarce, 0]).numpy()
        piezoelectric, others = data.scarce[has_label], data.scarce[~has_label]
        counts = np.bincount(self.group[piezoelectric], minlength=self.group.max() + 1)
        share = counts[self.group[piezoelectric]] ** -0.5
        n = (self.config.piezo_repeat - 1) * len(piezoelectric)
        repeated = rng.choice(piezoelectric, n, p=share / share.sum())
        return np.concatenate([data.labelled, *[others] * (self.config.piezo_repeat - 1), repeated])


class Norms(TrainingLoop):
    """The logarithm of the norm of e counts beside its components: a ranking asks for no more."""

    weight = 1.0

    def norm_losses(self, data: Prepared, rows: Ints) -> torch.Tensor:
        """Mean robust error of ln(|e| + offset) over the crystals of a batch."""
        label = data.targets.components[E][torch.as_tensor(rows)]
        known = torch.as_tensor(np.flatnonzero(~torch.isnan(label[:, 0]).numpy()))
        graph = TorchGraph.from_graph(data.graph.select(rows[known.numpy()]), self.device, torch.float32)
        predicted = self.network(graph)[E]
        sizes = [torch.log((one.square().sum(1) + 1e-12).sqrt() + OFFSET_C_PER_M2) for one in (predicted, label[known])]
        error = sizes[0] - sizes[1].to(self.device)
        return ((error.square() + 0.04).sqrt() - 0.2).sum() / len(rows)

    def weighted_losses(self, data: Prepared, rows: Ints, typical: TypicalNorms) -> WeightedLosses:
        """Weight and loss of every kind of label in a batch."""
        losses = super().weighted_losses(data, rows, typical)
        if E.value in losses:
            losses["norm"] = self.weight, self.norm_losses(data, rows)
        return losses


class FrameFree(Norms):
    """Labels whose frame is not proven count by the norm alone.

    Attributes:
        unproven: of each labelled crystal.
    """

    unproven: ClassVar[np.ndarray[tuple[int], np.dtype[np.bool_]]]

    def weighted_losses(self, data: Prepared, rows: Ints, typical: TypicalNorms) -> WeightedLosses:
        """Weight and loss of every kind of label in a batch."""
        doubt = torch.as_tensor(self.unproven)
        label = data.targets.components[E]
        proven = {E: label.where(~doubt[:, None], torch.nan)}
        targets = replace(data.targets, components=data.targets.components | proven)
        losses = TrainingLoop.weighted_losses(self, replace(data, targets=targets), rows, typical)
        if self.unproven[rows].any() and not torch.isnan(label[torch.as_tensor(rows)][self.unproven[rows], 0]).all():
            only = replace(data.targets, components={E: label.where(doubt[:, None], torch.nan)})  # the others
            losses["norm"] = self.weight, self.norm_losses(replace(data, targets=only), rows)
        return losses


class InternalStrain(TrainingLoop):
    """A second head learns what ions with nominal charges add to e (benchmarks/potential/internal_strain.py).

    Attributes:
        crystals, labels: of which it is known, and components [n_crystals, 18].
    """

    crystals: ClassVar[CrystalBatch]
    labels: ClassVar[Floats]

    def __init__(self, network: GMTNet, config: TrainingConfig, out: Path, report: Report, device: str) -> None:
        torch.manual_seed(config.seed)
        head = DirectionHead(E, network.convolutions.channels, network.config.channels)
        set_constants(head, direction_scales(E, self.labels[np.linalg.norm(self.labels, axis=1) > 1e-3]))
        spec, parts = CONFIGS[config.network].graph, np.array_split(np.arange(len(self.labels)), 16)
        chosen = [self.crystals.select(part) for part in parts]
        self.graph = join_orbit_graphs([reduce_to_orbits(some, build_graph(some, spec)) for some in chosen])
        self.targets = torch.as_tensor(self.labels, dtype=torch.float32)
        self.typical = float(np.median(np.linalg.norm(self.labels, axis=1)))
        network.heads["nominal"] = head
        with torch.no_grad():
            some = TorchGraph.from_graph(self.graph.select(np.arange(256)), "cpu", torch.float32)
            match_head(head, network.describe(some)[0])
        super().__init__(network, config, out, report, device)
        self.rng = np.random.default_rng(config.seed)

    def weighted_losses(self, data: Prepared, rows: Ints, typical: TypicalNorms) -> WeightedLosses:
        """Weight and loss of every kind of label in a batch, and of a batch of crystals with internal strain."""
        losses = super().weighted_losses(data, rows, typical)
        some = self.rng.choice(len(self.labels), NOMINAL_PER_STEP, replace=False)
        graph = TorchGraph.from_graph(self.graph.select(some), self.device, torch.float32)
        features, invariant = self.network.describe(graph)
        label = self.targets[torch.as_tensor(some)].to(self.device)
        error = self.network.heads["nominal"](features, invariant, None) - label
        losses["nominal"] = NOMINAL_WEIGHT, robust_error(error, label, self.typical).mean()
        return losses

    def averaged_network(self) -> GMTNet:
        """The network without the second head."""
        network = super().averaged_network()
        del network.heads["nominal"]
        return network


def main() -> None:
    """Trains the folds of a recipe, or reports all that are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", type=Recipe, choices=list(Recipe), default=Recipe.BASE)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--fold", type=int, choices=range(N_FOLDS), help="this one only")
    parser.add_argument("--internal-strain", type=Path, help="file that internal_strain.py made")
    parser.add_argument("--report", action="store_true")
    asked = parser.parse_args()
    labels = read_labels(asked.data)
    if asked.report:
        sys.stdout.write(report(labels, asked.out))
        return
    for fold in range(N_FOLDS) if asked.fold is None else [asked.fold]:
        path = asked.out / f"{asked.recipe}-{asked.seed}-fold-{fold}.npz"
        if not path.exists():
            predict_fold(labels, asked, fold, path)


def fold_labels(labels: LabelledCrystals, fold: int) -> LabelledCrystals:
    """The labels with a fold in the place of the test part, and the rest, with tensors, for training."""
    formulas = labels.crystals.formulas()
    rows = zip(labels.split.tolist(), formulas, strict=True)
    split = np.array([part_of({"split": part, "formula": formula}, fold) for part, formula in rows])
    split[split == Split.VAL.value] = Split.TRAIN.value  # nothing is chosen on an inner part here
    known = np.isfinite(np.column_stack([*labels.components.values(), labels.piezo_singular])).any(axis=1)
    return replace(labels, split=np.where(known, split, APART))


def predict_fold(labels: LabelledCrystals, asked: argparse.Namespace, fold: int, path: Path) -> None:
    """Trains without a fold and stores what is said of it."""
    without = fold_labels(labels, fold)
    quick = {"epochs": EPOCHS, "candidates": "", "computed": "", "seed": asked.seed, "name": NAME}
    config = replace(TrainingConfig.read("gmtnet"), data=str(asked.data), **quick)
    folder = path.with_suffix("")
    train(config, folder, report=_say, labels=without, loop=loop_of(asked, without, config))
    rows = without.rows(Split.TEST)
    rows = rows[~np.isnan(labels.components[E][rows, 0])]
    prediction = Screener.load(str(folder / f"{NAME}.json")).predict(labels.crystals.select(rows))
    tensors = to_components(E, prediction.derived.prediction.tensors[E])
    np.savez(path, rows=rows[prediction.rows], components=tensors)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def loop_of(asked: argparse.Namespace, labels: LabelledCrystals, config: TrainingConfig) -> type[TrainingLoop]:
    """The loop of a recipe with what it has to know of the training crystals."""
    rows = training_rows(labels, config)
    if asked.recipe is Recipe.BALANCED:
        groups = np.unique(find_symmetry(labels.crystals.select(rows)).point_group, return_inverse=True)[1]
        return type("BalancedHere", (Balanced,), {"group": groups})
    if asked.recipe is Recipe.FRAME_FREE:
        return type("FrameFreeHere", (FrameFree,), {"unproven": ~labels.proven_frame[rows]})
    if asked.recipe is Recipe.INTERNAL_STRAIN:
        apart = np.flatnonzero(~np.isin(labels.split, [Split.TRAIN.value]))
        held_back = set(labels.crystals.select(apart).formulas()) - set(labels.crystals.select(rows).formulas())
        crystals, components = read_internal_strain(asked.internal_strain, held_back)
        return type("InternalStrainHere", (InternalStrain,), {"crystals": crystals, "labels": components})
    return {Recipe.SIGN_FREE: SignFree, Recipe.NORMS: Norms}.get(asked.recipe, TrainingLoop)


def read_internal_strain(path: Path, held_back: set[str]) -> tuple[CrystalBatch, Floats]:
    """Crystals of other formulas with their nominal components, [n_crystals, 18]; absurd ones are left out."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [line for line in lines if "e_nominal_c_per_m2" in line]
    keys = ("lattice", "frac_coords", "species")
    crystals = CrystalBatch.from_arrays(*([np.array(line[key]) for line in lines] for key in keys))
    components = to_components(E, np.array([line["e_nominal_c_per_m2"] for line in lines]))
    size = np.linalg.norm(components, axis=1)
    kept = ~np.isin(crystals.formulas(), sorted(held_back)) & (size < 30) & np.isfinite(size)
    rows = np.flatnonzero(kept)
    return crystals.select(rows), components[rows]


def report(labels: LabelledCrystals, out: Path) -> str:
    """Out-of-fold scores of every recipe and seed of which all folds are there, and their change against the base."""
    said: dict[str, Floats] = {}
    rows = np.array([], dtype=np.int64)
    for recipe in Recipe:
        for seed in range(1, 9):
            parts = [out / f"{recipe}-{seed}-fold-{fold}.npz" for fold in range(N_FOLDS)]
            if all(part.exists() for part in parts):
                loaded = [np.load(part) for part in parts]
                rows = np.concatenate([part["rows"] for part in loaded])
                fold = np.concatenate([np.full(len(part["rows"]), k) for k, part in enumerate(loaded)])
                said[f"{recipe}, seed {seed}"] = np.concatenate([part["components"] for part in loaded])
    for recipe in Recipe:
        seeds = [components for name, components in said.items() if name.startswith(f"{recipe}, seed")]
        if len(seeds) > 1:
            said[f"{recipe}, mean of {len(seeds)} seeds"] = np.mean(seeds, axis=0)
    label, sign_free = labels.components[E][rows], labels.sign_unproven[rows]
    lines = []
    for name, components in said.items():
        of_fold = [_spearman(components[fold == k], label[fold == k]) for k in range(N_FOLDS)]
        proves = ~sign_free & (np.linalg.norm(label, axis=1) > OFFSET_C_PER_M2)
        right = (components[proves] * label[proves]).sum(axis=1) > 0
        lines.append(
            f"{name}: Spearman of |e| {_spearman(components, label):.3f} over all, {np.mean(of_fold):.3f} ± "
            f"{np.std(of_fold, ddof=1):.3f} over folds; mean error {_error(components, label, sign_free).mean():.3f} "
            f"C/m²; sign right {100 * right.mean():.0f} % of {len(right)}; top 10 % found "
            f"{100 * _top(components, label):.0f} %"
        )
        base = said.get(name.replace(name.split(",")[0], Recipe.BASE))
        if base is not None and base is not components:
            lines.append(f"    Spearman against base {_change(components, base, label)}")
    return "\n".join([f"{len(label)} labels", *lines]) + "\n"


def _spearman(components: Floats, label: Floats) -> float:
    return float(spearmanr(np.linalg.norm(components, axis=1), np.linalg.norm(label, axis=1)).statistic)


def _top(components: Floats, label: Floats) -> float:
    n = len(label) // 10
    found = [set(np.argsort(-np.linalg.norm(one, axis=1))[:n].tolist()) for one in (components, label)]
    return len(found[0] & found[1]) / n


def _error(components: Floats, label: Floats, sign_free: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Floats:
    errors = np.linalg.norm(components - label, axis=1)
    either = np.minimum(errors, np.linalg.norm(components + label, axis=1))
    return np.asarray(np.where(sign_free, either, errors))


def _change(components: Floats, base: Floats, label: Floats) -> str:
    rng = np.random.default_rng(0)
    samples = (rng.integers(0, len(label), len(label)) for _ in range(500))
    changes = [_spearman(components[s], label[s]) - _spearman(base[s], label[s]) for s in samples]
    low, high = np.quantile(changes, [0.05, 0.95])
    change = _spearman(components, label) - _spearman(base, label)
    return f"{change:+.3f} [{low:+.3f}, {high:+.3f}]"


if __name__ == "__main__":
    main()
