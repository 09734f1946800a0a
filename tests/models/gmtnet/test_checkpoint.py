"""A model on disk: what is read is what was written, and nothing else is read."""

import hashlib
import json
import pickle
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.errors import ModelError
from models.gmtnet.card import ModelCard, read_card
from models.gmtnet.checkpoint import load_checkpoint, save_checkpoint
from models.gmtnet.config import GMTNET
from models.gmtnet.network import GMTNet, build_network
from models.gmtnet.predictor import GMTNetPredictor
from models.quantities import Tensor
from models.tensors.rotate import rotate
from models.testing import disagreement, textbook_crystals
from models.testing_crystals import random_orthogonal, transformed

SMALL = replace(
    GMTNET,
    channels=16,
    n_comformer=1,
    message_irreps=("4x0e+2x1o+2x2e+2x4e",),
    hidden_irreps="4x0e+2x1o+2x2e+2x2o+2x3o+2x4e",
)
TEXTBOOK = textbook_crystals().crystals


@cache
def small_network() -> GMTNet:
    """Made once, because making one takes longer than all else here."""
    torch.manual_seed(1)
    return build_network(SMALL).eval()


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, ModelCard, GMTNetPredictor]:
    """A small network on disk: path of its card, its card, and itself."""
    network = small_network()
    card = ModelCard("small", "1.2.3", "", SMALL, (6, 8, 14), {"test": {"k_vrh": 0.5}}, {"seed": 1})
    written = save_checkpoint(network, tmp_path, card)
    return tmp_path / "small.json", written, GMTNetPredictor(network, frozenset(card.elements))


Saved = tuple[Path, ModelCard, GMTNetPredictor]


def test_what_is_loaded_predicts_bit_by_bit_what_was_saved(saved: Saved) -> None:
    path, card, original = saved
    loaded, found = GMTNetPredictor.load(path)
    assert found == card
    assert loaded.elements == frozenset({6, 8, 14})
    before, after = original.predict(TEXTBOOK), loaded.predict(TEXTBOOK)
    assert all(np.array_equal(before[q], after[q]) for q in before)


def test_weights_and_card_are_equal_after_a_round_trip(saved: Saved) -> None:
    path, card, original = saved
    network, _ = load_checkpoint(path)
    expected = original.network.state_dict()
    assert list(network.state_dict()) == list(expected)
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())
    assert read_card(path) == card
    assert (card.name, card.version, card.metrics, card.training) == (
        "small",
        "1.2.3",
        {"test": {"k_vrh": 0.5}},
        {"seed": 1},
    )


def test_saving_twice_gives_the_same_bytes(saved: Saved, tmp_path: Path) -> None:
    path, card, original = saved
    assert save_checkpoint(original.network, tmp_path / "again", card).sha256 == card.sha256
    assert (tmp_path / "again" / "small.json").read_bytes() == path.read_bytes()


def test_a_loaded_network_is_ready_for_inference(saved: Saved) -> None:
    network, _ = load_checkpoint(saved[0])
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


def test_a_network_loaded_in_double_precision_is_equivariant_to_ten_digits(saved: Saved) -> None:
    """The weights are float32, the coupling constants must not be."""
    model, _ = GMTNetPredictor.load(saved[0], dtype=torch.float64)
    turn = -random_orthogonal(np.random.default_rng(0))
    before, after = model.predict(TEXTBOOK), model.predict(transformed(TEXTBOOK, turn))
    for quantity, tensors in before.items():
        assert disagreement(after[quantity], rotate(quantity, tensors, turn)).max() < 1e-10


def test_a_single_flipped_bit_is_refused(saved: Saved) -> None:
    weights = saved[0].with_suffix(".safetensors")
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(ModelError, match="sha256"):
        load_checkpoint(saved[0])


def test_weights_of_another_network_are_refused(saved: Saved) -> None:
    path, card, _ = saved
    other = save_checkpoint(build_network(replace(SMALL, channels=8)), path.parent, card)
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(data | {"config": SMALL.to_json(), "sha256": other.sha256}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"small\.safetensors does not fit"):
        load_checkpoint(path)
    data["config"] = replace(SMALL, channels=8).to_json()  # negative control: with its own configuration it fits
    path.write_text(json.dumps(data | {"sha256": other.sha256}), encoding="utf-8")
    assert load_checkpoint(path)[0].config.channels == 8


def test_missing_weights_are_named(saved: Saved) -> None:
    saved[0].with_suffix(".safetensors").unlink()
    with pytest.raises(ModelError, match=r"small\.safetensors is missing"):
        load_checkpoint(saved[0])


def test_a_pickle_in_place_of_the_weights_is_not_run(saved: Saved, tmp_path: Path) -> None:
    path = saved[0]
    touched = tmp_path / "touched"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[Path]]:
            return Path.touch, (touched,)

    pickled = pickle.dumps(Evil())
    path.with_suffix(".safetensors").write_bytes(pickled)
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(data | {"sha256": hashlib.sha256(pickled).hexdigest()}), encoding="utf-8")
    with pytest.raises(ModelError, match="does not fit"):
        load_checkpoint(path)
    assert not touched.exists()
    pickle.loads(pickled)  # noqa: S301 (negative control: our own bytes, which do touch the file)
    assert touched.exists()


def test_the_weights_file_holds_tensors_only(saved: Saved) -> None:
    tensors = load_file(saved[0].with_suffix(".safetensors"))
    assert all(isinstance(t, torch.Tensor) for t in tensors.values())
    assert {name for name, _ in small_network().named_parameters()} <= set(tensors)


def test_the_tensors_of_a_configuration_are_the_heads() -> None:
    network = build_network(replace(SMALL, tensors=(Tensor.ELASTIC,)))
    assert list(network.heads) == [Tensor.ELASTIC.value]
