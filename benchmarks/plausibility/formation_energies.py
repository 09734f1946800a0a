"""Makes models/plausibility/energy_references.csv and known_hull.csv, and says how good they are.

    python -m benchmarks.plausibility.formation_energies --data FOLDER --energies energies.npz --out models/plausibility

References are fitted on train formulas so that the mean absolute deviation is least; energies of WBM lack the shifts of
anions, which get columns of their own there and are thrown away. Widths are the 90 % quantiles (conformal) of WBM's
train formulas that were left out: the potential was trained on most crystals of the Materials Project, on none of WBM.
A second part of these, also left out, shows the coverage. No formula of test is read.
"""

import argparse
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.plausibility.candidates import Candidates, read_candidates
from models.crystals.crystal import SYMBOLS, Floats
from models.plausibility.compositions import Compositions
from models.plausibility.formation_energy import HIGH_FORCE_EV_PER_ANGSTROM, N_ELEMENTS, reference_columns

Bools = NDArray[np.bool_]

ON_HULL_EV = 1e-4
N_WRITTEN = 103
LEVEL = 0.9


@dataclass(frozen=True)
class Evaluated:
    """Crystals with the energies of the potential.

    Attributes:
        columns: see `reference_columns`, shape [n_crystals, 357].
        difference: energy of the potential minus formation energy, eV per atom, shape [n_crystals].
        force: largest on an atom in eV per angstrom, shape [n_crystals].
        is_wbm, is_train, is_calibration, is_held_out, is_val: what each crystal is for, shape [n_crystals].
    """

    columns: Floats
    difference: Floats
    force: Floats
    is_wbm: Bools
    is_train: Bools
    is_calibration: Bools
    is_held_out: Bools
    is_val: Bools


def read_evaluated(candidates: Candidates, path: Path) -> Evaluated:
    """The crystals of a file of `potential_energies`."""
    stored = np.load(path)
    rows = stored["k"]
    # which left-out part a formula is in, the same wherever it occurs
    byte = np.array([sha256(formula.encode()).digest()[0] for formula in candidates.formulas[rows]])
    is_wbm, is_train = candidates.source[rows] == "wbm/val", candidates.is_train[rows]
    return Evaluated(
        reference_columns(candidates.crystals.select(rows)),
        stored["e"] - candidates.formation_energy[rows],
        stored["f"],
        is_wbm,
        is_train & (byte >= 64),
        is_train & is_wbm & (byte < 32),
        is_train & is_wbm & (byte >= 32) & (byte < 64),
        candidates.is_val[rows],
    )


def fit(columns: Floats, difference: Floats, n_rounds: int = 30, ridge: float = 1e-3) -> Floats:
    """Coefficients with the least mean absolute deviation, by iterated weighted least squares."""
    weight, coefficients = np.ones(len(columns)), np.zeros(columns.shape[1])
    for _ in range(n_rounds):
        rows = columns * weight[:, None]
        coefficients = np.linalg.solve(rows.T @ columns + ridge * np.eye(columns.shape[1]), rows.T @ difference)
        weight = 1 / np.maximum(np.abs(difference - columns @ coefficients), 0.01)
        weight /= weight.mean()
    return coefficients


def widths_of(error: Floats, force: Floats) -> tuple[float, float]:
    """Conformal 90 % half widths of crystals below and above the high force."""
    is_high = force > HIGH_FORCE_EV_PER_ANGSTROM
    halves = []
    for part in (np.sort(error[~is_high]), np.sort(error[is_high])):
        rank = int(np.ceil(LEVEL * (len(part) + 1))) - 1
        halves.append(float(part[min(rank, len(part) - 1)]))
    return halves[0], halves[1]


def write_references(path: Path, shifts: Floats, widths: tuple[float, float]) -> None:
    """Writes widths and, per element, the three shifts; empty where no crystal shows one."""
    lines = [f"half widths eV/atom,{widths[0]:.4f},{widths[1]:.4f}", "symbol,reference_ev,u_shift_ev,anion_shift_ev"]
    for number in range(1, N_WRITTEN + 1):
        values = shifts.reshape(3, N_ELEMENTS)[:, number].tolist()
        lines.append(",".join([SYMBOLS[number], *("" if np.isnan(value) else f"{value:.5f}" for value in values)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_hull(path: Path, candidates: Candidates) -> int:
    """Writes the lowest formation energy of each formula on the hull; returns their number."""
    is_compound = np.diff(Compositions.of_crystals(candidates.crystals).first) > 1
    is_mp = np.char.startswith(candidates.source, "mp")
    wanted = is_mp & is_compound & (candidates.is_train | candidates.is_val) & (candidates.above_hull <= ON_HULL_EV)
    rows = np.flatnonzero(wanted & np.isfinite(candidates.formation_energy))
    compositions, lowest = Compositions.of_crystals(candidates.crystals.select(rows)), dict[str, float]()
    for k, row in enumerate(rows.tolist()):
        entries = slice(compositions.first[k], compositions.first[k + 1])
        pairs = zip(compositions.numbers[entries].tolist(), compositions.amounts[entries].tolist(), strict=True)
        name = " ".join(f"{SYMBOLS[z]}{n}" for z, n in pairs)
        lowest[name] = min(lowest.get(name, np.inf), float(candidates.formation_energy[row]))
    head = ["# On the hull of the Materials Project, CC BY 4.0: A. Jain et al., APL Mater. 1, 011002 (2013)."]
    head.append("# elements and amounts, formation energy in eV per atom")
    lines = [f"{name} {energy:.3f}" for name, energy in sorted(lowest.items())]
    path.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
    return len(lines)


def main() -> None:
    """Fits, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--energies", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    candidates = read_candidates(options.data)
    crystals = read_evaluated(candidates, options.energies)
    n_columns = crystals.columns.shape[1]
    # WBM: columns of anions and an offset of its own
    own = np.c_[crystals.columns[:, 2 * N_ELEMENTS :], np.ones(len(crystals.columns))] * crystals.is_wbm[:, None]
    columns = np.concatenate([crystals.columns, own], axis=1)
    coefficients = fit(columns[crystals.is_train], crystals.difference[crystals.is_train])
    error = np.abs(crystals.difference - columns @ coefficients)
    widths = widths_of(error[crystals.is_calibration], crystals.force[crystals.is_calibration])
    is_high = crystals.force > HIGH_FORCE_EV_PER_ANGSTROM
    inside = error <= np.where(is_high, widths[1], widths[0])
    print(f"{crystals.is_train.sum()} crystals fitted, half widths {widths} eV/atom")  # noqa: T201
    of_mp = {
        "val, Materials Project": crystals.is_val & ~crystals.is_wbm,
        "val, WBM": crystals.is_val & crystals.is_wbm,
    }
    for name, rows in ({"val": crystals.is_val} | of_mp | {"WBM left out": crystals.is_held_out}).items():
        figures = (
            f"MAE {error[rows].mean():.4f}, median {np.median(error[rows]):.4f}, coverage {inside[rows].mean():.3f}"
        )
        print(f"{name}: {rows.sum()} crystals, {figures}")  # noqa: T201
    shifts = np.where((crystals.columns[crystals.is_train] > 0).any(axis=0), coefficients[:n_columns], np.nan)
    # an element that never was shifted needs no shift
    shifts[N_ELEMENTS:] = np.nan_to_num(shifts[N_ELEMENTS:])
    write_references(options.out / "energy_references.csv", shifts, widths)
    print(write_hull(options.out / "known_hull.csv", candidates), "formulas on the hull")  # noqa: T201


if __name__ == "__main__":
    main()
