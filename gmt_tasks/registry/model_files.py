"""Where the models of a database lie: MODELS/NAME/VERSION/ with weights, card and distance score, never changed again.

The folder of models is `GMTSCREEN_MODELS`, by default `<database>.models` beside an SQLite file; it may be an address
in object storage (stored_models.py). A version appears under its name when all its files are there, read-only; the
database keeps the sha256 of each. Without torch.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from db.records import ModelProvenance
from gmt_tasks.settings import Settings
from gmt_tasks.storage.address import StorageAddress, child_address, is_stored, local_path
from models.errors import ModelError, SourceError
from models.gmtnet.card import WEIGHTS_FOLDER

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)
_SUFFIXES = (".json", ".safetensors")


def models_folder(settings: Settings) -> Path | str:
    """The folder of the models that belong to a database, or its address in object storage.

    Raises:
        ModelError: the database is on a server and no folder was named, or the address is none.
    """
    if settings.models is not None:
        return folder_or_address(settings.models)
    if "://" in settings.database:
        raise ModelError(
            "The database is on a server, so its models have no place beside it. Name a folder that every machine that "
            "screens can read, or an address (s3://bucket/models), in GMTSCREEN_MODELS."
        )
    return Path(settings.database + ".models").absolute()


def folder_or_address(place: Path | str) -> Path | str:
    """A folder as an absolute path; an address in object storage as it is, checked.

    Raises:
        ModelError: it has the form of an address and is none that is known.
    """
    if isinstance(place, Path) or "://" not in place:
        return Path(place).absolute()
    try:
        if is_stored(place):
            StorageAddress.parse(place)
            return place
        path = local_path(place)
    except SourceError as error:
        raise ModelError(f"The folder of models cannot be used: {error}") from error
    if "://" in path:
        raise ModelError("The folder of models is a path, or an address: s3://bucket/models, gs://..., file:///path.")
    return Path(path)


def datasets_folder(settings: Settings) -> Path:
    """The folder of dataset snapshots, on this machine's disk: `GMTSCREEN_DATASETS`, or beside that of the models.

    Raises:
        ModelError: none was named where the models lie in object storage, or as of `models_folder`.
    """
    if settings.datasets is not None:
        return settings.datasets.absolute()
    models = models_folder(settings)
    if isinstance(models, Path):
        return models.with_suffix(".datasets")
    if "://" in settings.database:
        raise ModelError("The models lie in object storage: name a folder for data sets in GMTSCREEN_DATASETS.")
    return Path(settings.database + ".datasets").absolute()


def base_labels(name: str) -> Path | None:
    """Folder of the public labels that come with a shipped model, a dataset snapshot; None where it has none."""
    folder = WEIGHTS_FOLDER / f"{name}.labels"
    return folder if folder.is_dir() else None


def checkpoint_files(card: Path) -> dict[str, str]:
    """sha256 of a card and of the files of the same name beside it, by file name."""
    paths = sorted(path for path in card.parent.glob(f"{card.stem}.*") if path.suffix in _SUFFIXES)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def whole_checkpoint_files(card: Path) -> dict[str, str]:
    """sha256 of the files of a checkpoint that has everything that its card pins, by file name.

    A version never changes: one that came without its split table could not be retrained ever after.

    Raises:
        ModelError: a file beside the weights is missing or is not the one that the card describes.
    """
    files = checkpoint_files(card)
    pinned = json.loads(card.read_text(encoding="utf-8"))
    wrong = []
    for kind in ("novelty", "split"):
        name, sha256 = f"{card.stem}.{kind}.safetensors", pinned.get(f"{kind}_sha256")
        if sha256 and files.get(name) != sha256:
            wrong.append(f"{name} {'is not the one that the card describes' if name in files else 'is missing'}")
    if wrong:
        raise ModelError(f"{card} is no whole checkpoint: {'; '.join(wrong)}. Restore what belongs beside the card.")
    return files


def install_checkpoint(card: Path, models: Path | str, name: str, version: str) -> tuple[Path | str, dict[str, str]]:
    """Copies a checkpoint to MODELS/NAME/VERSION, once.

    Args:
        card: NAME.json with its files beside it.
        models: folder of models, or its address in object storage.
        name: of the model.
        version: of the model.

    Returns:
        The folder or address, and sha256 by file name. The same version with the same files may be installed again.

    Raises:
        ModelError: the version has other files there already, or name or version cannot name a folder.
    """
    if not _FOLDER_NAME.fullmatch(name) or not _FOLDER_NAME.fullmatch(version):
        raise ModelError(f"{name}@{version} cannot name a folder: use letters, digits and . _ + - in both.")
    files = whole_checkpoint_files(card)
    folder: Path | str
    if isinstance(models, str):
        from gmt_tasks.registry.stored_models import upload_checkpoint

        folder = child_address(models, name, version)
        faults = upload_checkpoint(card, folder, files)
    else:
        folder = models / name / version
        if not folder.exists():
            _copy_whole(card, files, folder)
        faults = file_faults(folder, files)
    if faults:
        raise ModelError(
            f"{folder} holds other files than {card}: {'; '.join(faults)}. Versions are immutable: give the changed "
            "model a new version."
        )
    return folder, files


def _copy_whole(card: Path, files: Iterable[str], folder: Path) -> None:
    """Copies files beside their place and renames them: a version appears whole, or not at all when this is killed."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for file in files:
        shutil.copyfile(card.parent / file, partial / file)
        (partial / file).chmod(0o444)
    try:
        partial.rename(folder)
    except OSError:  # another process was faster; its files are compared by whoever called
        shutil.rmtree(partial, ignore_errors=True)


def file_faults(folder: Path, files: Mapping[str, str]) -> list[str]:
    """What is wrong with the files of a version: each missing or changed one; empty when all are as they were.

    Args:
        folder: of the version.
        files: sha256 by file name, as the database keeps them.
    """
    faults = []
    for name, sha256 in files.items():
        path = folder / name
        if not path.is_file():
            faults.append(f"{name} is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            faults.append(f"{name} was changed")
    return faults


def intact_card(model: str, provenance: ModelProvenance, models: Path | str | None = None) -> Path:
    """The card of a version whose files are all there and unchanged, as a local file.

    Args:
        model: NAME@VERSION.
        provenance: where its files lay when it was registered.
        models: folder or address of models; the version is looked for there too when its folder is gone.

    Raises:
        ModelError: files are missing or changed; names them and says what to do.
    """
    name, _, version = model.partition("@")
    # The folder of models may have been moved or be mounted elsewhere since, or moved into object storage.
    places: list[Path | str] = [folder_or_address(provenance.folder)]
    if models is not None:
        places.append(models / name / version if isinstance(models, Path) else child_address(models, name, version))
    addresses = [place for place in places if isinstance(place, str)]
    folder = next((place for place in places if isinstance(place, Path) and place.is_dir()), Path(provenance.folder))
    shown, faults = str(folder), file_faults(folder, provenance.files)
    if addresses and not folder.is_dir():
        from gmt_tasks.registry.stored_models import download_checkpoint

        # Where models lie now, then where this one was registered.
        for address in reversed(addresses):
            folder, faults = download_checkpoint(address, provenance.files)
            shown = str(StorageAddress.parse(address))
            if not faults:
                break
    if faults:
        raise ModelError(
            f"{model} cannot be used: in {shown} {'; '.join(faults)}. Restore {len(faults)} of "
            f"{len(provenance.files)} files from a copy, or go back with "
            f"`gmtscreen models rollback {shlex.quote(name)}`."
        )
    return folder / f"{name}.json"
