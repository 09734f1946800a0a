"""How sound, new and varied the crystals of the generator are, as published generators are judged.

    python -m benchmarks.design.generated_crystals --data ../shared/data --n 1000 --out runs/generated.json

Shares are of all crystals that were begun, unless said otherwise:

- decoded: finished and valid (`find_invalid`);
- keeps its group: of the decoded, the space group found within 0.01 angstrom is the one it was written in;
- charges: of the decoded, `smact.screening.smact_validity` of their compositions (alloys valid), where SMACT is
  installed, and our own gate; both as published generators report them and without intermetallics;
- apart: of the decoded, no pair of atoms below 0.7 of the sum of their covalent radii, and, as CDVAE counts, below
  0.5 angstrom;
- novel: of the decoded, no training crystal matches (pymatgen's StructureMatcher with its defaults, as published);
- unique: first of its kind among the samples, by the same matcher;
- good: decoded, novel, unique, and apart.

Distributions: total variation distance of space groups, Wasserstein distance of density and of the number of elements,
between samples and held-out crystals; for scale the same between held-out and training crystals.
"""

import argparse
import json
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import wasserstein_distance

from gmt_tasks.process import compute_in_one_thread
from gmt_tasks.training.wyckoff.data import Part, real_crystals
from models.crystals.crystal import CrystalBatch, Floats, Ints, find_invalid
from models.crystals.masses import densities
from models.plausibility.charge_balance import ChargeAnswer, charge_balance
from models.plausibility.pair_distances import pair_distances
from models.symmetry.search import find_symmetry
from models.wyckoff.draft import crystals_of
from models.wyckoff.generator import BATCH, SHIPPED, Generator, load_generator
from models.wyckoff.occupation import WyckoffCrystals
from models.wyckoff.sampler import Wanted


def write_crystals(generator: Generator, wanted: Wanted, n: int, seed: int) -> tuple[WyckoffCrystals, float]:
    """The finished ones of n crystals, and the milliseconds that each of the n took."""
    generator.write_batch(wanted, seed, 10**6)  # machine code is compiled once
    began = time.perf_counter()
    drafts = []
    for first in range(0, n, BATCH):
        written = generator.write_batch(wanted, seed, first // BATCH, min(BATCH, n - first))
        drafts += written.drafts
    return crystals_of(drafts), 1e3 * (time.perf_counter() - began) / n


def structure(batch: CrystalBatch, row: int) -> Any:
    """A crystal for pymatgen."""
    from pymatgen.core import Lattice, Structure

    one = batch.select([row])
    return Structure(Lattice(one.lattice[0]), one.numbers.tolist(), one.frac_coords)


def matched(batch: CrystalBatch, others: CrystalBatch) -> tuple[Ints, Ints]:
    """Rows that match a crystal of others, and rows that match an earlier row, by pymatgen's StructureMatcher."""
    from pymatgen.analysis.structure_matcher import StructureMatcher

    matcher = StructureMatcher()
    of_formula: dict[str, list[int]] = defaultdict(list)
    for row, formula in enumerate(others.formulas()):
        of_formula[formula].append(row)
    earlier: dict[str, list[Any]] = defaultdict(list)
    known, repeated = [], []
    for row, formula in enumerate(batch.formulas()):
        own = structure(batch, row)
        if any(matcher.fit(own, structure(others, other)) for other in of_formula[formula]):
            known.append(row)
        if any(matcher.fit(own, other) for other in earlier[formula]):
            repeated.append(row)
        else:
            earlier[formula].append(own)
    return np.array(known, dtype=np.int64), np.array(repeated, dtype=np.int64)


def smact_valid(batch: CrystalBatch) -> Floats | None:
    """Whether SMACT calls compositions valid, 0 or 1; None where it is not installed."""
    try:
        from smact.screening import smact_validity
    except ImportError:
        return None
    return np.array([float(smact_validity(formula)) for formula in batch.formulas()])


def n_elements(batch: CrystalBatch) -> Ints:
    """Different elements of each crystal."""
    pairs = np.unique(np.stack([batch.crystal_of_atom, batch.numbers]), axis=1)
    return np.bincount(pairs[0], minlength=batch.n_crystals)


def distances(batch: CrystalBatch, groups: Ints, others: CrystalBatch, other_groups: Ints) -> dict[str, float]:
    """How far the distributions of two sets of crystals are apart."""
    shares = [np.bincount(g, minlength=231) / len(g) for g in (groups, other_groups)]
    return {
        "space_groups_total_variation": 0.5 * float(np.abs(shares[0] - shares[1]).sum()),
        "density_g_per_cm3": float(wasserstein_distance(densities(batch)[0], densities(others)[0])),
        "n_elements": float(wasserstein_distance(n_elements(batch), n_elements(others))),
    }


def measure(generator: Generator, data: Path, wanted: Wanted, n: int, seed: int) -> dict[str, Any]:
    """All figures of one set of samples."""
    real = real_crystals(data, "candidates.parquet")
    train, held_out = (real.crystals.select(real.rows(part)) for part in (Part.TRAIN, Part.VAL))
    written, milliseconds = write_crystals(generator, wanted, n, seed)
    batch = written.to_crystals()
    invalid = find_invalid(batch)
    rows = np.array([row for row in range(batch.n_crystals) if row not in invalid], dtype=np.int64)
    batch, written = batch.select(rows), written.select(rows)
    found = find_symmetry(batch)
    balance = charge_balance(batch)
    answers = Counter(str(answer) for answer in balance.answers)
    is_metal = np.array([answer == ChargeAnswer.INTERMETALLIC for answer in balance.answers])
    smact = smact_valid(batch)
    pairs = pair_distances(batch)
    known, repeated = matched(batch, train.to_crystals())
    is_new = ~np.isin(np.arange(len(rows)), np.concatenate([known, repeated]))
    is_apart = pairs.ratio >= 0.7
    held_out_batch = held_out.to_crystals()
    return {
        "generator": generator.identity,
        "wanted": str(wanted),
        "n": n,
        "seed": seed,
        "ms_each": milliseconds,
        "decoded": len(rows) / n,
        "keeps_group": float((found.number == written.space_group).mean()),
        "charges": dict(answers),
        "charge_gate": 1.0 - answers["unbalanced"] / len(rows),
        "charge_gate_without_intermetallics": 1.0 - answers["unbalanced"] / max(int((~is_metal).sum()), 1),
        "smact": None if smact is None else float(smact.mean()),
        "smact_without_intermetallics": None if smact is None else float(smact[~is_metal].mean()),
        "apart": float(is_apart.mean()),
        "known_table": float(generator.is_known(written).mean()),
        "novel": 1.0 - len(known) / len(rows),
        "unique": 1.0 - len(repeated) / len(rows),
        "good": float((is_new & is_apart).sum() / n),
        "distances": distances(batch, written.space_group, held_out_batch, held_out.space_group),
        "distances_of_training": distances(
            train.to_crystals(), train.space_group, held_out_batch, held_out.space_group
        ),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--generator", type=Path, default=SHIPPED)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--not-apart", action="store_true", help="place atoms without keeping them apart")
    parser.add_argument("--out", type=Path, default=Path("runs/generated.json"))
    options = parser.parse_args()
    compute_in_one_thread()
    wanted = Wanted(temperature=options.temperature, keep_apart=not options.not_apart)
    figures = measure(load_generator(options.generator), options.data, wanted, options.n, options.seed)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))  # noqa: T201  a benchmark prints


if __name__ == "__main__":
    main()
