"""Generated candidates: strains bounded, ids unique, bonds kept, readable, the same for every call."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.speed import generator
from benchmarks.speed.generator import LARGEST_STRAIN, replaced, rows, strained, write_parts
from benchmarks.speed.inputs import crystals_of, of_size, sample, write_crystals, write_source
from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.sources.files.tables.parquet import TableFile
from gmt_tasks.training.distillation.altered_crystals import REPLACEMENTS
from models.crystals.crystal import SYMBOLS
from models.gmtnet.card import WEIGHTS_FOLDER, read_card

RNG = np.random.default_rng(0)
N, SEED = 30, 3


@pytest.fixture(scope="module")
def candidates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "prototypes.parquet"
    write_source(f"prototypes:n={N}", path)
    return path


def test_strains_are_symmetric_and_within_five_per_cent() -> None:
    sizes = []
    for _ in range(200):
        lattice = np.diag(RNG.uniform(3, 9, 3)) + RNG.normal(0, 0.5, (3, 3))
        changed, largest = strained(lattice, RNG)
        strain = np.linalg.solve(lattice, changed) - np.eye(3)
        assert np.abs(strain - strain.T).max() < 1e-12
        principal = np.abs(np.linalg.eigvalsh((strain + strain.T) / 2))
        assert principal.max() <= LARGEST_STRAIN + 1e-12
        assert largest == pytest.approx(principal.max())
        sizes.append(largest)
    assert max(sizes) > 0.045 and min(sizes) < 0.035


def test_an_element_is_replaced_by_one_of_its_group_that_the_crystal_lacks() -> None:
    numbers, changes = np.array([11, 11, 17, 17, 8]), set()
    for _ in range(100):
        new, change = replaced(numbers, RNG)
        changes.add(change)
        if change == "same":
            assert (new == numbers).all()
            continue
        old, symbol = change.split(">")
        place = numbers == SYMBOLS.index(old)
        assert (new[place] == SYMBOLS.index(symbol)).all() and (new[~place] == numbers[~place]).all()
        assert SYMBOLS.index(symbol) in REPLACEMENTS[SYMBOLS.index(old)] and SYMBOLS.index(symbol) not in numbers
    assert {"same", "Na>K", "Cl>Br", "O>S"} <= changes


def test_every_element_of_the_groups_is_known_to_the_shipped_model() -> None:
    assert set(REPLACEMENTS) <= set(read_card(WEIGHTS_FOLDER / "gmtnet.json").elements)


def test_rows_are_read_by_our_reader_with_unique_ids_and_nothing_is_refused(candidates: Path, tmp_path: Path) -> None:
    (part,) = write_parts(candidates, 4 * N, tmp_path, SEED)
    (block,) = TableFile(part, part.name).blocks(0)
    assert len(set(block.source_ids)) == 4 * N
    ingested = ingest_block("made", block)
    assert ingested.rejected == []
    assert len(set(ingested.crystal_ids)) > 3.5 * N
    passes = [int(name.split("/")[1]) for name in block.source_ids]
    assert passes == [k // N for k in range(4 * N)]


def test_a_row_depends_on_seed_and_number_alone(candidates: Path) -> None:
    ids = pq.read_table(candidates, columns=["id"]).column("id").to_pylist()
    crystals = crystals_of(candidates)
    whole, some = rows(ids, crystals, range(50), SEED), rows(ids, crystals, range(40, 50), SEED)
    assert whole[0][40:] == some[0]
    assert np.array_equal(whole[1].lattice[40:], some[1].lattice)
    assert rows(ids, crystals, range(50), SEED + 1)[0] != whole[0]


def test_parts_that_are_there_are_kept_and_a_missing_one_is_made_again(
    candidates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "ROWS_PER_PART", 40)
    parts = write_parts(candidates, 100, tmp_path, SEED)
    contents = [part.read_bytes() for part in parts]
    assert [pq.read_metadata(part).num_rows for part in parts] == [40, 40, 20]
    parts[1].unlink()
    changed = parts[0].stat().st_mtime_ns
    assert write_parts(candidates, 100, tmp_path, SEED) == parts
    assert (parts[0].stat().st_mtime_ns, parts[1].read_bytes()) == (changed, contents[1])


def test_candidates_with_the_same_id_twice_are_refused(candidates: Path, tmp_path: Path) -> None:
    crystals = crystals_of(candidates)
    write_crystals(tmp_path / "twice.parquet", ["a"] * N, crystals)
    with pytest.raises(ValueError, match="29 ids of twice.parquet occur twice"):
        write_parts(tmp_path / "twice.parquet", 10, tmp_path / "out")


def test_samples_of_one_seed_do_not_overlap(candidates: Path, tmp_path: Path) -> None:
    taken = [
        pq.read_table(sample(candidates, 10, 1, tmp_path, skip=skip)).column("id").to_pylist() for skip in (0, 10, 20)
    ]
    assert len({name for names in taken for name in names}) == 30


@pytest.mark.parametrize("n_atoms", [20, 60, 200])
def test_cells_have_the_size_that_was_asked_for_and_keep_their_density(candidates: Path, n_atoms: int) -> None:
    crystals = crystals_of(candidates)
    chosen = of_size(crystals, n_atoms, 3, seed=1)
    assert np.abs(chosen.atoms_per_crystal - n_atoms).max() <= n_atoms // 10
    density = np.abs(np.linalg.det(chosen.lattice)) / chosen.atoms_per_crystal
    known = np.abs(np.linalg.det(crystals.lattice)) / crystals.atoms_per_crystal
    assert all(np.isclose(known, value, rtol=1e-6).any() for value in density)


def test_a_size_that_no_candidate_divides_is_refused(candidates: Path) -> None:
    large = crystals_of(candidates)
    large = large.select(np.flatnonzero(large.atoms_per_crystal > 4))
    with pytest.raises(ValueError, match="Fewer than 3 candidates make cells of about 2 atoms"):
        of_size(large, 2, 3, seed=1)
