"""Generators: saved and read again, refused where they are damaged, and the one that comes with the program."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.crystals.crystal import find_invalid
from models.errors import ModelError
from models.wyckoff.draft import crystals_of
from models.wyckoff.generator import (
    SHIPPED,
    Generator,
    GeneratorCard,
    count_parameters,
    known_file,
    load_generator,
    save_generator,
    without_gradients,
)
from models.wyckoff.known import occupation_hashes, save_known
from models.wyckoff.network import WyckoffNetwork
from models.wyckoff.sampler import Wanted
from tests.models.wyckoff.drafts import TINY, known_crystals, short_network

WANTED = Wanted(keep_apart=False)
CARD = GeneratorCard("tiny", "1", "", TINY, training={"seed": 0}, metrics={"val": 1.5})


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_generator(short_network(), CARD, tmp_path)
    save_known(known_crystals(), tmp_path / "tiny.known.safetensors")
    return tmp_path / "tiny.json"


def test_a_saved_generator_comes_back_with_its_weights_and_its_card(saved: Path) -> None:
    generator = load_generator(saved)
    assert generator.identity == "tiny@1"
    assert generator.card.config == TINY
    assert (generator.card.training, generator.card.metrics) == ({"seed": 0}, {"val": 1.5})
    for name, weights in short_network().state_dict().items():
        assert torch.equal(generator.network.state_dict()[name], weights)
    assert not generator.network.training
    assert not any(weights.requires_grad for weights in generator.network.parameters())


def test_a_batch_is_the_same_whenever_it_is_asked_for(saved: Path) -> None:
    loaded, made = load_generator(saved), Generator(short_network(), CARD)
    batches = [one.write_batch(WANTED, 3, batch, 12) for one, batch in ((loaded, 1), (made, 1), (made, 2), (made, 1))]
    texts = [[f"{vars(draft)}" for draft in written.drafts] for written in batches]
    assert texts[0] == texts[1] == texts[3]
    assert texts[1] != texts[2]
    assert texts[1] != [f"{vars(draft)}" for draft in made.write_batch(WANTED, 4, 1, 12).drafts]


def test_it_knows_the_crystals_of_its_table_alone(saved: Path) -> None:
    crystals = known_crystals()
    written = crystals_of(load_generator(saved).write_batch(WANTED, 0, 0, 12).drafts)
    assert load_generator(saved).is_known(crystals).all()
    assert not load_generator(saved).is_known(written).any()
    half = Generator(short_network(), CARD, np.unique(occupation_hashes(crystals.select([0, 1]))))
    assert half.is_known(crystals)[:2].all() and not half.is_known(crystals).all()
    assert not Generator(short_network(), CARD).is_known(crystals).any()


def test_a_missing_file_is_an_error_that_says_what_to_do(saved: Path) -> None:
    with pytest.raises(ModelError, match="none.json cannot be read: .* Restore it, or train it again."):
        load_generator(saved.with_name("none.json"))
    saved.with_suffix(".safetensors").unlink()
    with pytest.raises(ModelError, match="tiny.json cannot be read: .*tiny.safetensors"):
        load_generator(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name": "a", "config": {"breadth": 3}}', '{"config": 3}'])
def test_a_damaged_card_is_an_error_that_says_what_to_do(saved: Path, text: str) -> None:
    saved.write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match="tiny.json cannot be read: .* Restore it, or train it again."):
        load_generator(saved)


def test_weights_of_which_a_bit_is_wrong_are_refused(saved: Path) -> None:
    weights = saved.with_suffix(".safetensors")
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ModelError, match="is not the file its card describes: sha256 .* Restore it."):
        load_generator(saved)


def test_weights_of_another_size_are_refused(saved: Path, tmp_path: Path) -> None:
    """Also those that lack a tensor and those that are none, though their sha256 is right."""
    weights = saved.with_suffix(".safetensors")
    card = json.loads(saved.read_text(encoding="utf-8"))
    saved.write_text(json.dumps({**card, "config": {**card["config"], "width": 64}}), encoding="utf-8")
    with pytest.raises(ModelError, match="does not fit its configuration: .* Restore it."):
        load_generator(saved)
    lacking = {name: value for name, value in load_file(weights).items() if name != "norm.weight"}
    save_generator(short_network(), CARD, tmp_path)
    save_file(lacking, weights)
    pinned(saved)
    with pytest.raises(ModelError, match="does not fit its configuration: .* Restore it."):
        load_generator(saved)
    weights.write_bytes(b"nothing of that kind")
    pinned(saved)
    with pytest.raises(ModelError, match="does not fit its configuration: .* Restore it."):
        load_generator(saved)


def pinned(path: Path) -> None:
    """Writes the sha256 of the weights as they are into the card."""
    card = json.loads(path.read_text(encoding="utf-8"))
    card["sha256"] = hashlib.sha256(path.with_suffix(".safetensors").read_bytes()).hexdigest()
    path.write_text(json.dumps(card), encoding="utf-8")


def test_a_copy_without_gradients_is_apart_from_its_network() -> None:
    network = short_network().requires_grad_()
    copy = without_gradients(network)
    assert not any(weights.requires_grad for weights in copy.parameters())
    with torch.no_grad():
        network.norm.weight += 1
    assert not torch.equal(copy.norm.weight, network.norm.weight)


def test_weights_are_counted_by_hand() -> None:
    """Of the layers: attention 3 w² + 3 w and w² + w, a perceptron of four times the width, two norms."""
    sizes = [count_parameters(WyckoffNetwork(replace(TINY, n_layers=n_layers))) for n_layers in (1, 2, 3)]
    width = TINY.width
    layer = 4 * (width**2 + width) + (8 * width**2 + 5 * width) + 4 * width
    assert np.diff(sizes).tolist() == [layer, layer]


@pytest.mark.skipif(not SHIPPED.exists(), reason="no generator comes with this checkout")
def test_the_shipped_generator_writes_most_of_what_it_begins_and_the_same_for_the_same_seed() -> None:
    generator = load_generator()
    first, again = (generator.write_batch(Wanted(most_sites=20), 7, 0, 24) for _ in range(2))
    assert len(first.drafts) > 12
    assert [f"{vars(draft)}" for draft in first.drafts] == [f"{vars(draft)}" for draft in again.drafts]
    crystals = crystals_of(first.drafts).to_crystals()
    assert len(find_invalid(crystals)) <= 0.1 * crystals.n_crystals
    assert known_file(SHIPPED).suffixes == [".known", ".safetensors"]
