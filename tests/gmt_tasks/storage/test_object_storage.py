"""Sources and models from an S3 server on loopback: the same as from a disk, fetched once, and never what is secret."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from db.records import DecisionRecord, ModelProvenance, ModelVersion
from db.store import ResultStore
from gmt_tasks.registry.current_model import chosen_model
from gmt_tasks.registry.model_files import datasets_folder, install_checkpoint, models_folder
from gmt_tasks.settings import Settings, load_settings
from gmt_tasks.sources.files.source import FilesSource
from gmt_tasks.sources.open import ignored_files, open_source
from gmt_tasks.sources.source import SourceBlock, join_blocks
from gmt_tasks.storage.object_store import ObjectStore, StorageError
from models.errors import ModelError, SourceError
from tests.gmt_tasks.registry.test_model_files import checkpoint
from tests.gmt_tasks.storage.s3_server import S3Server, s3_server

POSCAR = "NaCl\n1.0\n{a} 0 0\n0 {a} 0\n0 0 {a}\nNa Cl\n1 1\nDirect\n0 0 0\n.5 .5 .5\n"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as found:
        found.bucket("lab")
        for key, content in FILES.items():
            found.put(f"lab/{key}", content)
        yield found


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GMTSCREEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def table(n_rows: int) -> bytes:
    rows = {
        "id": [f"c{row}" for row in range(n_rows)],
        "lattice": [(np.eye(3) * (4 + row / 100)).ravel().tolist() for row in range(n_rows)],
        "species": [[11, 17]] * n_rows,
        "frac_coords": [[0.0, 0, 0, 0.5, 0.5, 0.5]] * n_rows,
    }
    stream = io.BytesIO()
    pq.write_table(pa.table(rows), stream, row_group_size=3)
    return stream.getvalue()


FILES: dict[str, bytes | str] = {
    "set/a/POSCAR_1": POSCAR.format(a=3.6),
    "set/a/POSCAR_2": POSCAR.format(a=3.7),
    "set/b/[c] ü.vasp": POSCAR.format(a=3.8),
    "set/rows.parquet": table(7),
    "set/readme.md": "not a crystal",
}


def on_disk(folder: Path) -> Path:
    """The same files in a folder."""
    for key, content in FILES.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / "set"


def read(text: str, start: int = 0) -> SourceBlock:
    return join_blocks(list(open_source(text).blocks(start)))


@pytest.mark.slow
def test_a_folder_is_read_as_from_a_disk_and_its_objects_are_fetched_once(server: S3Server, tmp_path: Path) -> None:
    disk = on_disk(tmp_path)
    ours, expected = read("s3://lab/set/"), read(f"file://{disk}")
    assert ours.source_ids == expected.source_ids and len(ours.source_ids) == 10
    np.testing.assert_array_equal(ours.crystals.frac_coords, expected.crystals.frac_coords)
    np.testing.assert_array_equal(ours.crystals.lattice, expected.crystals.lattice)
    assert ignored_files([open_source("s3://lab/set")]) == {".md": 1}
    n_read = server.n_read("lab/set/rows.parquet")
    assert read("s3://lab/set", start=6).source_ids == expected.source_ids[6:]
    assert server.n_read("lab/set/rows.parquet") == n_read == 1, "what the cache holds was fetched again"


@pytest.mark.parametrize("pattern", ["*/POSCAR_?", "**/*2", "*/*.vasp", "b/*", "[ab]/POSCAR_[!2]"])
def test_a_glob_means_the_files_that_it_means_on_a_disk(pattern: str, server: S3Server, tmp_path: Path) -> None:
    stored, local = open_source(f"s3://lab/set/{pattern}"), open_source(f"{on_disk(tmp_path)}/{pattern}")
    assert isinstance(stored, FilesSource) and isinstance(local, FilesSource)
    assert [file.label for file in stored.files] == [file.label for file in local.files] != []


def test_the_fingerprint_is_known_without_reading_and_changes_with_the_content(server: S3Server) -> None:
    server.put("lab/changing/x.vasp", POSCAR.format(a=3.6))
    before = open_source("s3://lab/changing").fingerprint()
    assert open_source("s3://lab/changing").fingerprint() == before
    # As many bytes, perhaps within the same second.
    server.put("lab/changing/x.vasp", POSCAR.format(a=3.9))
    source = open_source("s3://lab/changing")
    assert source.fingerprint() != before and server.n_read("lab/changing/x.vasp") == 0
    (block,) = source.blocks()
    assert block.crystals.lattice[0, 0, 0] == 3.9


def test_keys_that_are_no_paths_are_refused_and_stay_in_the_cache(server: S3Server, cache: Path) -> None:
    for key in ("odd//x.vasp", "odd/%2E%2E/%2E%2E/y.vasp", "odd/z.vasp"):
        server.put(f"lab/{key}", POSCAR.format(a=3.6))
    block = read("s3://lab/odd")
    assert block.source_ids == ["z.vasp"] and len(block.rejected) == 2
    assert {path.relative_to(cache).parts[0] for path in cache.rglob("*")} == {"objects"}


ERRORS = {
    "s3://nothing-of-this-name/x": "no such bucket",
    "s3://forbidden/x": "access is denied",
    "s3://elsewhere/x/": "another region",
    "s3://lab/none.parquet": "no such object, folder or match",
    "s3://lab/set/readme.md": "no object that can be read",
    "s3://lab/set/*.nothing": "no such object",
}


@pytest.mark.parametrize(("address", "said"), ERRORS.items())
def test_what_is_wrong_is_said_in_one_line(address: str, said: str, server: S3Server) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        open_source(address)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 900


def test_offline_asks_nobody(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GMTSCREEN_OFFLINE", "1")
    n_requests = server.n_requests.total()
    with pytest.raises(SourceError, match="GMTSCREEN_OFFLINE"):
        open_source("s3://lab/set")
    assert server.n_requests.total() == n_requests


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: S3Server) -> Settings:
    monkeypatch.setenv("GMTSCREEN_MODELS", f"s3://lab/{tmp_path.name}/models")
    return load_settings(db=str(tmp_path / "hits.db"), model="toy")


def installed(settings: Settings, tmp_path: Path) -> ModelProvenance:
    """A version in the bucket, current in the database."""
    card = checkpoint(tmp_path / "run", b"weights")
    folder, files = install_checkpoint(card, models_folder(settings), "toy", "2")
    provenance = ModelProvenance(str(folder), files)
    with ResultStore(settings.database) as store:
        store.register_model(ModelVersion("toy", "2", "2" * 64), {}, provenance)
        store.promote_model("toy", "2", DecisionRecord("ana", "better"))
    return provenance


def test_a_model_is_uploaded_with_its_card_last_and_read_through_a_proven_copy(
    settings: Settings, tmp_path: Path, server: S3Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[str] = []
    write = ObjectStore.write

    def noted(store: ObjectStore, path: str, content: bytes) -> None:
        writes.append(path)
        write(store, path, content)

    monkeypatch.setattr(ObjectStore, "write", noted)
    provenance = installed(settings, tmp_path)
    assert provenance.folder == f"s3://lab/{tmp_path.name}/models/toy/2"
    assert [path.rpartition("/")[2] for path in writes] == ["toy.novelty.safetensors", "toy.safetensors", "toy.json"]
    card = Path(chosen_model(settings).model)
    assert card.is_relative_to(cache) and json.loads(card.read_text(encoding="utf-8")) == {"name": "toy"}
    assert sorted(path.name for path in card.parent.iterdir()) == sorted(provenance.files)
    n_requests = server.n_requests.total()
    assert Path(chosen_model(settings).model) == card
    assert server.n_requests.total() == n_requests, "a whole copy was fetched again"
    # Again the same files: nothing is written. Other files: refused, and what is there stays.
    install_checkpoint(tmp_path / "run" / "toy.json", models_folder(settings), "toy", "2")
    other = checkpoint(tmp_path / "other", b"other weights")
    with pytest.raises(ModelError, match=r"toy.safetensors was changed.*immutable"):
        install_checkpoint(other, models_folder(settings), "toy", "2")
    assert len(writes) == 3 and server.get(f"lab/{tmp_path.name}/models/toy/2/toy.safetensors") == b"weights"


def test_other_weights_in_the_bucket_or_in_the_copy_are_never_used(
    settings: Settings, tmp_path: Path, server: S3Server, cache: Path
) -> None:
    installed(settings, tmp_path)
    weights = Path(chosen_model(settings).model).with_name("toy.safetensors")
    weights.chmod(0o644)
    weights.write_bytes(b"tampered")
    assert Path(chosen_model(settings).model).with_name("toy.safetensors").read_bytes() == b"weights"
    weights.unlink()
    server.put(f"lab/{tmp_path.name}/models/toy/2/toy.safetensors", b"tampered")
    with pytest.raises(ModelError, match=r"in s3://lab/.* toy.safetensors was changed.*rollback toy"):
        chosen_model(settings)
    assert not weights.exists()


def test_data_sets_stay_on_a_disk(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert datasets_folder(settings) == Path(settings.database + ".datasets")
    on_server = load_settings(db="postgresql://u@h/d")
    with pytest.raises(ModelError, match="GMTSCREEN_DATASETS"):
        datasets_folder(on_server)
    monkeypatch.setenv("GMTSCREEN_DATASETS", str(tmp_path / "sets"))
    assert datasets_folder(load_settings(db="postgresql://u@h/d")) == tmp_path / "sets"
    monkeypatch.setenv("GMTSCREEN_MODELS", f"file://{tmp_path}/models")
    assert models_folder(load_settings(db="postgresql://u@h/d")) == tmp_path / "models"


def test_an_object_that_is_replaced_after_it_was_listed_is_not_mixed(server: S3Server) -> None:
    server.put("lab/late/x.vasp", POSCAR.format(a=3.6))
    source = open_source("s3://lab/late")
    server.put("lab/late/x.vasp", POSCAR.format(a=3.9))
    with pytest.raises(StorageError, match="changed while it was read"):
        list(source.blocks())
