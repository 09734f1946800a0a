"""Candidates for measurements: seeded samples of a Parquet file, and cells of chosen sizes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.speed.versions import ROOT
from gmt_tasks.sources.open import open_source
from models.crystals.crystal import CrystalBatch

USUAL = ROOT.parent / "shared" / "data" / "candidates.parquet"
COLUMNS = ("id", "lattice", "species", "frac_coords")
N_PROTOTYPES = 20_000
RATTLE_ANGSTROM = 0.05
"""Displacement of the atoms of supercells (standard deviation per axis): else their primitive cells would be small."""


def candidates_file(given: Path | None, folder: Path) -> Path:
    """The file of candidates that is given, the usual one, or prototypes that the program itself generates."""
    if given is not None:
        return given
    if USUAL.exists():
        return USUAL
    path = folder / f"prototypes-{N_PROTOTYPES}.parquet"
    if not path.exists():
        write_source(f"prototypes:n={N_PROTOTYPES}", path)
    return path


def write_source(text: str, path: Path) -> None:
    """Writes the crystals of any source as Parquet."""
    ids: list[str] = []
    batches = []
    for block in open_source(text).blocks(0):
        ids += block.source_ids
        batches.append(block.crystals)
    write_crystals(path, ids, CrystalBatch.join(batches))


def write_crystals(path: Path, ids: list[str], crystals: CrystalBatch) -> None:
    """Writes crystals with the columns that gmtscreen reads; the file appears under its name when it is complete."""
    lists = pa.ListArray.from_arrays
    n, first = crystals.n_crystals, crystals.first_atom.astype(np.int32)
    table = pa.table(
        {
            "id": ids,
            "lattice": lists(np.arange(0, 9 * n + 1, 9, dtype=np.int32), crystals.lattice.reshape(-1)),
            "species": lists(first, crystals.numbers.astype(np.uint8)),
            "frac_coords": lists(3 * first, crystals.frac_coords.reshape(-1)),
        }
    )
    write_table(table, path)


def write_table(table: pa.Table, path: Path) -> None:
    """Writes a table that appears under its name when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    pq.write_table(table, part)
    part.replace(path)


def sample(candidates: Path, n: int, seed: int, folder: Path, *, skip: int = 0) -> Path:
    """A file with `n` candidates chosen at random, in the order of the file.

    Args:
        candidates: Parquet.
        n: rows, at most those of the file.
        seed: of the choice.
        folder: where the sample is written.
        skip: rows of the shuffled file before the first that is taken, so that samples of one seed do not overlap.
    """
    path = folder / f"{candidates.stem}-{n}-seed-{seed}-from-{skip}.parquet"
    if not path.exists():
        table = pq.read_table(candidates)
        chosen = np.sort(np.random.default_rng(seed).permutation(len(table))[skip : skip + n])
        write_table(table.take(chosen), path)
    return path


def crystals_of(candidates: Path) -> CrystalBatch:
    """All crystals of a file, without their ids."""
    table = pq.read_table(candidates, columns=list(COLUMNS[1:]))
    columns = [table.column(name).combine_chunks() for name in COLUMNS[1:]]
    lattice, species, coords = (np.asarray(column.flatten(), dtype=np.float64) for column in columns)
    counts = np.asarray(columns[1].value_lengths())
    owner = np.repeat(np.arange(len(counts)), counts)
    return CrystalBatch(lattice.reshape(-1, 3, 3), coords.reshape(-1, 3), species.astype(np.int64), owner)


def of_size(crystals: CrystalBatch, n_atoms: int, n: int, seed: int) -> CrystalBatch:
    """`n` crystals of about `n_atoms` atoms: candidates where there are enough, else rattled supercells of candidates.

    Args:
        crystals: candidates.
        n_atoms: wanted, met within a tenth.
        n: number of crystals.
        seed: of the choice.

    Raises:
        ValueError: too few candidates have that size or a divisor of it.
    """
    rng = np.random.default_rng(seed)
    counts = crystals.atoms_per_crystal
    fitting = np.flatnonzero(np.abs(counts - n_atoms) <= n_atoms // 10)
    if len(fitting) >= n:
        return crystals.select(np.sort(rng.choice(fitting, n, replace=False)))
    for copies in range(2, n_atoms + 1):
        fitting = np.flatnonzero(np.abs(copies * counts - n_atoms) <= n_atoms // 10)
        if len(fitting) >= n:
            chosen = rng.choice(fitting, n, replace=False)
            return CrystalBatch.join([supercell(crystals.select([k]), copies, rng) for k in chosen])
    raise ValueError(f"Fewer than {n} candidates make cells of about {n_atoms} atoms. Give other candidates.")


def supercell(crystal: CrystalBatch, copies: int, rng: np.random.Generator) -> CrystalBatch:
    """A rattled supercell of one crystal, repeated along whichever axis is the shortest, factor by factor."""
    lattice, coords, numbers = crystal.lattice[0], crystal.frac_coords, crystal.numbers
    for factor in _prime_factors(copies):
        axis = int(np.argmin(np.linalg.norm(lattice, axis=1)))
        shifts = np.zeros((factor, 1, 3))
        shifts[:, 0, axis] = np.arange(factor)
        coords = (coords + shifts).reshape(-1, 3)
        coords[:, axis] /= factor
        numbers = np.tile(numbers, factor)
        lattice = lattice.copy()
        lattice[axis] *= factor
    moved = coords + rng.normal(0.0, RATTLE_ANGSTROM, coords.shape) @ np.linalg.inv(lattice)
    return CrystalBatch.from_arrays([lattice], [moved], [numbers])


def _prime_factors(number: int) -> list[int]:
    factors, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return factors
