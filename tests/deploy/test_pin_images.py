"""deploy/pin_images.py against a registry on loopback: every image gets the digest of its tag, or no file changes."""

import json
import shutil
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
import yaml

from deploy import pin_images
from tests.deploy.compose_file import DEPLOY


class Registry(BaseHTTPRequestHandler):
    """Gives a token to whoever asks, and digests to whoever has it."""

    digests: ClassVar[dict[str, str]] = {}

    def do_GET(self) -> None:
        """The token service that the challenge names."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"token": "t0ken"}).encode())

    def do_HEAD(self) -> None:
        """A manifest."""
        if self.headers.get("Authorization") != "Bearer t0ken":
            self.send_response(401)
            realm = f"http://{self.headers['Host']}/token"
            self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="here",scope="repository:x:pull"')
        elif self.path in self.digests and "index" in self.headers["Accept"]:
            self.send_response(200)
            self.send_header("Docker-Content-Digest", self.digests[self.path])
        else:
            self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(pin_images, "HUB", f"127.0.0.1:{server.server_port}")
    names = {"library/python": "3.11.13-slim-bookworm", "library/postgres": "17.6-bookworm", "g": "1"}
    paths = [f"/v2/{name}/manifests/{tag}" for name, tag in names.items()]
    monkeypatch.setattr(Registry, "digests", {path: f"sha256:{sha256(path.encode()).hexdigest()}" for path in paths})
    yield pin_images.HUB
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("__pycache__")))


def test_every_image_is_named_by_its_digest_and_again_by_the_next_one(host: str, folder: Path) -> None:
    assert len(pin_images.unpinned(folder)) >= 6
    written = pin_images.pin(folder, {"gmtscreen": f"{host}/g:1"}, "http")
    assert len(written) == 3 and pin_images.unpinned(folder) == []
    digest = Registry.digests["/v2/library/postgres/manifests/17.6-bookworm"]
    compose = yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))
    assert compose["services"]["postgres"]["image"] == f"postgres:17.6-bookworm@{digest}"
    kustomization = yaml.safe_load((folder / pin_images.KUSTOMIZATIONS[0]).read_text(encoding="utf-8"))
    own = Registry.digests["/v2/g/manifests/1"]
    assert kustomization["images"] == [{"name": "gmtscreen", "newName": f"{host}/g", "digest": own}]
    newer = f"sha256:{'0' * 64}"
    Registry.digests["/v2/library/postgres/manifests/17.6-bookworm"] = newer
    pin_images.pin(folder, {}, "http")
    text = (folder / "kubernetes" / "base" / "postgres.yaml").read_text(encoding="utf-8")
    assert f"postgres:17.6-bookworm@{newer}\n" in text and digest not in text


def test_one_image_without_an_answer_leaves_every_file_as_it_was(host: str, folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(OSError, match="404"):
        pin_images.pin(folder, {"gmtscreen": f"{host}/g:unknown"}, "http")
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("name", "path"), [("ghcr.io/a/b:1", "ghcr.io/v2/a/b/manifests/1"), ("a/b:1", "HUB/v2/a/b/manifests/1")])  # fmt: skip  # noqa: E501
def test_references_are_read_as_docker_reads_them(name: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(pin_images, "_head", lambda url, headers: asked.append(url) or f"sha256:{'1' * 64}")
    pin_images.digest_of(name)
    assert asked == [f"https://{path.replace('HUB', pin_images.HUB)}"]
    with pytest.raises(ValueError, match="no reference"):
        pin_images.digest_of("without-a-tag")
