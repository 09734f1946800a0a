"""Model versions in object storage: uploaded with the card last, read through local copies that their sha256 proves.

A version is there when its card is: whoever reads finds all its files or none. What counts as unchanged is in the
database, not beside the files, so that nobody who may write to the bucket can put other weights in their place.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from gmt_tasks.settings import load_remote_settings
from gmt_tasks.storage.address import StorageAddress
from gmt_tasks.storage.object_store import ObjectStore
from models.errors import ModelError, SourceError

MAX_FILE_BYTES = 8 << 30
_FILE_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*\.(?:json|safetensors)", re.ASCII)


def upload_checkpoint(card: Path, address: str, files: Mapping[str, str]) -> list[str]:
    """Copies a checkpoint to an address, once; the same files may be uploaded again.

    Args:
        card: NAME.json with its files beside it.
        address: of the version.
        files: sha256 by file name.

    Returns:
        What differs where other files are there already; empty when all is as it should be.

    Raises:
        ModelError: no access, or no answer.
    """
    with _as_model_error():
        folder = StorageAddress.parse(address)
        store = ObjectStore(folder, load_remote_settings().s3_endpoint)
        if store.find(f"{folder.path}/{card.name}") is None:
            for name in sorted(files, key=lambda name: name == card.name):
                store.write(f"{folder.path}/{name}", (card.parent / name).read_bytes())
        # Read back: another process may have uploaded another model as this version at the same time.
        return _faults({name: _content(store, f"{folder.path}/{name}") for name in files}, files)


def download_checkpoint(address: str, files: Mapping[str, str]) -> tuple[Path, list[str]]:
    """A local copy of a version; nothing is asked of the server where the copy is whole.

    Args:
        address: of the version.
        files: sha256 by file name, as the database keeps them.

    Returns:
        The folder of the copy, and what is wrong: each missing or changed file.

    Raises:
        ModelError: no access, no answer, or no room for the copy.
    """
    settings = load_remote_settings()
    # By content: another version never meets this folder, and an address that was moved still does.
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:24]
    copy = settings.cache_folder / "models" / digest
    faults: list[str] = []
    with _as_model_error():
        folder = StorageAddress.parse(address)
        store = ObjectStore(folder, settings.s3_endpoint)
        for name, sha256 in files.items():
            if not _FILE_NAME.fullmatch(name):
                raise ModelError(f"{name[:80]!r} cannot be the file of a model.")
            path = copy / name
            if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
                continue
            if settings.offline:
                raise ModelError(f"{folder}/{name} cannot be fetched while GMTSCREEN_OFFLINE is set. Unset it.")
            content = _content(store, f"{folder.path}/{name}")
            faults += (found := _faults({name: content}, {name: sha256}))
            if content is not None and not found:
                # Whole or not at all, also beside another process that does the same.
                copy.mkdir(parents=True, exist_ok=True)
                partial = path.with_name(f".{name}.{os.getpid()}")
                partial.write_bytes(content)
                partial.chmod(0o444)
                partial.replace(path)
    return copy, faults


def _content(store: ObjectStore, path: str) -> bytes | None:
    """The content of an object; None where it is not there."""
    return None if store.find(path) is None else store.read(path, MAX_FILE_BYTES)


def _faults(contents: Mapping[str, bytes | None], files: Mapping[str, str]) -> list[str]:
    """What is wrong with the contents of files by their sha256."""
    missing = [f"{name} is missing" for name in files if contents[name] is None]
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items() if content is not None}
    return missing + [f"{name} was changed" for name, digest in digests.items() if digest != files[name]]


@contextmanager
def _as_model_error() -> Iterator[None]:
    """Says of what storage refuses, or a disk, that the model cannot be used."""
    try:
        yield
    except (SourceError, OSError) as error:
        raise ModelError(f"The model cannot be read from or written to object storage: {error}") from error
