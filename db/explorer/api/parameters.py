"""Query parameters that several routes take."""

from typing import Annotated

from fastapi import Query

FilterText = Annotated[str, Query(description="Filter; empty means all, preset:NAME is one too.")]
SortText = Annotated[str, Query(description="Property to sort by, '-' in front for descending.")]
FieldNames = Annotated[str, Query(description="Properties, separated by commas; empty gives the main ones.")]
ModelName = Annotated[str, Query(description="NAME or NAME@VERSION; empty takes each crystal's current model.")]


def names_in(text: str) -> list[str] | None:
    """Names separated by commas; None where there is none."""
    return [name.strip() for name in text.split(",") if name.strip()] or None
