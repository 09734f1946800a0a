"""A real server on a screened database, and a real browser that reaches nothing else.

`make test-browser` runs these tests. Chromium is the system's own; axe-core is fetched by the make target.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from db.records import ModelVersion
from db.store import ResultStore
from tests.db import blocks
from tests.db.designs.made_designs import add_design
from tests.db.refinements.opinions import refinement

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
AXE = ROOT / "build" / "browser" / "node_modules" / "axe-core" / "axe.min.js"
DATABASE = "GMTSCREEN_TEST_BROWSER_DB"
"""Names a database to look at instead of the screened reference crystals."""

ARGUMENTS = [
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    # No name resolves: what is not asked of the server itself fails, and is seen to fail.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
]


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of the browser."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium; on Debian and Ubuntu: apt-get install chromium")
    return found


@pytest.fixture(scope="session")
def database(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The reference crystals, screened by the shipped model; one has a second opinion, two are proposed by a design."""
    if asked := os.environ.get(DATABASE):
        return asked
    path = tmp_path_factory.mktemp("browser") / "reference.db"
    command = [sys.executable, "-m", "flows.cli.app", "screen", "reference", "--db", str(path), "--workers", "1"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=280, capture_output=True)
    add_second_opinion(path)
    with ResultStore(path) as store:
        ids = [store.find(f"reference:{name}") for name in ("batio3-cubic", "aln")]
        add_design(store, store.run_numbers()[::-1], ids, refused=[store.find("reference:gan")])
    return str(path)


def add_second_opinion(path: Path, source_id: str = "reference:batio3-cubic") -> None:
    """A made-up second opinion about one of the crystals, unstable with a polar mode."""
    with ResultStore(path) as store:
        network = store.list_models()[0]
        versions = (
            ModelVersion(network["name"], network["version"], network["sha256"]),
            ModelVersion("toy", "1", "c" * 64),
        )
        run = store.open_run(blocks.spec("refined", model=ModelVersion.combined(*versions, "1")))
        chosen = store.opinions.chosen([store.show(source_id)["id"]])
        made = replace(blocks.block(0, [4], "refined"), crystal_ids=chosen.ids, crystals=chosen.crystals)
        store.add_block(run.id, made, 10**6)
        store.end_ingest(run.id, "refined")
        lease = store.lease_shard(run.id, "w")
        assert lease is not None
        columns = {"gamma_stable": False, "polar_instability": True, "volume_ratio": 1.02, "potential_k_vrh_gpa": 160.0}
        opinion = refinement(chosen.ids[0], n_atoms=5, **columns)
        assert store.commit_shard(lease, replace(blocks.results(lease), refinements=[opinion]))
        store.finish(run.id, 1.0)


@pytest.fixture(scope="session")
def server(database: str) -> Iterator[str]:
    """The address of `gmtscreen serve`."""
    command = [sys.executable, "-m", "flows.cli.app", "serve", "--db", database, "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            lines = iter(process.stdout or ())
            address = next((found[0] for line in lines if (found := re.search(r"http://[\w.:]+", line))), None)
            assert address, "the server ended before it named its address"
            yield address
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="session")
def browser(chromium: str) -> "Iterator[Browser]":
    """One browser for all tests."""
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install gmtscreen[browser]")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        launched.close()


class Observed:
    """A page, with everything that it asked for and complained about.

    Args:
        page: a new page.
        server: the only address that it may ask.
    """

    def __init__(self, page: "Page", server: str) -> None:
        self.page = page
        self.server = server
        self.elsewhere: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self._look_at(request.url))
        page.on("console", lambda line: self.complaints.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.set_default_timeout(30_000)

    def _look_at(self, url: str) -> None:
        if urlsplit(url).scheme not in {"data", "blob"} and not url.startswith(f"{self.server}/"):
            self.elsewhere.append(url)

    def open(self, path: str) -> "Page":
        """Goes to a path of the server and waits until nothing is asked any more."""
        self.page.goto(self.server + path)
        self.page.wait_for_load_state("networkidle")
        return self.page


@pytest.fixture
def observed(browser: "Browser", server: str) -> Iterator[Observed]:
    """A page of a laptop's size; whatever the test does, nothing may leave the machine and nothing may complain."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
    seen = Observed(context.new_page(), server)
    yield seen
    context.close()
    assert seen.elsewhere == []
    assert seen.complaints == []


@pytest.fixture(scope="session")
def axe() -> str:
    """The text of axe-core, which looks for what keeps people from using a page."""
    if not AXE.is_file():
        pytest.skip("axe-core is not there: make test-browser fetches it where npm is installed")
    return AXE.read_text(encoding="utf-8")
