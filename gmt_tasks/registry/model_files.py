"""Where the models of a database lie: MODELS/NAME/VERSION/ with weights, card and distance score, never changed again.

The folder of models is `GMTSCREEN_MODELS`, by default `<database>.models` beside an SQLite file. A version appears
under its name when all its files are there, read-only; the database keeps the sha256 of each. Without torch.
"""

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from db.records import ModelProvenance
from gmt_tasks.settings import Settings
from models.errors import ModelError
from models.gmtnet.card import WEIGHTS_FOLDER

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)
_SUFFIXES = (".json", ".safetensors")


def models_folder(settings: Settings) -> Path:
    """The folder of the models that belong to a database.

    Raises:
        ModelError: the database is on a server and no folder was named.
    """
    if settings.models is not None:
        return settings.models.absolute()
    if "://" in settings.database:
        raise ModelError(
            "The database is on a server, so its models have no place beside it. Name a folder that every machine that "
            "screens can read, in GMTSCREEN_MODELS."
        )
    return Path(settings.database + ".models").absolute()


def datasets_folder(settings: Settings) -> Path:
    """The folder of dataset snapshots, beside that of the models; errors as of `models_folder`."""
    return models_folder(settings).with_suffix(".datasets")


def base_labels(name: str) -> Path | None:
    """Folder of the public labels that come with a shipped model, a dataset snapshot; None where it has none."""
    folder = WEIGHTS_FOLDER / f"{name}.labels"
    return folder if folder.is_dir() else None


def checkpoint_files(card: Path) -> dict[str, str]:
    """sha256 of a card and of the files of the same name beside it, by file name."""
    paths = sorted(path for path in card.parent.glob(f"{card.stem}.*") if path.suffix in _SUFFIXES)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def install_checkpoint(card: Path, models: Path, name: str, version: str) -> tuple[Path, dict[str, str]]:
    """Copies a checkpoint to MODELS/NAME/VERSION, once.

    Args:
        card: NAME.json with its files beside it.
        models: folder of models.
        name: of the model.
        version: of the model.

    Returns:
        The folder, and sha256 by file name. The same version with the same files may be installed again.

    Raises:
        ModelError: the version has other files there already, or name or version cannot name a folder.
    """
    if not _FOLDER_NAME.fullmatch(name) or not _FOLDER_NAME.fullmatch(version):
        raise ModelError(f"{name}@{version} cannot name a folder: use letters, digits and . _ + - in both.")
    folder, files = models / name / version, checkpoint_files(card)
    if not folder.exists():
        # Copied beside and renamed: a version appears whole, or not at all when this process is killed.
        partial = models / name / f".{version}.{os.getpid()}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for file in files:
            shutil.copyfile(card.parent / file, partial / file)
            (partial / file).chmod(0o444)
        try:
            partial.rename(folder)
        except OSError:  # another process was faster; its files are compared below
            shutil.rmtree(partial, ignore_errors=True)
    faults = file_faults(folder, files)
    if faults:
        raise ModelError(
            f"{folder} holds other files than {card}: {'; '.join(faults)}. Versions are immutable: give the changed "
            "model a new version."
        )
    return folder, files


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


def intact_card(model: str, provenance: ModelProvenance, models: Path | None = None) -> Path:
    """The card of a version whose files are all there and unchanged.

    Args:
        model: NAME@VERSION.
        provenance: where its files lay when it was registered.
        models: folder of models; the version is looked for there too when its folder is gone.

    Raises:
        ModelError: files are missing or changed; names them and says what to do.
    """
    name, _, version = model.partition("@")
    # The folder of models may have been moved or be mounted elsewhere since.
    places = [Path(provenance.folder), *([models / name / version] if models is not None else [])]
    folder = next((place for place in places if place.is_dir()), places[0])
    faults = file_faults(folder, provenance.files)
    if faults:
        raise ModelError(
            f"{model} cannot be used: in {folder} {'; '.join(faults)}. Restore {len(faults)} of "
            f"{len(provenance.files)} files from a copy, or go back with "
            f"`gmtscreen models rollback {shlex.quote(name)}`."
        )
    return folder / f"{name}.json"
