"""Internal strain of crystals without a centre of inversion, by the potential: an odd tensor that costs only CPU time.

    python -m benchmarks.potential.internal_strain --data FOLDER --out internal-strain.ndjson [--part 0/2]

What ions with nominal charges q add to the piezoelectric tensor, Σ q Φ⁻¹ Λ / V in C/m²: the shape and much of the
geometry of e, no more, since real ions do not carry their oxidation states (born_charges.py learns what they carry).
Computed are labelled crystals of train and val and candidates of other formulas, as they are, without relaxation. One
line per crystal with its primitive cell; a killed run goes on where it stopped. What it is worth as a second target of
the piezoelectric head is measured by benchmarks/accuracy/piezoelectric_recipes.py.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.potential.born_charges import OXIDATION_STATES
from benchmarks.potential.ionic_response import ionic_piezoelectric
from benchmarks.potential.lines import Named, append_lines
from gmt_tasks.labels.files import LabelledCrystals, Split, read_labels
from gmt_tasks.training.candidate_columns import read_table
from gmt_tasks.training.evaluated_formulas import evaluated_formulas
from models.crystals.crystal import Floats, find_invalid
from models.potential.deformations import DeformationSpace
from models.potential.second_derivatives import SecondDerivatives, second_derivative_steps
from models.potential.sevennet import SevenNet
from models.potential.steps import Steps
from models.symmetry.search import find_symmetry
from models.symmetry.standard_cell import StandardCell
from models.tensors.voigt import voigt_to_piezo

FLOOR_EV_PER_A2 = 0.1
"""Curvature that soft modes are lifted to: ranks |e| best on train labels (response.py)."""


def main() -> None:
    """Chooses crystals and appends a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--metals", type=int, default=1_000, help="candidates that have no gap or are not known to")
    parser.add_argument("--max-atoms", type=int, default=12)
    parser.add_argument("--part", default="0/1", help="which part of how many")
    asked = parser.parse_args()
    labels = read_labels(asked.data)
    everything = [*labelled_crystals(labels, asked.max_atoms), *candidate_crystals(labels, asked)]
    append_lines(SevenNet(), everything, asked.out, asked.part, begin, lambda _, derivatives: row_of(derivatives))


def labelled_crystals(labels: LabelledCrystals, max_atoms: int) -> list[Named]:
    """Crystals of train and val whose class allows a piezoelectric tensor, whatever is labelled of them."""
    usable = np.isin(labels.split, [Split.TRAIN.value, Split.VAL.value])
    usable &= labels.crystals.atoms_per_crystal <= max_atoms
    rows = np.flatnonzero(usable)
    rows = rows[find_symmetry(labels.crystals.select(rows)).piezo_allowed]
    return [Named(labels.ids[row], labels.crystals.select([row])) for row in rows.tolist()]


def candidate_crystals(labels: LabelledCrystals, asked: argparse.Namespace) -> list[Named]:
    """Candidates of classes that allow a piezoelectric tensor: all that have a gap, and some of the others."""
    batch, columns = read_table(asked.data / "candidates.parquet", ("band_gap",))
    formulas = batch.formulas()
    taken = evaluated_formulas(asked.data, labels) | set(labels.crystals.formulas())
    usable = (batch.atoms_per_crystal <= asked.max_atoms) & ~np.isin(formulas, sorted(taken))
    usable[list(find_invalid(batch))] = False
    rows = np.random.default_rng(0).permutation(np.flatnonzero(usable))
    has_gap = columns["band_gap"][rows] > 0
    # most metals have a centre of inversion: three times as many are looked at
    rows = np.concatenate([rows[has_gap], rows[~has_gap][: 3 * asked.metals]])
    rows = rows[find_symmetry(batch.select(rows)).piezo_allowed]
    n_gapped = int((columns["band_gap"][rows] > 0).sum())
    return [Named(f"candidate-{row}", batch.select([row])) for row in rows[: n_gapped + asked.metals].tolist()]


def begin(_crystal: Named, cell: StandardCell) -> Steps[SecondDerivatives]:
    """The calculation of a crystal: second derivatives of the cell as it is."""
    return second_derivative_steps(DeformationSpace(cell))


def row_of(derivatives: SecondDerivatives) -> dict[str, Any]:
    """The line of a crystal: primitive cell and tensor e_ijk by nominal charges in C/m²."""
    crystal = derivatives.space.cell.crystal
    return {
        "lattice": crystal.lattice[0].round(6).tolist(),
        "species": crystal.numbers.tolist(),
        "frac_coords": crystal.frac_coords.round(7).tolist(),
        "e_nominal_c_per_m2": nominal_tensor(derivatives).round(5).tolist(),
    }


def nominal_tensor(derivatives: SecondDerivatives) -> Floats:
    """What ions with their oxidation states as charges add to e, [3, 3, 3] in C/m²."""
    numbers = derivatives.space.cell.crystal.numbers
    charges = OXIDATION_STATES[numbers].double().numpy()
    charges = (charges - charges.mean())[:, None, None] * np.eye(3)
    strain, volume = derivatives.internal_strain, derivatives.space.volume
    voigt = ionic_piezoelectric(derivatives.force_constants, strain, charges, volume, floor=FLOOR_EV_PER_A2)
    tensor: Floats = voigt_to_piezo(voigt)
    return tensor


if __name__ == "__main__":
    main()
