"""Real formats by the writers of other programs: every text is read as the crystal that was written, or refused."""

import json
from collections.abc import Sequence
from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.parsed import ParsedCrystal
from models.errors import Reason
from tests.gmt_tasks.sources.files.other_writers.asymmetric import asymmetric
from tests.gmt_tasks.sources.files.other_writers.cif_styles import STYLES
from tests.gmt_tasks.sources.files.other_writers.judge import OTHER, SAME, Table, ending_of, readings_of, written_in
from tests.gmt_tasks.sources.files.other_writers.programs import ODD_VALUES, PROGRAMS, ase_atoms
from tests.gmt_tasks.sources.files.other_writers.structures import all_structures

Named = Sequence[tuple[str, Structure]]

EVERY = 60
"""Of the structures, in the test that every run makes."""

RIGHTLY_REFUSED = {
    # Operations of a conventional cell beside another one.
    "pymatgen cif, symmetry, unrefined": {Reason.SYMMETRY_UNRESOLVED, Reason.SYMMETRY_CONTRADICTS_CELL},
    # A symbol with two origins, and nothing that tells which.
    "name and number": {Reason.SYMMETRY_UNRESOLVED},
}
"""By writer, the reasons for which a text of it may be refused; every other one must be the same crystal."""

CHOICES = ("", "2", "R")


def written_by_programs(structures: Named) -> Table:
    table = Table()
    for name, structure in structures:
        for writer, (format_name, write) in PROGRAMS.items():
            text = write(structure)
            if text is not None:
                table.add(writer, name, written_in(format_name, structure), readings_of(format_name, text))
    return table


def written_in_styles(structures: Named) -> Table:
    table = Table()
    for number, (name, structure) in enumerate(structures):
        crystal = asymmetric(structure, CHOICES[number % len(CHOICES)])
        for style, write in STYLES.items():
            table.add(style, name, crystal.structure, readings_of("cif", write(crystal)))
    return table


def check(table: Table) -> None:
    print(table)  # noqa: T201
    for writer, counts in table.counts.items():
        allowed = {SAME, *(f"refused: {reason}" for reason in RIGHTLY_REFUSED.get(writer, ()))}
        assert set(counts) <= allowed, f"{writer}\n{table}"
        assert counts[SAME], writer


def test_there_are_over_three_hundred_structures_of_every_kind() -> None:
    structures = all_structures()
    names = [name for name, _ in structures]
    assert len(structures) > 400 and len(set(names)) == len(names)
    assert sum(len(structure) >= 100 for _, structure in structures) >= 3
    assert any(np.linalg.det(structure.lattice.matrix) < 0 for _, structure in structures)
    assert any(site.specie.symbol == "H" for _, structure in structures for site in structure)


def test_texts_of_other_programs_are_read_as_the_crystal_that_was_written() -> None:
    check(written_by_programs(all_structures()[::EVERY]))


def test_cifs_as_databases_lay_them_out_are_read_as_the_crystal_that_was_written() -> None:
    check(written_in_styles(all_structures()[5::EVERY]))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_every_text_of_other_programs_is_read_as_the_crystal_that_was_written(part: int) -> None:
    check(written_by_programs(all_structures()[part::4]))


@pytest.mark.slow
def test_every_cif_as_databases_lay_them_out_is_read_as_the_crystal_that_was_written() -> None:
    check(written_in_styles(all_structures()))


def crystals_of(path: Path) -> dict[int, ParsedCrystal]:
    """What a source reads from a file, by position; fails for a refusal."""
    crystals = {}
    for block in open_source(str(path)).blocks():
        assert block.rejected == []
        batch = block.crystals
        for row, position in enumerate(block.positions.tolist()):
            one = batch.select([row])
            crystals[position] = ParsedCrystal(one.lattice[0], one.frac_coords, one.numbers)
    return crystals


@pytest.mark.parametrize("name", ["frames.extxyz", "rows.db", "list.json", "lines.jsonl"])
def test_files_of_many_structures_are_read_in_order(name: str, tmp_path: Path, shared_children: None) -> None:
    structures = [structure for _, structure in all_structures()[::23]]
    path = tmp_path / name
    if path.suffix == ".db":
        with ase.db.connect(path) as database:
            for number, structure in enumerate(structures):
                database.write(ase_atoms(structure), name=f"row {number}", data={"list": [1, 2]})
    elif path.suffix == ".extxyz":
        images = [ase_atoms(structure) for structure in structures]
        for atoms in images[::2]:
            atoms.info.update(ODD_VALUES)
        ase.io.write(path, images, format="extxyz")
    else:
        records = [json.dumps(structure.as_dict(), default=float) for structure in structures]
        path.write_text("\n".join(records) if path.suffix == ".jsonl" else f"[{','.join(records)}]")
    crystals = crystals_of(path)
    assert sorted(crystals) == list(range(len(structures)))
    assert {ending_of(structure, crystals[row]) for row, structure in enumerate(structures)} == {SAME}


def test_negative_control_the_judge_sees_another_crystal() -> None:
    """Mirrored, an atom moved, two elements exchanged, enlarged; and another cell of the same crystal is the same."""
    quartz = dict(all_structures())["quartz"]

    def judged(lattice: Lattice, structure: Structure, order: slice = slice(None)) -> str:
        numbers = np.array([site.specie.Z for site in structure], dtype=np.int64)[order]
        return ending_of(quartz, ParsedCrystal(lattice.matrix, structure.frac_coords, numbers))

    assert judged(quartz.lattice, quartz) == SAME
    enlarged = quartz * (2, 1, 1)
    assert judged(enlarged.lattice, enlarged) == SAME
    mirrored = Lattice(quartz.lattice.matrix @ np.diag([1, 1, -1]))
    assert judged(mirrored, quartz) == OTHER
    assert judged(quartz.lattice, quartz, slice(None, None, -1)) == OTHER
    assert judged(Lattice(1.01 * quartz.lattice.matrix), quartz) == OTHER
    moved = quartz.copy()
    moved.translate_sites([0], [0.02, 0, 0])
    assert judged(moved.lattice, moved) == OTHER
