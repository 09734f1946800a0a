"""Which model a name means: the version that the database has promoted, else the one that comes with the program."""

import getpass
import os
import socket
from pathlib import Path
from typing import Any

from db.records import ModelProvenance
from db.store import ResultStore
from gmt_tasks.registry.model_files import intact_card, models_folder
from gmt_tasks.settings import Settings
from models.errors import ModelError
from models.gmtnet.card import find_checkpoint
from models.gmtnet.training_data.split_table import SplitTable, load_split_table


def chosen_model(settings: Settings) -> Settings:
    """The settings with the model that they mean in their database, as the path of a card where it has one of its own.

    Args:
        settings: with a model given as NAME, NAME@VERSION or a path.

    Raises:
        ModelError: files of that version are missing or were changed.
    """
    is_path = settings.model.endswith(".json") or Path(settings.model).is_dir()
    # Without a database nothing was ever promoted; it must not be made by asking for a model.
    has_database = "://" in settings.database or Path(settings.database).exists()
    if is_path or not has_database:
        return settings
    with ResultStore.open_existing(settings.database) as store:
        row = registered(store, settings.model)
    card = None if row is None else card_of(row, settings)
    return settings if card is None else settings.model_copy(update={"model": str(card)})


def current_split(settings: Settings) -> SplitTable | None:
    """The split of the model that the settings mean; None for one of before there were tables, or where there is none.

    Raises:
        ModelError: files of that version are missing or were changed.
    """
    model = chosen_model(settings).model
    try:
        card = find_checkpoint(model)
    except ModelError:  # a name whose first model is yet to come
        return None
    return load_split_table(card)


def registered(store: ResultStore, model: str) -> dict[str, Any] | None:
    """The row of a version that a database knows, of the current one for a bare name; None when it knows none."""
    name, _, version = model.partition("@")
    rows = [row for row in store.list_models() if row["name"] == name]
    if version:
        chosen = [row for row in rows if row["version"] == version]
    else:
        chosen = [row for row in rows if row["state"] == "current"]
    return chosen[0] if chosen else None


def card_of(row: dict[str, Any], settings: Settings) -> Path | None:
    """The card of a registered version, checked; None for a version that comes with the program.

    Raises:
        ModelError: files are missing or were changed.
    """
    if not row["files"]:
        return None
    try:
        folder = models_folder(settings)
    except ModelError:
        folder = None  # a database on a server: the place that it names is all there is
    provenance = ModelProvenance(row["folder"] or "", row["files"], row["snapshot"] or "", row["code_version"] or "")
    return intact_card(f"{row['name']}@{row['version']}", provenance, folder)


def who_decides(settings: Settings) -> str:
    """Who a decision is ascribed to: `GMTSCREEN_USER`, else login@machine."""
    if settings.user:
        return settings.user
    try:
        login = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        login = f"uid{os.getuid()}"
    return f"{login}@{socket.gethostname()}"
