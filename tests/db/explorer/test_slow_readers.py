"""A reader that takes nothing holds up only itself: downloads have places of their own and end in time."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from db.explorer.api.export import _OwnFile
from db.explorer.limits import ServerSettings
from db.explorer.queue import DOWNLOAD, QueryQueue


async def endless(_scope: Scope, _receive: Receive, send: Send) -> None:
    """An application whose answers are sent without end."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"rows", "more_body": True})


def asked(path: str) -> Scope:
    """A request for a path."""
    return {"type": "http", "path": path, "method": "GET", "headers": [], "query_string": b""}


class Reader:
    """Takes the head of an answer, and of its body nothing."""

    def __init__(self) -> None:
        self.status = 0

    async def __call__(self, message: Message) -> None:
        """What a server does whose client does not read."""
        if message["type"] == "http.response.body" and self.status == 200:
            await asyncio.Event().wait()
        self.status = message.get("status", self.status)


def test_downloads_that_nobody_reads_leave_room_for_questions_and_are_given_up() -> None:
    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == DOWNLOAD:
            await endless(scope, receive, send)
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def crowd() -> tuple[list[int], int]:
        limits = ServerSettings(concurrent_queries=3, concurrent_downloads=2, queue_timeout_s=0.02, send_timeout_s=0.3)
        queue = QueryQueue(answers, limits)
        readers = [Reader() for _ in range(5)]
        downloads = [asyncio.create_task(queue(asked(DOWNLOAD), None, reader)) for reader in readers]  # type: ignore[arg-type]
        await asyncio.sleep(0.1)
        question = Reader()
        await queue(asked("/api/v1/count"), None, question)  # type: ignore[arg-type]
        await asyncio.wait_for(asyncio.gather(*downloads), 5)
        late = Reader()
        await asyncio.wait_for(queue(asked(DOWNLOAD), None, late), 5)  # type: ignore[arg-type]
        return sorted(reader.status for reader in [*readers, late]), question.status

    statuses, question = asyncio.run(crowd())
    assert statuses == [200, 200, 200, 503, 503, 503]
    assert question == 204


def test_a_failure_of_the_application_is_no_slow_reader() -> None:
    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise TimeoutError("of the database")

    with pytest.raises(TimeoutError, match="database"):
        asyncio.run(QueryQueue(broken, ServerSettings())(asked("/api/v1/count"), None, Reader()))  # type: ignore[arg-type]


def test_the_file_of_a_download_goes_also_when_its_reader_is_given_up(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "hits.parquet").write_bytes(b"columns")

    async def gone(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise TimeoutError

    async def receive() -> Any:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(_OwnFile(folder / "hits.parquet")(asked(DOWNLOAD), receive, gone))
    assert not folder.exists()
