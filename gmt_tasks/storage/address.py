"""Addresses in object storage: `s3://bucket/key`, `gs://bucket/key`, and `file:///path` for what is local after all.

Keys are taken as they are written (no percent-decoding, as the providers' own tools do). Behind a `?` may stand
`endpoint_override=URL`, `region=NAME` and `anonymous=true`; credentials never: an address is stored and printed.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from models.errors import SourceError

SCHEMES = ("s3", "gs")
OPTIONS = ("anonymous", "endpoint_override", "region")

_ADDRESS = re.compile(r"(?P<scheme>s3|gs)://(?P<bucket>[^/?]*)(?:/(?P<key>.*))?", re.DOTALL)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")
_QUERY = re.compile(r"\?((?:[A-Za-z_]+=[^&?]*)(?:&[A-Za-z_]+=[^&?]*)*)$")
"""A `?` in a key is a wildcard unless pairs of names and values follow it to the end."""

_ENDPOINT = re.compile(r"(?:(?P<scheme>https?)://)?(?P<host>[A-Za-z0-9.\-\[\]:]+)/?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class StorageAddress:
    """A place in object storage.

    Attributes:
        scheme: `s3` or `gs`.
        bucket: name of the bucket.
        key: what follows it; empty for the whole bucket.
        endpoint: `host:port` of a server that is not the provider's own, else empty.
        is_encrypted: whether that server is spoken to over https.
        region: of the bucket, empty where the provider's chain knows it.
        anonymous: whether no credentials are looked for.
    """

    scheme: str
    bucket: str
    key: str
    endpoint: str = ""
    is_encrypted: bool = True
    region: str = ""
    anonymous: bool = False

    @classmethod
    def parse(cls, text: str) -> "StorageAddress":
        """The place that a text means.

        Raises:
            SourceError: no bucket, an unknown option, or something secret in it, which is then not repeated.
        """
        query = _QUERY.search(text)
        options = dict(parse_qsl(query[1], keep_blank_values=True)) if query else {}
        match = _ADDRESS.fullmatch(text[: query.start()] if query else text)
        if match is None or _CONTROL.search(text):
            raise SourceError("An address in object storage is s3://bucket/key or gs://bucket/key, in one line.")
        if "@" in match["bucket"] or "@" in options.get("endpoint_override", ""):
            raise SourceError(
                "An address must not hold user names or keys: it is stored and printed. Credentials come from the "
                "provider's own chain (AWS_ACCESS_KEY_ID, ~/.aws, GOOGLE_APPLICATION_CREDENTIALS, the machine's role)."
            )
        if not _BUCKET.fullmatch(match["bucket"]):
            raise SourceError(f"{match['scheme']}://... names no bucket: write {match['scheme']}://bucket/key.")
        # Only names are repeated: a value may be a secret that somebody put here.
        unknown = sorted(set(options) - set(OPTIONS))
        if unknown:
            raise SourceError(
                f"{match['scheme']}://{match['bucket']}: unknown option {unknown[0][:40]!r}; {', '.join(OPTIONS)} are "
                "known, and credentials come from the provider's own chain."
            )
        if options.get("anonymous", "false") not in {"true", "false"}:
            raise SourceError("anonymous is true or false.")
        address = cls(
            scheme=match["scheme"],
            bucket=match["bucket"],
            key=match["key"] or "",
            region=options.get("region", ""),
            anonymous=options.get("anonymous") == "true",
        )
        return address.at(options["endpoint_override"]) if "endpoint_override" in options else address

    def at(self, endpoint: str) -> "StorageAddress":
        """The same place on another server.

        Args:
            endpoint: `http://host:port`; without the scheme it is spoken to over https.

        Raises:
            SourceError: it is no such address.
        """
        match = _ENDPOINT.fullmatch(endpoint)
        if match is None:
            raise SourceError("The endpoint of an object store is an address such as http://minio.example:9000.")
        return replace(self, endpoint=match["host"], is_encrypted=match["scheme"] != "http")

    @property
    def path(self) -> str:
        """Bucket and key, without a slash at the end."""
        return f"{self.bucket}/{self.key}".rstrip("/")

    @property
    def server(self) -> str:
        """Which server is meant: a part of what an object is called in the cache."""
        return f"{self.scheme}://{self.endpoint}"

    def __str__(self) -> str:
        """The address without its options."""
        return f"{self.scheme}://{self.path}"


def is_stored(text: object) -> bool:
    """Whether a text is an address in object storage."""
    return isinstance(text, str) and text.partition("://")[0] in SCHEMES and "://" in text


def child_address(text: str, *parts: str) -> str:
    """The address of something below a folder, with the folder's options."""
    query = _QUERY.search(text)
    folder = text[: query.start()] if query else text
    return "/".join([folder.rstrip("/"), *parts]) + (query[0] if query else "")


def local_path(text: str) -> str:
    """The path that a `file://` URL means; any other text as it is.

    Raises:
        SourceError: it names another machine.
    """
    if not text.startswith("file://"):
        return text
    host, slash, path = text.removeprefix("file://").partition("/")
    if host not in {"", "localhost"} or not slash:
        raise SourceError("A file URL of this machine is file:///path, with three slashes.")
    return str(Path(unquote(f"/{path}")))
