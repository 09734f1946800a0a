"""What lies in object storage: listed, read from any place on, and written whole; through pyarrow's filesystems.

Only the driver comes here: children that read foreign files have no network and are given local copies (cache.py).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property, partial
from typing import Any

from gmt_tasks.storage.address import StorageAddress
from gmt_tasks.telemetry import redact
from models.errors import SourceError

CONNECT_TIMEOUT_S = 10.0
REQUEST_TIMEOUT_S = 60.0
MAX_ATTEMPTS = 4
MAX_ETAGS = 1000
"""So many objects are asked for their etag, one request each; a longer list counts by size and time alone."""

_PARALLEL = 16
_PIECE_BYTES = 8 << 20
_CAUSES = {
    "there is no such bucket": (r"NO_?SUCH_?BUCKET|bucket\b.{0,300}\bdoes not exist",),
    "it lies in another region; give ?region=NAME or AWS_REGION": (
        r"HTTP status 301|PERMANENT_?REDIRECT|AuthorizationHeaderMalformed",
    ),
    "the server does not answer": (
        r"timeout|timed out|NETWORK_CONNECTION|curlCode|Couldn't connect|UNAVAILABLE|Retry policy exhausted",
    ),
    "access is denied; check the credentials of the provider's chain, or give ?anonymous=true for public data": (
        r"ACCESS_?DENIED|PERMISSION_DENIED|UNAUTHENTICATED|UNRECOGNIZED_CLIENT|INVALID_ACCESS_KEY|SIGNATURE",
        r"HTTP (?:response code |status )?40[13]|credentials|No response body",
    ),
    "it does not exist": (r"HTTP (?:response code |status )?404|NOT_FOUND|NoSuchKey|does not exist",),
}
"""What a provider's library may write about a failure, by what it means; the first that fits counts."""


class StorageError(SourceError):
    """Object storage does not give or take what was asked; `may_pass` where the same call may succeed later."""

    def __init__(self, message: str, *, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


@dataclass(frozen=True)
class StoredObject:
    """One object as a listing describes it.

    Attributes:
        path: bucket and key.
        label: its name below the folder that was listed, with `/`.
        n_bytes: its size.
        modified_ns: when it was written, in nanoseconds since 1970.
        etag: the server's name for the content; empty where it was not asked for.
    """

    path: str
    label: str
    n_bytes: int
    modified_ns: int
    etag: str = ""

    @property
    def is_addressable(self) -> bool:
        """Whether it can be asked for: a key with an empty part, `.` or `..` means another object to the client."""
        return not {"", ".", ".."} & set(self.path.split("/"))

    @property
    def version(self) -> str:
        """A text that changes when the object is written anew."""
        return f"{self.n_bytes} {self.modified_ns} {self.etag}"


class ObjectStore:
    """The server of an address.

    Args:
        address: whose scheme, endpoint, region and credentials are used; any bucket may be asked for.
        s3_endpoint: address of the server where `address` names none (AWS_ENDPOINT_URL); None for the provider's own.
    """

    def __init__(self, address: StorageAddress, s3_endpoint: str | None = None) -> None:
        if s3_endpoint and address.scheme == "s3" and not address.endpoint:
            address = address.at(s3_endpoint)
        self.address = address

    @cached_property
    def _files(self) -> Any:
        """pyarrow's filesystem; nothing is asked of the server yet."""
        from pyarrow import fs

        address = self.address
        endpoint = {"endpoint_override": address.endpoint} if address.endpoint else {}
        scheme = {"scheme": "https" if address.is_encrypted else "http"} if address.endpoint else {}
        try:
            if address.scheme == "gs":
                patience = timedelta(seconds=MAX_ATTEMPTS * CONNECT_TIMEOUT_S)
                return fs.GcsFileSystem(anonymous=address.anonymous, retry_time_limit=patience, **scheme, **endpoint)
            return fs.S3FileSystem(
                anonymous=address.anonymous,
                region=address.region or None,
                connect_timeout=CONNECT_TIMEOUT_S,
                request_timeout=REQUEST_TIMEOUT_S,
                retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=MAX_ATTEMPTS),
                **scheme,
                **endpoint,
            )
        except (OSError, ValueError) as error:
            raise self._error(str(address), error) from error

    @contextmanager
    def _named(self, path: str) -> Iterator[None]:
        """Turns what the library raises about a path into one line."""
        try:
            yield
        except OSError as error:
            raise self._error(f"{self.address.scheme}://{path}", error) from error

    @staticmethod
    def _error(what: str, error: Exception) -> StorageError:
        text = str(error)
        flags = re.IGNORECASE | re.DOTALL
        cause = next((cause for cause, patterns in _CAUSES.items() if re.search("|".join(patterns), text, flags)), "")
        may_pass = cause == "the server does not answer"
        detail = cause or redact(" ".join(text.split()))[:200]
        advice = ". Run the same command again: it goes on where it was." if may_pass else "."
        return StorageError(f"{what} cannot be used: {detail}{advice}", may_pass=may_pass)

    def find(self, path: str) -> StoredObject | None:
        """The object at a path; None where none is."""
        from pyarrow import fs

        with self._named(path):
            (info,) = self._files.get_file_info([path])
        return _described(info, path.rpartition("/")[2]) if info.type == fs.FileType.File else None

    def list_folder(self, folder: str) -> list[StoredObject]:
        """All objects below a folder, sorted by label; none where there is no such folder.

        Raises:
            StorageError: no such bucket, no access, or no answer.
        """
        from pyarrow import fs

        with self._named(folder):
            infos = self._files.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
            if not infos:
                # An empty answer says nothing of the bucket.
                bucket = folder.partition("/")[0]
                (about,) = self._files.get_file_info([bucket])
                if about.type == fs.FileType.NotFound:
                    raise StorageError(f"{self.address.scheme}://{bucket} cannot be used: there is no such bucket.")
        found = [_described(info, info.path[len(folder) + 1 :]) for info in infos if info.is_file]
        return sorted(found, key=lambda stored: stored.label)

    def with_etags(self, objects: Sequence[StoredObject]) -> list[StoredObject]:
        """The objects with their etags, up to `MAX_ETAGS` of them: what two writes within a second differ by."""
        if len(objects) > MAX_ETAGS:
            return list(objects)
        with ThreadPoolExecutor(_PARALLEL) as threads:
            etags = threads.map(lambda stored: self.etag(stored.path) if stored.is_addressable else "", objects)
            return [replace(stored, etag=etag) for stored, etag in zip(objects, etags, strict=True)]

    def etag(self, path: str) -> str:
        """The server's name for the content of an object; empty where it has none."""
        with self._named(path), self._files.open_input_stream(path) as stream:
            return _etag_of(stream.metadata() or {})

    @contextmanager
    def opened(self, path: str) -> Iterator["OpenObject"]:
        """An object that is read from any place on."""
        with self._named(path):
            stream = self._files.open_input_file(path)
        with stream:
            yield OpenObject(stream, _etag_of(stream.metadata() or {}), partial(self._named, path))

    def read(self, path: str, max_bytes: int) -> bytes:
        """The whole content of an object.

        Raises:
            StorageError: it is larger than the bound, or cannot be read.
        """
        with self._named(path), self._files.open_input_file(path) as stream:
            content: bytes = stream.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise StorageError(f"{self.address.scheme}://{path} is larger than {max_bytes:,} bytes.")
        return content

    def write(self, path: str, content: bytes) -> None:
        """Writes an object; it appears when all of it has arrived, or not at all."""
        with self._named(path), self._files.open_output_stream(path) as stream:
            stream.write(content)


@dataclass(frozen=True)
class OpenObject:
    """An object while it is read.

    Attributes:
        stream: pyarrow's file.
        etag: the server's name for the content when it was opened; empty where it has none.
        named: turns what the library raises into one line.
    """

    stream: Any
    etag: str
    named: Callable[[], AbstractContextManager[None]]

    def pieces(self, start: int = 0) -> Iterator[bytes]:
        """The bytes from place `start` on, in pieces of a few MiB."""
        self.stream.seek(start)
        while True:
            with self.named():  # around the reading alone: what the caller raises is not the server's
                piece: bytes = self.stream.read(_PIECE_BYTES)
            if not piece:
                return
            yield piece


def _described(info: Any, label: str) -> StoredObject:
    return StoredObject(info.path, label, int(info.size or 0), int(info.mtime_ns or 0))


def _etag_of(metadata: dict[bytes | str, bytes | str]) -> str:
    """The etag, or a provider's number of the content, among the headers of an object."""
    texts = {}
    for name, value in metadata.items():
        key = name.decode() if isinstance(name, bytes) else name
        texts[key.lower()] = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return texts.get("etag", "") or texts.get("generation", "")
