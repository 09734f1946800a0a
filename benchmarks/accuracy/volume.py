"""What a model knows of volume, on crystals that it was not trained on.

    python -m benchmarks.accuracy.volume --data FOLDER [--split val] [--model gmtnet] [--model PATH] [--computed FILE]

Crystals with a stiffness label are strained isotropically. Printed are the slope d ln K / d ln V at the label's volume
(experiment and DFT: minus the pressure derivative of K, -4 to -5), and for each strained copy what is said of its
equilibrium: the predicted ln V / V0 beside the true one, the share that is flagged, and how wide intervals are. With a
file of computed crystals (benchmarks/potential/computed_crystals.py) that were kept from training, also how far K is
from the potential's, by kind of crystal.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gmt_tasks.labels.files import Split, read_labels
from gmt_tasks.screening.screener import Screener
from gmt_tasks.training.computed import ComputedCrystals, read_computed
from models.crystals.chemical_classes import chemical_classes
from models.crystals.crystal import CrystalBatch
from models.derived.elastic import bulk_modulus_voigt
from models.quantities import Scalar, Tensor
from models.tensors.voigt import from_components

Floats = NDArray[np.float64]

LOG_VOLUMES = (-0.18, -0.10, -0.05, -0.02, 0.0, 0.02, 0.05, 0.10, 0.18)
SLOPE_STEP = 0.03
KINDS = ("ood", "layered", "molecular", "open_framework")
MOST_ATOMS = 20


def main() -> None:
    """Prints the tables of each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=[split.value for split in Split], default="val")
    parser.add_argument("--model", action="append", help="several times for several models; gmtnet by default")
    parser.add_argument("--computed", type=Path, help="states of crystals that no training saw")
    parser.add_argument("-n", type=int, default=200, help="crystals, drawn at random")
    asked = parser.parse_args()
    labels = read_labels(asked.data)
    labelled = np.isfinite(labels.components[Tensor.ELASTIC]).all(axis=1) & (labels.split == asked.split)
    rows = np.flatnonzero(labelled & (labels.crystals.atoms_per_crystal <= MOST_ATOMS))
    rows = np.sort(np.random.default_rng(0).permutation(rows)[: asked.n])
    crystals = labels.crystals.select(rows)
    for name in asked.model or ["gmtnet"]:
        screener = Screener.load(name)
        sys.stdout.write(f"{screener.model_version}, {asked.split}, {len(rows)} crystals\n{slopes(screener, crystals)}")
        sys.stdout.write("".join(copies(screener, crystals, log_volume) for log_volume in LOG_VOLUMES))
        if asked.computed:
            sys.stdout.write(beside_potential(screener, read_computed(asked.computed)))


def strained(crystals: CrystalBatch, log_volume: float) -> CrystalBatch:
    """Copies of crystals whose volume is exp(log_volume) times theirs."""
    return replace(crystals, lattice=crystals.lattice * np.exp(log_volume / 3))


def column(screener: Screener, crystals: CrystalBatch, name: str) -> Floats:
    """A derived number or one of reliability, NaN for crystals that are refused, [n_crystals]."""
    prediction = screener.predict(crystals)
    values = np.full(crystals.n_crystals, np.nan)
    values[prediction.rows] = (prediction.derived.columns | prediction.intervals | prediction.reliability)[name]
    return values


def slopes(screener: Screener, crystals: CrystalBatch) -> str:
    """Quartiles of d ln K / d ln V."""
    low, high = (column(screener, strained(crystals, step), "k_vrh_gpa") for step in (-SLOPE_STEP, SLOPE_STEP))
    slope = (np.log(high) - np.log(low)) / (2 * SLOPE_STEP)
    quartiles = np.nanquantile(slope, [0.25, 0.5, 0.75])
    share = np.nanmean((slope > -7) & (slope < -2))
    kinds = chemical_classes(crystals)
    medians = {str(kind): np.nanmedian(slope[kinds == kind]) for kind in np.unique(kinds)}
    return (
        f"  d ln K / d ln V: median {quartiles[1]:.2f}, quartiles {quartiles[0]:.2f} and {quartiles[2]:.2f}, "
        f"{100 * share:.0f} % between -7 and -2, n = {int(np.isfinite(slope).sum())}\n"
        f"  medians: {', '.join(f'{kind} {median:.2f}' for kind, median in medians.items())}\n"
    )


def copies(screener: Screener, crystals: CrystalBatch, log_volume: float) -> str:
    """What is said of the copies of one volume."""
    prediction = screener.predict(strained(crystals, log_volume))
    reliability, intervals = prediction.reliability, prediction.intervals
    ratio = np.asarray(reliability["equilibrium_volume_ratio"], dtype=np.float64)
    width = (intervals["k_vrh_gpa_hi"] - intervals["k_vrh_gpa_lo"]) / prediction.derived.columns["k_vrh_gpa"]
    found = np.quantile(-np.log(ratio), [0.1, 0.5, 0.9]) if np.isfinite(ratio).all() else np.full(3, np.nan)
    return (
        f"  ln V/V0 {log_volume:+.2f}: predicted {found[1]:+.3f} ({found[0]:+.3f} to {found[2]:+.3f}, 80 %), "
        f"off_equilibrium {100 * np.mean(reliability['off_equilibrium'] == 1):.0f} %, "
        f"interval of K {100 * np.nanmedian(width):.0f} % wide\n"
    )


def beside_potential(screener: Screener, computed: ComputedCrystals) -> str:
    """Median |ln K of the network over K of the potential| of crystals at rest, by kind, and of strained ones."""
    known = np.flatnonzero(np.isfinite(computed.stiffness).all(axis=1))
    computed = computed.select(known)
    prediction = screener.predict(computed.crystals)
    computed = computed.select(prediction.rows)
    stiffness = from_components(Tensor.ELASTIC, computed.stiffness)
    error = np.abs(np.log(prediction.derived.columns["k_voigt_gpa"] / bulk_modulus_voigt(stiffness)))
    at_rest = computed.scalars[:, list(Scalar).index(Scalar.EXPANSION)] == 0
    groups = {"at rest": at_rest, "strained": ~at_rest}
    groups |= {kind: at_rest & (prediction.reliability[kind] == 1) for kind in KINDS}
    lines = [
        f"  K beside the potential, {name}: median |ln ratio| {np.median(error[chosen]):.3f}, n = {int(chosen.sum())}\n"
        for name, chosen in groups.items()
        if chosen.any()
    ]
    return "".join(lines)


if __name__ == "__main__":
    main()
