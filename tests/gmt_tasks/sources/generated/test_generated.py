"""Crystals that a network writes as a source: parameters, refusals, lineage, and blocks that can be taken up again."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from db.records import LineageOperation
from gmt_tasks.gates.gates import Gates
from gmt_tasks.sources.generated.generated import Choices, GeneratedSource, Known
from gmt_tasks.sources.open import open_source
from gmt_tasks.sources.source import SourceBlock, join_blocks
from models.crystals.crystal import SYMBOLS
from models.errors import ModelError, Reason, SourceError
from models.symmetry.operations import conventional_rotations
from models.symmetry.search import find_symmetry
from models.wyckoff import generator as generator_module
from models.wyckoff.draft import crystals_of
from models.wyckoff.generator import Generator, GeneratorCard, save_generator
from models.wyckoff.known import save_known
from models.wyckoff.positions import space_group
from tests.models.wyckoff.drafts import TINY, short_network

BATCH, N = 8, 20
"""Of a batch, and of the source: the last batch is not used as a whole."""


@pytest.fixture(scope="module", autouse=True)
def small_batches() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator_module, "BATCH", BATCH)
        patch.setattr(Generator.write_batch, "__defaults__", (BATCH,))
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Card of a small untrained generator that knows no crystal."""
    folder = tmp_path_factory.mktemp("model")
    save_generator(short_network(), GeneratorCard("tiny", "1", "", TINY), folder)
    save_known(crystals_of([]), folder / "tiny.known.safetensors")
    return str(folder / "tiny.json")


@pytest.fixture(scope="module")
def blocks(model: str) -> list[SourceBlock]:
    """All blocks of the source as the tests ask for it."""
    return list(source(model).blocks())


def source(model: str, parameters: str = "max_atoms=12", n: int = N) -> GeneratedSource:
    return GeneratedSource.from_text(f"generated:n={n},model={model},{parameters}")


def as_text(block: SourceBlock) -> str:
    """All that a block says, to compare."""
    arrays = (block.positions, block.spacegroups, block.crystals.lattice, block.crystals.frac_coords)
    listed = [np.asarray(array).tolist() for array in (*arrays, block.crystals.numbers)]
    return json.dumps([listed, block.source_ids, block.metadata, str(block.rejected), str(block.lineage)])


def test_parameters_are_read_in_any_order() -> None:
    text = "generated:required=Ba,elements=O+Ti+Ba,space_group=160+99,n=7,seed=3,max_atoms=9,temperature=0.8,known=keep"
    found = GeneratedSource.from_text(text)
    assert found.choices == Choices((99, 160), ("Ba", "O", "Ti"), ("Ba",), (), 9, 0.8, Known.KEEP)
    assert (found.n, found.seed, found.model, found.name) == (7, 3, "", text)
    assert found.choices.wanted().elements == (56, 8, 22)
    assert isinstance(open_source("generated:n=3"), GeneratedSource)


def test_elements_without_which_crystals_are_to_be_are_left_out_of_those_named_or_of_all() -> None:
    assert GeneratedSource.from_text("generated:elements=Ba+O+Ti,without=Ba+Pb").choices.usable == ("O", "Ti")
    usable = GeneratedSource.from_text("generated:without=Pb").choices.usable
    assert "Pb" not in usable and len(usable) == 99
    assert GeneratedSource.from_text("generated:n=3").choices.usable == ()
    for text in ("generated:elements=Pb,without=Pb", "generated:required=Pb,without=Pb"):
        with pytest.raises(SourceError, match="may be used|may not be used"):
            GeneratedSource.from_text(text)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ("space_group=231", "numbers of space groups from 1 to 230 are wanted, e.g. 99 or 99[+]160"),
        ("space_group=0", "numbers of space groups from 1 to 230 are wanted"),
        ("space_group=Pm-3m", "numbers of space groups from 1 to 230 are wanted"),
        ("elements=Xx", "'Xx' is no element symbol; write e.g. Ba[+]Sr[+]Ti[+]O"),
        ("n=0", "a whole number of at least 1 is wanted"),
        ("max_atoms=0", "a whole number of at least 1 is wanted"),
        ("temperature=0", "a number above 0, at most 5 is wanted"),
        ("known=maybe", "refuse or keep is wanted"),
        ("model=", "an id or a formula is wanted"),
        ("colour=red", "'colour=red' is no parameter of generated. Allowed are space_group=..., elements=..."),
        ("n=3,n=4", "generated has the parameter n twice. Give it once."),
        ("elements=Ti+O,required=Ba", "Ba is required and may not be used. Add it to elements, or do not require it."),
    ],
)
def test_what_is_wrong_with_a_parameter_is_said_with_what_to_do(parameters: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        GeneratedSource.from_text(f"generated:{parameters}")


def test_a_generator_that_is_not_there_is_an_error_before_the_first_crystal(tmp_path: Path) -> None:
    missing = source(str(tmp_path / "none.json"))
    for ask in (missing.fingerprint, lambda: next(missing.blocks())):
        with pytest.raises(ModelError, match="none.json cannot be read: .* Restore it, or train it again."):
            ask()


def test_positions_and_refusals_cover_all_inputs_in_order(blocks: list[SourceBlock]) -> None:
    assert [(block.start, block.stop) for block in blocks] == [(0, 8), (8, 16), (16, 20)]
    for block in blocks:
        refused = [one.position for one in block.rejected]
        assert sorted([*block.positions.tolist(), *refused]) == list(range(block.start, block.stop))
        assert len(block.source_ids) == len(block.positions) == block.crystals.n_crystals
        assert block.gates == Gates()
    whole = join_blocks(blocks)
    assert whole.crystals.n_crystals > 3
    assert len({*whole.source_ids, *(one.source_id for one in whole.rejected)}) == N
    assert whole.source_ids[0] == f"generated:tiny@1:0:{whole.positions[0]}"


def test_given_up_crystals_are_rejected_with_their_reason(blocks: list[SourceBlock]) -> None:
    rejected = join_blocks(blocks).rejected
    assert rejected and {one.reason for one in rejected} == {Reason.GENERATION_FAILED}
    assert "no place was found that keeps the atoms apart" in rejected[0].detail


@pytest.mark.parametrize("start", [3, 8, 19])
def test_a_source_taken_up_again_goes_on_with_the_very_next_crystal(
    model: str, blocks: list[SourceBlock], start: int
) -> None:
    whole = join_blocks(blocks)
    rest = list(source(model).blocks(start))
    assert rest[0].start == start and rest[-1].stop == N
    joined, rows = join_blocks(rest), np.flatnonzero(whole.positions >= start)
    assert joined.positions.tolist() == whole.positions[rows].tolist()
    assert joined.source_ids == [whole.source_ids[row] for row in rows]
    assert joined.metadata == [whole.metadata[row] for row in rows]
    assert joined.lineage == [whole.lineage[row] for row in rows]
    expected = whole.crystals.select(rows)
    assert np.array_equal(joined.crystals.lattice, expected.lattice)
    assert np.array_equal(joined.crystals.frac_coords, expected.frac_coords)
    assert joined.rejected == [one for one in whole.rejected if one.position >= start]


def test_nothing_is_left_of_a_source_that_is_done(model: str) -> None:
    assert list(source(model).blocks(N)) == []


def test_the_same_seed_gives_the_same_crystals_and_another_one_others(model: str, blocks: list[SourceBlock]) -> None:
    again, other = (next(source(model, f"max_atoms=12,seed={seed}").blocks()) for seed in (0, 1))
    assert as_text(blocks[0]) == as_text(again) != as_text(other)


def test_the_fingerprint_changes_with_whatever_changes_the_crystals(model: str, tmp_path: Path) -> None:
    changes = ["max_atoms=12", "seed=1", "max_atoms=13", "space_group=99", "known=keep", "temperature=0.9"]
    prints = [source(model, change).fingerprint() for change in changes] + [source(model, n=21).fingerprint()]
    save_generator(short_network(1), GeneratorCard("other", "1", "", TINY), tmp_path)
    prints.append(source(str(tmp_path / "other.json")).fingerprint())
    assert len(set(prints)) == len(prints)
    assert source(model).fingerprint() == prints[0]


def test_lineage_and_metadata_say_how_each_crystal_was_made(model: str) -> None:
    block = next(source(model, "max_atoms=12,seed=5").blocks())
    assert block.crystals.n_crystals
    for row, lineage in enumerate(block.lineage):
        assert lineage is not None
        assert (lineage.parent, lineage.operation) == (None, LineageOperation.GENERATION)
        assert (lineage.seed, lineage.model) == (5, "tiny@1")
        assert lineage.log_probability is not None and np.isfinite(lineage.log_probability)
        detail, metadata = json.loads(lineage.detail), json.loads(block.metadata[row] or "")
        assert block.spacegroups is not None and detail["space_group"] == block.spacegroups[row]
        assert detail.items() == metadata["generated"].items()
        atoms = block.crystals.numbers[block.crystals.crystal_of_atom == row].tolist()
        assert {part.partition(":")[0] for part in detail["wyckoff"].split()} == {SYMBOLS[z] for z in atoms}


def test_the_space_groups_of_a_block_are_those_that_are_found_or_lie_in_them(blocks: list[SourceBlock]) -> None:
    """Fixed positions and equal parameters may have a higher group."""
    block = join_blocks(blocks)
    assert block.spacegroups is not None and len(block.spacegroups) == block.crystals.n_crystals
    found = find_symmetry(block.crystals, 1e-4)
    intended = [space_group(number).hall_number for number in block.spacegroups.tolist()]
    orders = [[len(conventional_rotations(hall)) for hall in halls] for halls in (found.hall_number.tolist(), intended)]
    assert not (np.array(orders[0]) % np.array(orders[1])).any()
    assert (found.number == block.spacegroups).mean() > 0.3


def test_space_groups_and_elements_are_those_asked_for(model: str) -> None:
    block = next(source(model, "space_group=1+99+123,elements=O+Ti,max_atoms=20").blocks())
    assert block.spacegroups is not None and block.crystals.n_crystals
    assert set(block.spacegroups.tolist()) <= {1, 99, 123}
    assert set(block.crystals.numbers.tolist()) <= {8, 22}


@pytest.fixture(scope="module")
def knowing(model: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Card of the same generator that knows the first crystals that it writes."""
    folder = tmp_path_factory.mktemp("knowing")
    save_generator(short_network(), GeneratorCard("knowing", "1", "", TINY), folder)
    written = Generator(short_network(), GeneratorCard("", "", "", TINY)).write_batch(
        source(model).choices.wanted(), 0, 0, BATCH
    )
    save_known(crystals_of(written.drafts), folder / "knowing.known.safetensors")
    return str(folder / "knowing.json")


def test_known_crystals_are_rejected_with_their_reason(knowing: str, blocks: list[SourceBlock]) -> None:
    block, free = next(source(knowing).blocks()), blocks[0]
    assert free.crystals.n_crystals and not block.crystals.n_crystals
    reasons = {one.position: one.reason for one in block.rejected}
    assert [reasons[position] for position in free.positions.tolist()] == [Reason.IN_TRAINING_DATA] * len(
        free.positions
    )
    assert {one.position for one in free.rejected} <= {p for p, r in reasons.items() if r is Reason.GENERATION_FAILED}
    later = join_blocks(list(source(knowing, n=2 * BATCH).blocks(BATCH)))
    assert later.crystals.n_crystals and Reason.IN_TRAINING_DATA not in {one.reason for one in later.rejected}


def test_known_crystals_are_kept_where_that_is_asked_for(knowing: str, blocks: list[SourceBlock]) -> None:
    kept = next(source(knowing, "max_atoms=12,known=keep").blocks())
    assert np.array_equal(kept.crystals.frac_coords, blocks[0].crystals.frac_coords)
    assert not any(one.reason is Reason.IN_TRAINING_DATA for one in kept.rejected)
