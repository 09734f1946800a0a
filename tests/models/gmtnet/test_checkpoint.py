"""A model on disk: what is read is what was written, and nothing else is read."""

import hashlib
import json
import pickle
import struct
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from models.errors import ModelError
from models.gmtnet.card import ModelCard, read_card
from models.gmtnet.checkpoint import join_checkpoints, load_checkpoint, save_checkpoint
from models.gmtnet.config import GMTNET
from models.gmtnet.network import GMTNet, build_network
from models.gmtnet.predictor import GMTNetPredictor
from models.quantities import Tensor
from models.reference.crystals import random_orthogonal, transformed
from models.tensors.rotate import rotate
from models.testing.contract import disagreement, textbook_crystals

SMALL = replace(
    GMTNET,
    channels=16,
    n_comformer=1,
    message_irreps=("4x0e+2x1o+2x2e+2x4e",),
    hidden_irreps="4x0e+2x1o+2x2e+2x2o+2x3o+2x4e",
)
TEXTBOOK = textbook_crystals().crystals

_HUGE = '{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
_OVERFLOW = '{"a":{"dtype":"F32","shape":[0,4611686018427387904,4611686018427387904],"data_offsets":[0,0]}}'
_OUTSIDE = '{"a":{"dtype":"F32","shape":[1],"data_offsets":[1000,1004]}}'


@cache
def small_network() -> GMTNet:
    """Made once, because making one takes longer than all else here; as for inference, which rounds in its own way."""
    torch.manual_seed(1)
    return build_network(SMALL).eval().requires_grad_(requires_grad=False)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, ModelCard, GMTNetPredictor]:
    """A small network on disk: path of its card, its card, and itself."""
    network = small_network()
    card = ModelCard("small", "1.2.3", "", SMALL, (6, 8, 14), {"test": {"k_vrh": 0.5}}, {"seed": 1})
    written = save_checkpoint(network, tmp_path, card)
    return tmp_path / "small.json", written, GMTNetPredictor([network], frozenset(card.elements))


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
    (network,), _ = load_checkpoint(path)
    expected = original.networks[0].state_dict()
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
    assert save_checkpoint(original.networks[0], tmp_path / "again", card).sha256 == card.sha256
    assert (tmp_path / "again" / "small.json").read_bytes() == path.read_bytes()


def test_a_loaded_network_is_ready_for_inference(saved: Saved) -> None:
    (network,), _ = load_checkpoint(saved[0])
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())


def test_a_network_loaded_in_double_precision_is_equivariant_to_ten_digits(saved: Saved) -> None:
    """The weights are float32, the coupling constants must not be."""
    model, _ = GMTNetPredictor.load(saved[0], dtype=torch.float64)
    rotation = -random_orthogonal(np.random.default_rng(0))
    before, after = model.predict(TEXTBOOK), model.predict(transformed(TEXTBOOK, rotation))
    for quantity, tensors in before.items():
        assert disagreement(after[quantity], rotate(quantity, tensors, rotation)).max() < 1e-10


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
    assert load_checkpoint(path)[0][0].config.channels == 8


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


def header(length: int, text: str = "{}") -> bytes:
    """The start of a safetensors file that promises a header of so many bytes."""
    return struct.pack("<Q", length) + text.encode()


BOMBS = {
    "no bytes": b"",
    "half a number": b"\x10\0\0",
    "a header of 2^63 bytes": header(2**63 - 1),
    "a header of 2^40 bytes": header(2**40),
    "an endless nesting": header(100_000, "[" * 100_000),
    "a tensor of 4 TiB": header(len(_HUGE), _HUGE) + bytes(16),
    "shapes whose product overflows": header(len(_OVERFLOW), _OVERFLOW),
    "data outside the file": header(len(_OUTSIDE), _OUTSIDE) + bytes(4),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_crafted_weights_are_refused_even_when_the_card_vouches_for_them(saved: Saved, bomb: str) -> None:
    """The sha256 says that card and weights belong together, not that they are harmless."""
    path = saved[0]
    path.with_suffix(".safetensors").write_bytes(BOMBS[bomb])
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(data | {"sha256": hashlib.sha256(BOMBS[bomb]).hexdigest()}), encoding="utf-8")
    with pytest.raises(ModelError, match="does not fit"):
        load_checkpoint(path)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.999])
def test_truncated_weights_are_refused_with_and_without_their_sha256(saved: Saved, kept: float) -> None:
    path, weights = saved[0], saved[0].with_suffix(".safetensors")
    content = weights.read_bytes()
    cut = content[: int(kept * len(content))]
    weights.write_bytes(cut)
    with pytest.raises(ModelError, match="sha256"):
        load_checkpoint(path)
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(data | {"sha256": hashlib.sha256(cut).hexdigest()}), encoding="utf-8")
    with pytest.raises(ModelError, match="does not fit"):
        load_checkpoint(path)


def test_the_weights_file_holds_tensors_only(saved: Saved) -> None:
    tensors = load_file(saved[0].with_suffix(".safetensors"))
    assert all(isinstance(t, torch.Tensor) for t in tensors.values())
    assert {f"0.{name}" for name, _ in small_network().named_parameters()} <= set(tensors)


def test_the_tensors_of_a_configuration_are_the_heads() -> None:
    network = build_network(replace(SMALL, tensors=(Tensor.ELASTIC,)))
    assert list(network.heads) == [Tensor.ELASTIC.value]


def seeded_network(seed: int) -> GMTNet:
    """The small network with every weight shaken a little: as trained with another seed, and made in no time."""
    other, generator = deepcopy(small_network()), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in other.parameters():
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.05)
    return other


@pytest.fixture
def singles(tmp_path: Path) -> list[Path]:
    """Checkpoints of three networks, each in a folder of its own."""
    for seed in range(3):
        card = ModelCard("small", "1.0.0", "", SMALL, (6, 8, 14), {"mae": 1.0}, {"seed": seed, "data": "labels"})
        save_checkpoint(seeded_network(seed), tmp_path / str(seed), card)
    return [tmp_path / str(seed) / "small.json" for seed in range(3)]


def test_an_ensemble_predicts_what_each_of_its_networks_predicts(singles: list[Path], tmp_path: Path) -> None:
    card = join_checkpoints(singles, tmp_path / "all", "many", "2.0.0")
    assert (card.n_networks, card.name, card.version, card.metrics) == (3, "many", "2.0.0", {})
    assert card.training == {"seed": [0, 1, 2], "data": "labels"}
    ensemble, found = GMTNetPredictor.load(tmp_path / "all" / "many.json")
    assert found == card
    together = ensemble.predict(TEXTBOOK)
    alone = [GMTNetPredictor.load(path)[0].predict(TEXTBOOK) for path in singles]
    for quantity, tensors in together.items():
        assert len(tensors) == 3
        assert np.array_equal(tensors, np.concatenate([each[quantity] for each in alone]))
        assert not np.allclose(tensors[0], tensors[1], rtol=1e-3)


def test_an_ensemble_may_join_another_one(singles: list[Path], tmp_path: Path) -> None:
    join_checkpoints(singles[:2], tmp_path / "two", "two", "1")
    card = join_checkpoints([tmp_path / "two" / "two.json", singles[2]], tmp_path / "three", "three", "1")
    assert card.n_networks == 3
    assert card.sha256 == join_checkpoints(singles, tmp_path / "all", "three", "1").sha256


def test_networks_that_do_not_belong_together_are_not_joined(singles: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="networks 0 and 1 are the same"):
        join_checkpoints([singles[0], singles[0]], tmp_path / "x", "x", "1")
    with pytest.raises(ModelError, match="there is one network"):
        join_checkpoints(singles[:1], tmp_path / "x", "x", "1")
    card = ModelCard("other", "1", "", SMALL, (6, 8), {}, {})
    save_checkpoint(seeded_network(7), tmp_path / "other", card)
    with pytest.raises(ModelError, match="another set of elements"):
        join_checkpoints([singles[0], tmp_path / "other" / "other.json"], tmp_path / "x", "x", "1")
    assert not (tmp_path / "x").exists()


def test_weights_without_the_number_of_a_network_are_a_single_network(saved: Saved) -> None:
    """Files of before there were ensembles."""
    path, _, original = saved
    weights = path.with_suffix(".safetensors")
    plain = {name.removeprefix("0."): value for name, value in load_file(weights).items()}
    save_file(plain, weights)
    data = json.loads(path.read_text(encoding="utf-8"))
    del data["members"], data["calibration"]
    path.write_text(json.dumps(data | {"sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}), encoding="utf-8")
    before, after = original.predict(TEXTBOOK), GMTNetPredictor.load(path)[0].predict(TEXTBOOK)
    assert all(np.array_equal(before[q], after[q]) for q in before)


def test_a_card_that_promises_more_networks_than_there_are_is_refused(singles: list[Path]) -> None:
    data = json.loads(singles[0].read_text(encoding="utf-8"))
    singles[0].write_text(json.dumps(data | {"members": 2}), encoding="utf-8")
    with pytest.raises(ModelError, match="does not fit"):
        load_checkpoint(singles[0])


def test_other_weights_lose_their_calibration(saved: Saved, tmp_path: Path) -> None:
    path, card, original = saved
    calibrated = replace(card, calibration={"alpha": 0.1})
    assert save_checkpoint(original.networks[0], path.parent, calibrated).calibration == {"alpha": 0.1}
    assert save_checkpoint(seeded_network(3), tmp_path / "new", calibrated).calibration == {}
