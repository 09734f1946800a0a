"""A model's card: read without torch, refused when not understood."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import ModelError
from models.gmtnet.card import FORMAT, ModelCard, find_checkpoint, read_card, write_card
from models.gmtnet.config import GMTNET, GMTNET_PAPER, GMTNetConfig

SMALL = replace(GMTNET, channels=16, message_irreps=("4x0e+2x1o+2x2e+2x4e",))
CARD = ModelCard("small", "1.2.3", "ab" * 32, SMALL, (6, 8, 14), {"test": {"k_vrh": 0.5}}, {"seed": 1})


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return write_card(CARD, tmp_path)


def test_a_card_is_read_as_it_was_written(written: Path) -> None:
    assert written.name == "small.json"
    assert read_card(written) == CARD


def test_a_missing_model_is_named_beside_those_there_are(written: Path) -> None:
    with pytest.raises(ModelError, match="no model large .* There are: small"):
        read_card(written.with_name("large.json"))


@pytest.mark.parametrize("change", [{"format": FORMAT + 1}, {"format": None}])
def test_another_format_is_refused(written: Path, change: dict[str, int | None]) -> None:
    data = json.loads(written.read_text(encoding="utf-8"))
    written.write_text(json.dumps(data | change), encoding="utf-8")
    with pytest.raises(ModelError, match=f"this version reads {FORMAT}"):
        read_card(written)


def test_a_card_that_is_not_json_is_refused(written: Path) -> None:
    written.write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match="not JSON"):
        read_card(written)


@pytest.mark.parametrize("config", [GMTNET, GMTNET_PAPER, SMALL])
def test_a_configuration_survives_json(config: GMTNetConfig) -> None:
    assert GMTNetConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chanels": 3}, "unknown keys"),
        ({"product": "dense"}, "not valid"),
        ({"tensors": ["hardness"]}, "not valid"),
        ({"graph": {"n_neighbours": 3}}, "not valid"),
    ],
)
def test_a_configuration_that_is_not_understood_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        GMTNetConfig.from_json(GMTNET.to_json() | change)


def test_a_model_is_found_by_path_and_by_folder(written: Path) -> None:
    path = written
    assert find_checkpoint(str(path)) == path
    assert find_checkpoint(str(path.parent)) == path
    (path.parent / "second.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="2 model cards"):
        find_checkpoint(str(path.parent))


def test_a_shipped_model_is_found_by_name_and_version_only(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.gmtnet.card.WEIGHTS_FOLDER", written.parent)
    assert find_checkpoint("small") == written
    assert find_checkpoint("small@1.2.3") == written
    with pytest.raises(ModelError, match=r"small@1\.2\.3"):
        find_checkpoint("small@9")
    with pytest.raises(ModelError, match="There are: small"):
        find_checkpoint("large")


@pytest.mark.parametrize("content", [[], {"format": FORMAT}, {"format": FORMAT, "name": "x"}])
def test_a_card_that_lacks_something_is_refused_with_what_to_do(written: Path, content: object) -> None:
    written.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelError, match="Restore it|Use the gmtscreen"):
        read_card(written)


@pytest.mark.parametrize(
    "change",
    [
        {"members": 10**9}, {"members": 0}, {"members": -1}, {"members": "many"}, {"members": None}, {"members": [1]},
        {"name": "../../evil"}, {"name": "/etc/passwd"}, {"name": "a\x1b[2J"}, {"name": ""}, {"name": 5},
        {"version": {"a": 1}}, {"sha256": None}, {"sha256": 5},
        {"elements": ["H"]}, {"elements": [10**9]}, {"elements": [0]}, {"elements": [[1]]}, {"elements": 5},
    ],
    ids=str,
)  # fmt: skip
def test_a_crafted_card_is_refused_before_anything_is_built_of_it(written: Path, change: dict[str, object]) -> None:
    data = json.loads(written.read_text(encoding="utf-8"))
    written.write_text(json.dumps(data | change), encoding="utf-8")
    with pytest.raises(ModelError, match="not a complete model card"):
        read_card(written)


@pytest.mark.parametrize("content", [b"\xff\xfe{", b"[" * 200_000, b'{"a":' * 100_000, b"\0"])
def test_what_is_no_json_is_refused_whatever_it_is(written: Path, content: bytes) -> None:
    written.write_bytes(content)
    with pytest.raises(ModelError, match="not JSON"):
        read_card(written)
