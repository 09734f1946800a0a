"""Tunes the combination of network and potential on train and val, judges it on test, writes its numbers.

    python -m benchmarks.potential.combination --data FOLDER --opinions opinions.jsonl [--write]

`opinions.jsonl` comes from second_opinions.py beside this. Corrections of the potential's softening are medians over
train labels by chemical class (the network takes no part, so train labels are fair; without opinions of train they stay
as they are); shares and widths of the intervals come from val; test is only looked at. The network predicts the cells
that the potential relaxed, as a refine run does.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import models
from gmt_tasks.evaluation.calibration import held_out_errors, inside_intervals
from gmt_tasks.evaluation.label_properties import label_properties
from gmt_tasks.evaluation.reliability.doubtful_labels import label_doubts
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.refinement.combination import combined_prediction, moduli
from gmt_tasks.refinement.recipe import RECIPE, Recipe
from gmt_tasks.screening.screener import Screener, TensorPrediction
from models.crystals.chemical_classes import ChemicalClass
from models.crystals.crystal import CrystalBatch
from models.potential.softening import softening, stiffened
from models.quantities import DERIVED, INTERVALS, TENSORS, Tensor
from models.tensors.voigt import from_components
from models.uncertainty.conformal import Calibration

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SHARES = np.linspace(0, 1, 21)
POOLED_CRYSTALS = 20
"""So many crystals of all classes count beside those of a class when its share is chosen."""

LOWEST_GPA = 3.0
"""Stiffnesses with a lower eigenvalue below this say nothing about softening."""

N_RESAMPLED = 2000
REPORTED = ("k_vrh_gpa", "g_vrh_gpa", "young_vrh_gpa")


@dataclass(frozen=True)
class Opinions:
    """Second opinions with their labels, in the order of the file.

    Attributes:
        rows: of the labelled crystals, [n].
        crystals: as the potential relaxed them.
        stiffness: by the potential in GPa, [n, 6, 6].
        label: in GPa, [n, 6, 6].
        kind: chemical class, [n].
        seconds: processor time of each, [n].
    """

    rows: NDArray[np.int64]
    crystals: CrystalBatch
    stiffness: Floats
    label: Floats
    kind: NDArray[np.str_]
    seconds: Floats

    def select(self, chosen: NDArray[np.int64]) -> "Opinions":
        """Those of the given places."""
        arrays = (self.stiffness[chosen], self.label[chosen], self.kind[chosen], self.seconds[chosen])
        return Opinions(self.rows[chosen], self.crystals.select(chosen), *arrays)


def main() -> None:
    """Fits, judges and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--opinions", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="write the numbers beside the weights")
    asked = parser.parse_args()
    labels = read_labels(asked.data)
    opinions = {split: read_opinions(labels, asked.opinions, split) for split in Split}
    path = Path(models.__file__).parent / "weights" / RECIPE
    old = json.loads(path.read_text(encoding="utf-8"))
    screener = Screener.load("gmtnet")
    factors = old["stiffness"]
    if len(opinions[Split.TRAIN].rows):
        factors = softening_factors(opinions[Split.TRAIN])
    val, prediction = predicted(screener, opinions[Split.VAL])
    trusted = label_doubts(labels, val.rows, Tensor.ELASTIC) == ""
    shares = best_shares(val, prediction, factors, trusted)
    stiffness = {kind: {**factors[kind], "weight": shares[kind]} for kind in ChemicalClass}
    data = old | {
        "stiffness": stiffness,
        "calibration": None,
        "disagreement": disagreement_bounds(val, prediction, factors),
    }
    data["calibration"] = widths(labels, val, prediction, Recipe.from_json(data), screener.calibration)
    recipe = Recipe.from_json(data)
    for split in (Split.VAL, Split.TEST):
        chosen, of_network = (val, prediction) if split is Split.VAL else predicted(screener, opinions[split])
        sys.stdout.write(report(labels, chosen, of_network, recipe, screener.calibration, split))
    sys.stdout.write(json.dumps(stiffness, indent=1) + "\n" + json.dumps(data["disagreement"]) + "\n")
    if asked.write:
        path.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def read_opinions(labels: LabelledCrystals, path: Path, split: Split) -> Opinions:
    """The second opinions of one part that came to an end."""
    # one id may have come with several cells: those with a stiffness are meant
    labelled = np.flatnonzero(np.isfinite(labels.components[Tensor.ELASTIC]).all(axis=1))
    row_of = {labels.ids[row]: row for row in labelled.tolist()}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    kept = [line for line in lines if line["split"] == split and line.get("relaxation") == "converged"]
    crystals = CrystalBatch.from_arrays(
        [np.array(line["lattice"]) for line in kept],
        [np.array(line["frac_coords"]) for line in kept],
        [np.array(line["numbers"]) for line in kept],
    )
    rows = np.array([row_of[line["id"]] for line in kept], dtype=np.int64)
    return Opinions(
        rows,
        crystals,
        np.array([line["stiffness_gpa"] for line in kept]),
        from_components(Tensor.ELASTIC, labels.components[Tensor.ELASTIC][rows]),
        np.array([line["chemical_class"] for line in kept]),
        np.array([line["seconds"] for line in kept]),
    )


def softening_factors(train: Opinions) -> dict[str, dict[str, float]]:
    """Factors that correct the potential's softening, by chemical class: medians over train labels."""
    lowest = [np.linalg.eigvalsh(values)[:, 0] for values in (train.stiffness, train.label)]
    usable = train.select(np.flatnonzero(np.min(lowest, axis=0) > LOWEST_GPA))
    volumetric, deviatoric = softening(usable.stiffness, usable.label)
    factors = {}
    for kind in ChemicalClass:
        of_class = usable.kind == kind
        medians = [round(float(np.exp(np.median(values[of_class]))), 3) for values in (volumetric, deviatoric)]
        factors[kind.value] = {"volumetric": medians[0], "deviatoric": medians[1]}
        sys.stdout.write(f"{kind}: {int(of_class.sum())} train labels, factors {medians}\n")
    return factors


def predicted(screener: Screener, opinions: Opinions) -> tuple[Opinions, TensorPrediction]:
    """What the network says about the relaxed cells, and the opinions about those that it predicts."""
    prediction = screener.predict(opinions.crystals)
    return opinions.select(prediction.rows), prediction


def corrected(opinions: Opinions, factors: dict[str, dict[str, float]]) -> Floats:
    """The potential's stiffness without its softening, [n, 6, 6]."""
    parts = [np.array([factors[kind][part] for kind in opinions.kind]) for part in ("volumetric", "deviatoric")]
    return stiffened(opinions.stiffness, *parts)


def best_shares(
    val: Opinions, prediction: TensorPrediction, factors: dict[str, dict[str, float]], trusted: Bools
) -> dict[str, float]:
    """The share of the potential with the smallest Frobenius error, by class, drawn towards that of all classes."""
    network, potential = prediction.derived.prediction.tensors[Tensor.ELASTIC], corrected(val, factors)
    errors = np.array([frobenius((1 - share) * network + share * potential - val.label) for share in SHARES])
    pooled = POOLED_CRYSTALS * errors[:, trusted].mean(axis=1)
    chosen = {kind.value: errors[:, trusted & (val.kind == kind)].sum(axis=1) + pooled for kind in ChemicalClass}
    return {kind: round(float(SHARES[np.argmin(total)]), 2) for kind, total in chosen.items()}


def disagreement_bounds(
    val: Opinions, prediction: TensorPrediction, factors: dict[str, dict[str, float]]
) -> dict[str, float]:
    """Differences of logarithms that one in ten val crystals exceeds, by modulus."""
    potential = moduli(corrected(val, factors))
    bounds = {}
    for name in ("k_vrh_gpa", "g_vrh_gpa"):
        both = np.array([prediction.derived.columns[name], potential[name]], dtype=np.float64)
        both = both[:, (both > 0).all(axis=0)]
        bounds[name] = round(float(np.quantile(np.abs(np.diff(np.log(both), axis=0)), 0.9)), 3)
    return bounds


def widths(
    labels: LabelledCrystals, val: Opinions, prediction: TensorPrediction, recipe: Recipe, network: Calibration
) -> dict[str, Any]:
    """Widths of the intervals of everything that derives from the stiffness alone, as plain data."""
    combined = combined_prediction(prediction, val.stiffness, recipe, network)
    elastic = {name for name in INTERVALS if DERIVED[name].from_tensors == (Tensor.ELASTIC,)}
    elastic.add(TENSORS[Tensor.ELASTIC].error_column)
    errors = held_out_errors(labels, val.rows, combined)
    kept = {name: held_out.width() for name, held_out in errors.items() if name in elastic}
    return Calibration(network.alpha, network.n_networks, kept).to_json()


def frobenius(difference: Floats) -> Floats:
    """Norms of 6x6 matrices, no weights, [n]."""
    return np.asarray(np.linalg.norm(difference, axis=(1, 2)))


def report(
    labels: LabelledCrystals,
    opinions: Opinions,
    prediction: TensorPrediction,
    recipe: Recipe,
    network: Calibration,
    split: Split,
) -> str:
    """Errors of network, potential, corrected potential and both; coverage and width of intervals."""
    combined = combined_prediction(prediction, opinions.stiffness, recipe, network)
    trusted = label_doubts(labels, opinions.rows, Tensor.ELASTIC) == ""
    volumetric, deviatoric, _ = recipe.of_crystals(opinions.crystals)
    tensors = {
        "network": prediction.derived.prediction.tensors[Tensor.ELASTIC],
        "potential": opinions.stiffness,
        "potential, corrected": stiffened(opinions.stiffness, volumetric, deviatoric),
        "both": combined.derived.prediction.tensors[Tensor.ELASTIC],
    }
    lines = [f"\n{split}: {len(opinions.rows)} crystals, {opinions.seconds.mean():.2f} CPU-s each by the potential\n"]
    for name, subset in (("trusted labels", trusted), ("all labels", np.linalg.eigvalsh(opinions.label)[:, 0] > 0)):
        lines.append(f"  {name}, n = {int(subset.sum())}\n")
        lines += [
            f"    {what:22s}{figures(values[subset], opinions.label[subset])}\n" for what, values in tensors.items()
        ]
        errors = [frobenius(tensors[what] - opinions.label)[subset] for what in ("network", "both")]
        lines.append(f"    change of Fnorm {change(*errors)}\n")
    for what, one in (("network", prediction), ("both", combined)):
        truth = label_properties(labels, opinions.rows)
        held = held_out_errors(labels, opinions.rows, one)
        for column in (*REPORTED, TENSORS[Tensor.ELASTIC].error_column):
            inside, width = inside_intervals(column, truth, held[column], one)
            known = np.isfinite(held[column].error) & trusted
            share = 100 * inside[known].mean()
            lines.append(
                f"  {what:10s}{column:22s} n {int(known.sum())} coverage {share:.1f} %, width mean "
                f"{np.nanmean(width[known]):.1f} median {np.nanmedian(width[known]):.1f}\n"
            )
    return "".join(lines)


def figures(stiffness: Floats, label: Floats) -> str:
    """Fnorm, mean absolute errors of K and G, share of crystals within 25 and 10 %."""
    off = frobenius(stiffness - label)
    relative = off / frobenius(label)
    found, true = moduli(stiffness), moduli(label)
    errors = [np.nanmean(np.abs(found[name] - true[name])) for name in ("k_vrh_gpa", "g_vrh_gpa")]
    shares = [100 * (relative < bound).mean() for bound in (0.25, 0.1)]
    best = np.sort(off)[: int(0.9 * len(off))].mean()
    return (
        f"Fnorm {off.mean():.1f} (best 90 %: {best:.1f}) K {errors[0]:.1f} G {errors[1]:.1f} "
        f"EwT25 {shares[0]:.1f} EwT10 {shares[1]:.1f}"
    )


def change(before: Floats, after: Floats) -> str:
    """Relative change of a mean with its 90 % bootstrap interval over crystals."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(before), (N_RESAMPLED, len(before)))
    low, high = np.quantile(after[drawn].mean(axis=1) / before[drawn].mean(axis=1) - 1, [0.05, 0.95])
    return f"{100 * (after.mean() / before.mean() - 1):.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


if __name__ == "__main__":
    main()
