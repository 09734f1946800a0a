"""A checkpoint as a value: what is unpacked is what was packed, and damage on the way is refused."""

import dataclasses
from functools import partial
from pathlib import Path

import pytest

from gmt_tasks.runs.session import worker_factory
from gmt_tasks.settings import Settings
from gmt_tasks.workers.packed_model import PackedModel, load_packed
from gmt_tasks.workers.worker import load_worker
from models.errors import ModelError


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The card of a checkpoint whose files hold no model; beside it something that does not belong to it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("m.json", "m.safetensors", "m.novelty.safetensors", "m.log", "other.safetensors"):
        (folder / name).write_bytes(b"content of " + name.encode())
    return folder / "m.json"


def test_a_model_arrives_as_it_was_sent_and_alone(checkpoint: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    assert PackedModel.of(checkpoint).unpack(there) == there / "m.json"
    arrived = {path.name: path.read_bytes() for path in there.iterdir()}
    assert arrived == {
        name: (checkpoint.parent / name).read_bytes() for name in ("m.json", "m.safetensors", "m.novelty.safetensors")
    }


def test_a_damaged_file_is_refused_by_name(checkpoint: Path, tmp_path: Path) -> None:
    packed = PackedModel.of(checkpoint)
    damaged = dataclasses.replace(packed, files=packed.files | {"m.safetensors": b"content of m.safetensorz"})
    with pytest.raises(ModelError, match=r"1 of 3 files.*m\.safetensors"):
        damaged.unpack(tmp_path)
    with pytest.raises(ModelError, match="arrived damaged"):
        load_packed(load_worker, damaged, "cpu", 0.01)


def test_a_model_in_a_folder_travels_to_a_cluster_and_a_shipped_one_comes_with_the_code(checkpoint: Path) -> None:
    def factory(**given: str) -> partial[object]:
        made = worker_factory(Settings(**given), load_worker)  # type: ignore[arg-type]
        assert isinstance(made, partial)
        return made

    on_cluster = factory(model=str(checkpoint), ray_address="10.0.0.1:6379")
    assert on_cluster.func is load_packed
    assert on_cluster.args[:2] == (load_worker, PackedModel.of(checkpoint))
    assert factory(model="gmtnet", ray_address="10.0.0.1:6379").func is load_worker
    here = factory(model=str(checkpoint))
    assert (here.func, here.args[0]) == (load_worker, str(checkpoint))
