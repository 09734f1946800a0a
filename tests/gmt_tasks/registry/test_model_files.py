"""Files of a version are written whole, once, read-only; what is missing or changed is named; names mean versions."""

import json
import shutil
from hashlib import sha256
from pathlib import Path

import pytest

from db.records import DecisionRecord, ModelProvenance, ModelVersion
from db.store import ResultStore
from gmt_tasks.registry.current_model import chosen_model, who_decides
from gmt_tasks.registry.model_files import (
    checkpoint_files,
    datasets_folder,
    file_faults,
    install_checkpoint,
    intact_card,
    models_folder,
)
from gmt_tasks.settings import Settings, load_settings
from models.errors import ModelError
from models.gmtnet.card import WEIGHTS_FOLDER, read_card

WHY = DecisionRecord("ana", "better")


def checkpoint(folder: Path, weights: bytes = b"weights") -> Path:
    """What a checkpoint looks like from outside."""
    folder.mkdir(parents=True)
    (folder / "toy.safetensors").write_bytes(weights)
    (folder / "toy.novelty.safetensors").write_bytes(b"points")
    (folder / "state.pt").write_bytes(b"not part of it")
    (folder / "toy.json").write_text(json.dumps({"name": "toy"}), encoding="utf-8")
    return folder / "toy.json"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(db=str(tmp_path / "hits.db"), model="toy", user="ana@lab")


def install(settings: Settings, tmp_path: Path, version: str = "2") -> tuple[Path, dict[str, str]]:
    card = checkpoint(tmp_path / f"run-{version}", version.encode())
    return install_checkpoint(card, models_folder(settings), "toy", version)


def test_a_version_is_copied_once_and_read_only(settings: Settings, tmp_path: Path) -> None:
    folder, files = install(settings, tmp_path)
    assert folder == tmp_path / "hits.db.models" / "toy" / "2"
    assert sorted(files) == ["toy.json", "toy.novelty.safetensors", "toy.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(files)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}
    assert [path.name for path in folder.parent.iterdir()] == ["2"]  # nothing half done is left
    assert install_checkpoint(tmp_path / "run-2" / "toy.json", models_folder(settings), "toy", "2") == (folder, files)


def test_the_same_version_with_other_files_is_refused(settings: Settings, tmp_path: Path) -> None:
    install(settings, tmp_path)
    other = checkpoint(tmp_path / "other", b"other weights")
    with pytest.raises(ModelError, match="toy.safetensors was changed.*immutable"):
        install_checkpoint(other, models_folder(settings), "toy", "2")


@pytest.mark.parametrize("kind", ["split", "novelty"])
def test_a_checkpoint_that_lacks_what_its_card_describes_becomes_no_version(
    kind: str, settings: Settings, tmp_path: Path
) -> None:
    card = checkpoint(tmp_path / "run")
    beside = card.with_name(f"toy.{kind}.safetensors")
    card.write_text(json.dumps({"name": "toy", f"{kind}_sha256": sha256(b"table").hexdigest()}), encoding="utf-8")
    for content, fault in ((None, "is missing"), (b"another", "is not the one")):
        beside.unlink(missing_ok=True)
        if content is not None:
            beside.write_bytes(content)
        with pytest.raises(ModelError, match=f"toy.{kind}.safetensors {fault}"):
            install_checkpoint(card, models_folder(settings), "toy", "3")
    assert not (tmp_path / "hits.db.models").exists()
    beside.write_bytes(b"table")
    assert install_checkpoint(card, models_folder(settings), "toy", "3")


@pytest.mark.parametrize("version", ["../2", "", "a/b", ".hidden"])
def test_a_version_that_is_no_folder_name_is_refused(version: str, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot name a folder"):
        install_checkpoint(checkpoint(tmp_path / "run"), models_folder(settings), "toy", version)


def test_missing_and_changed_files_are_named_and_moved_ones_are_found(settings: Settings, tmp_path: Path) -> None:
    folder, files = install(settings, tmp_path)
    origin = ModelProvenance(str(folder), files)
    assert intact_card("toy@2", origin) == folder / "toy.json"
    assert file_faults(folder, files) == []
    moved = tmp_path / "elsewhere"
    shutil.move(models_folder(settings), moved)
    assert intact_card("toy@2", origin, moved) == moved / "toy" / "2" / "toy.json"
    with pytest.raises(ModelError, match=r"toy.json is missing.*Restore 3 of 3 files"):
        intact_card("toy@2", origin)
    weights = moved / "toy" / "2" / "toy.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(b"tampered")
    with pytest.raises(ModelError, match=r"toy.safetensors was changed.*rollback toy"):
        intact_card("toy@2", origin, moved)


def test_a_name_means_what_the_database_promoted(settings: Settings, tmp_path: Path) -> None:
    assert chosen_model(settings) == settings  # no database yet, and none is made
    assert not Path(settings.database).exists()
    with ResultStore(settings.database) as store:
        store.register_model(ModelVersion("toy", "1", "1" * 64), {})
        assert chosen_model(settings).model == "toy"  # comes with the program
        for version in ("2", "3"):
            folder, files = install(settings, tmp_path, version)
            store.register_model(ModelVersion("toy", version, version * 64), {}, ModelProvenance(str(folder), files))
        assert chosen_model(settings).model == "toy"  # candidates are not current
        store.promote_model("toy", "3", WHY)
        root = models_folder(settings) / "toy"
        assert chosen_model(settings).model == str(root / "3" / "toy.json")
        asked = settings.model_copy(update={"model": "toy@2"})
        assert chosen_model(asked).model == str(root / "2" / "toy.json")
        path = settings.model_copy(update={"model": str(root / "2" / "toy.json")})
        assert chosen_model(path) == path
        store.roll_back_model("toy", WHY)
    assert chosen_model(settings).model == "toy"


def test_the_files_of_a_shipped_model_have_the_hashes_of_its_card() -> None:
    card = WEIGHTS_FOLDER / "gmtnet.json"
    files = checkpoint_files(card)
    assert files["gmtnet.safetensors"] == read_card(card).sha256
    ends = (".json", ".safetensors", ".novelty.safetensors", ".split.safetensors")
    assert set(files) == {f"gmtnet{end}" for end in ends}


def test_a_database_on_a_server_needs_a_named_folder(tmp_path: Path) -> None:
    on_server = load_settings(db="postgresql://u@h/d")
    with pytest.raises(ModelError, match="GMTSCREEN_MODELS"):
        models_folder(on_server)
    named = on_server.model_copy(update={"models": tmp_path / "shared"})
    assert models_folder(named) == tmp_path / "shared"
    assert datasets_folder(named) == tmp_path / "shared.datasets"


def test_who_decides_is_named_or_login_and_machine(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert who_decides(settings) == "ana@lab"
    monkeypatch.setattr("getpass.getuser", lambda: "ben")
    monkeypatch.setattr("socket.gethostname", lambda: "node7")
    assert who_decides(load_settings()) == "ben@node7"
