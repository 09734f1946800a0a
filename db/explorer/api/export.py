"""Downloads of hits: CSV, JSON, extended XYZ, Parquet; written while they are read."""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from itertools import chain
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from db.explorer.answers import json_bytes
from db.explorer.api.parameters import FieldNames, FilterText, ModelName, SortText, names_in
from db.explorer.context import Context, Explorer
from db.query.properties import PROPERTIES
from db.query.request import Request as Search
from db.query.request import field_names
from db.query.store import new_request

router = APIRouter()


class ExportFormat(StrEnum):
    """Formats of a download; also the ends of their files' names."""

    CSV = "csv"
    JSON = "json"
    EXTXYZ = "extxyz"
    PARQUET = "parquet"


MEDIA_TYPES = {
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.JSON: "application/json",
    ExportFormat.EXTXYZ: "text/plain; charset=utf-8",
    ExportFormat.PARQUET: "application/vnd.apache.parquet",
}


@router.get("/export")
def export(
    explorer: Context,
    *,
    filter: FilterText = "",
    format: ExportFormat = ExportFormat.CSV,
    sort: SortText = "",
    fields: FieldNames = "",
    limit: int = 0,
    model: ModelName = "",
) -> Response:
    """All hits as a file, up to the server's largest number of rows."""
    largest = explorer.settings.export_rows
    n_rows = min(limit, largest) if limit > 0 else largest
    # Without a choice a file gets every property: what is left out of it cannot be asked for later.
    names = field_names(names_in(fields)) if fields else tuple(PROPERTIES)
    search = new_request(filter, names, sort or None, n_rows, model or None)
    headers = {"content-disposition": f'attachment; filename="gmtscreen.{format.value}"', "cache-control": "no-store"}
    if format is ExportFormat.PARQUET:
        return _parquet(explorer, search, headers)
    blocks = {ExportFormat.CSV: csv_blocks, ExportFormat.JSON: json_blocks, ExportFormat.EXTXYZ: extxyz_blocks}[format]
    lines = blocks(explorer, search)
    # The first block is made here: a filter that cannot be read is answered with its error, not with half a file.
    first = next(lines, b"")
    return StreamingResponse(chain([first], lines), media_type=MEDIA_TYPES[format], headers=headers)


def _parquet(explorer: Explorer, search: Search, headers: dict[str, str]) -> Response:
    """The hits as a Parquet file, whose end says where its columns are: it is complete before it is sent."""
    folder = Path(tempfile.mkdtemp(prefix="gmt-export-"))
    file = folder / "gmtscreen.parquet"
    try:
        explorer.services.write_parquet(explorer.store.hits(search), search.fields, file)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return _OwnFile(file, media_type=MEDIA_TYPES[ExportFormat.PARQUET], headers=headers)


class _OwnFile(FileResponse):
    """A file that goes with its folder when it was sent, or when its reader was given up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            shutil.rmtree(Path(self.path).parent, ignore_errors=True)


def csv_blocks(explorer: Explorer, search: Search) -> Iterator[bytes]:
    """The hits as CSV with tensors: empty cells for unknown values, lists joined by semicolons."""
    for text in explorer.services.csv(explorer.store.hits(search), search.fields):
        yield text.encode()


def json_blocks(explorer: Explorer, search: Search) -> Iterator[bytes]:
    """The hits as one JSON list."""
    separator = b"["
    for rows in explorer.store.stream(search):
        yield separator + json_bytes(rows)[1:-1]
        separator = b",\n"
    yield b"[]" if separator == b"[" else b"]"


def extxyz_blocks(explorer: Explorer, search: Search) -> Iterator[bytes]:
    """The hits as frames of extended XYZ."""
    for hits in explorer.store.hits(replace(search, fields=tuple(PROPERTIES))):
        yield explorer.services.extxyz(hits).encode()
