"""Known crystals by their occupied positions: what counts as the same, and the table."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.errors import ModelError
from models.reference.crystals import in_cell, random_orthogonal, transformed
from models.wyckoff.known import load_known, occupation_hashes, save_known
from models.wyckoff.occupation import occupied_positions
from tests.models.wyckoff.drafts import known_batch, known_crystals

CRYSTALS = known_crystals()


def test_cell_and_parameters_do_not_count_but_elements_and_group_do() -> None:
    hashes = occupation_hashes(CRYSTALS)
    other_cell = replace(CRYSTALS, cell=CRYSTALS.cell * 1.1, parameters=CRYSTALS.parameters + 0.01)
    assert np.array_equal(occupation_hashes(other_cell), hashes)
    assert not (occupation_hashes(replace(CRYSTALS, numbers=CRYSTALS.numbers + 1)) == hashes).any()
    polar = CRYSTALS.select(np.flatnonzero(CRYSTALS.space_group == 160))
    other_group = replace(polar, space_group=polar.space_group - 4)
    assert polar.n_crystals and not (occupation_hashes(other_group) == occupation_hashes(polar)).any()


def test_the_choice_of_origin_and_cell_does_not_count() -> None:
    """Rock salt with the other ion in the origin has other letters and is the same."""
    small = known_batch().select(np.flatnonzero(known_batch().atoms_per_crystal <= 12))
    rng = np.random.default_rng(0)
    given_anew = transformed(in_cell(small, np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1]])), random_orthogonal(rng))
    given_anew = replace(given_anew, frac_coords=given_anew.frac_coords + rng.random(3))
    expected, found = occupied_positions(small)[0], occupied_positions(given_anew)[0]
    assert np.array_equal(occupation_hashes(found), occupation_hashes(expected))
    rocksalt = known_crystals().select([known_batch().formulas().index("ClNa")])
    exchanged = replace(rocksalt, position=rocksalt.position[::-1])
    assert not np.array_equal(exchanged.position, rocksalt.position)
    assert occupation_hashes(exchanged) == occupation_hashes(rocksalt)


def test_orbits_in_another_order_are_the_same_crystal() -> None:
    many = CRYSTALS.select([int(CRYSTALS.orbits_per_crystal.argmax())])
    order = np.arange(len(many.position))[::-1]
    mixed = replace(many, position=many.position[order], numbers=many.numbers[order], parameters=many.parameters[order])
    assert occupation_hashes(mixed) == occupation_hashes(many)


def test_a_table_comes_back_ascending_and_each_hash_once(tmp_path: Path) -> None:
    path = tmp_path / "a.known.safetensors"
    save_known(CRYSTALS.select([*range(10), 3, 4]), path)
    table = load_known(path)
    assert table.tolist() == sorted(set(occupation_hashes(CRYSTALS.select(range(10))).tolist()))


def test_no_table_knows_nothing(tmp_path: Path) -> None:
    assert len(load_known(tmp_path / "none.known.safetensors")) == 0


def test_a_damaged_table_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "a.known.safetensors"
    save_known(CRYSTALS, path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ModelError, match="is no table of known crystals: .* Restore it."):
        load_known(path)
