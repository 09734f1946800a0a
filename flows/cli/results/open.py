"""What commands that read share: the database, lists of columns, filters that cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.terminal.console import show_filter

if TYPE_CHECKING:
    from db.store import ResultStore


def open_store(db: str | None) -> "ResultStore":
    """The database of the option, the environment or the default; it must exist."""
    from db.store import ResultStore
    from gmt_tasks.settings import load_settings

    return ResultStore.open_existing(load_settings(db=db).database)


def split_names(text: str | None) -> list[str] | None:
    """The names of a list separated by commas; None where there is none."""
    names = [name.strip() for name in (text or "").split(",")]
    return [name for name in names if name] or None


@contextmanager
def filter_shown(text: str) -> Iterator[None]:
    """Prints a filter with a mark at the place of its fault, before the line that says what the fault is."""
    from models.errors import FilterError

    try:
        yield
    except FilterError as error:
        show_filter(text, error.position)
        raise
