"""As many distinct candidates as one asks for: those of a file under random strains, elements replaced within a group.

Row k is a pure function of the seed and k, so a folder may be extended, and any part made again. A replaced element
scales the cell by the volumes of the covalent radii, so that bonds stay bonds; strains have principal values within
±5 %. The id says what was done: `mp-149/7/s3.2/Si>Ge` is candidate mp-149, pass 7, largest principal strain 3.2 %.

    python -m benchmarks.speed.generator --candidates FILE --n 1000000 --out FOLDER
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.speed.inputs import candidates_file, crystals_of, write_crystals
from gmt_tasks.training.distillation.altered_crystals import replace_one, scaled, substitution_scale
from models.crystals.crystal import SYMBOLS, CrystalBatch

LARGEST_STRAIN = 0.05
ROWS_PER_PART = 20_000
SHARE_REPLACED = 0.7


def strained(lattice: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """A cell under a symmetric random strain, and the largest principal value of that strain without its sign.

    Args:
        lattice: rows a, b, c in angstrom, [3, 3].
        rng: of the strain.
    """
    principal = rng.uniform(-LARGEST_STRAIN, LARGEST_STRAIN, 3)
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return lattice @ (np.eye(3) + (axes * principal) @ axes.T), float(np.abs(principal).max())


def replaced(numbers: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """Species with one element replaced by another of its group that is not in the crystal, and what it says in the id.

    Args:
        numbers: atomic numbers, [n_atoms].
        rng: of the choice.
    """
    changed = numbers if rng.uniform() > SHARE_REPLACED else replace_one(numbers, rng)
    places = np.flatnonzero(changed != numbers)
    if not len(places):
        return numbers, "same"
    return changed, f"{SYMBOLS[numbers[places[0]]]}>{SYMBOLS[changed[places[0]]]}"


def rows(ids: list[str], crystals: CrystalBatch, wanted: range, seed: int) -> tuple[list[str], CrystalBatch]:
    """The crystals of rows of the endless list, each of its own random numbers.

    Args:
        ids: of the candidates.
        crystals: the candidates.
        wanted: rows.
        seed: of everything.
    """
    names, lattices, coords, species = [], [], [], []
    first = crystals.first_atom
    for row in wanted:
        number, turn = row % crystals.n_crystals, row // crystals.n_crystals
        rng = np.random.default_rng((seed, row))
        atoms = slice(first[number], first[number + 1])
        numbers, change = replaced(crystals.numbers[atoms], rng)
        lattice, largest = strained(crystals.lattice[number], rng)
        lattices.append(lattice)
        coords.append(crystals.frac_coords[atoms])
        species.append(numbers)
        names.append(f"{ids[number]}/{turn}/s{100 * largest:.1f}/{change}")
    given = crystals.select(np.array(wanted) % crystals.n_crystals)
    replacements = CrystalBatch.from_arrays(lattices, coords, species)
    return names, scaled(replacements, substitution_scale(given, replacements.numbers))


def write_parts(candidates: Path, n: int, folder: Path, seed: int = 0) -> list[Path]:
    """Writes `n` rows in parts of 20,000; parts that are there are kept, so a killed call goes on.

    Args:
        candidates: Parquet file; its rows are taken in a random order that the seed gives.
        n: rows.
        folder: of the parts, made when missing.
        seed: of everything.

    Returns:
        The parts in order.

    Raises:
        ValueError: the candidates' ids are not unique, so those of the rows would not be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    firsts = range(0, n, ROWS_PER_PART)
    paths = [
        folder / f"part-{first // ROWS_PER_PART:05d}-of-{min(ROWS_PER_PART, n - first)}.parquet" for first in firsts
    ]
    missing = [(first, path) for first, path in zip(firsts, paths, strict=True) if not path.exists()]
    if not missing:
        return paths
    ids: list[str] = pq.read_table(candidates, columns=["id"]).column("id").to_pylist()
    if len(set(ids)) != len(ids):
        raise ValueError(f"{len(ids) - len(set(ids))} ids of {candidates.name} occur twice. Give each row its own.")
    order = np.random.default_rng(seed).permutation(len(ids))
    ids, crystals = [ids[k] for k in order], crystals_of(candidates).select(order)
    for first, path in missing:
        write_crystals(path, *rows(ids, crystals, range(first, min(first + ROWS_PER_PART, n)), seed))
    return paths


def main() -> None:
    """Writes the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=Path)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    parts = write_parts(candidates_file(asked.candidates, asked.out), asked.n, asked.out, asked.seed)
    sys.stdout.write(f"{asked.n:,} rows in {len(parts)} parts of {asked.out}\n")


if __name__ == "__main__":
    main()
