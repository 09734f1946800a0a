"""Every page: nothing that keeps people from using it, in light and dark, on a laptop and on a phone."""

import json
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from tests.browser.conftest import Observed

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

PATHS = (
    "/",
    "/?filter=preset:piezo",
    "/crystals/{id}",
    "/compare?ids={id},{other}",
    "/runs",
    "/runs/1",
    "/designs",
    "/designs/1",
    "/models",
    "/scoreboard",
    "/models/{model}",
    "/help",
)
SIZES = {"laptop": (1440, 1000), "phone": (390, 844)}
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="session")
def names(server: str) -> dict[str, str]:
    """Two crystals and a model version of the database."""
    with urlopen(f"{server}/api/v1/crystals?sort=-d_max_pc_per_n&fields=id,model&limit=2") as answer:  # noqa: S310 (our own server)
        rows = json.load(answer)["rows"]
    return {"id": rows[0]["id"], "other": rows[1]["id"], "model": rows[0]["model"]}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("path", PATHS)
def test_a_page_can_be_used_by_everybody(
    browser: "Browser", server: str, names: dict[str, str], axe: str, path: str, size: str, scheme: str
) -> None:
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    seen = Observed(context.new_page(), server)
    page = seen.open(path.format(**names))
    page.evaluate("for (const panel of document.querySelectorAll('details')) panel.open = true")
    page.wait_for_timeout(500)
    page.evaluate(axe)
    report = page.evaluate("standards => axe.run({runOnly: standards})", STANDARDS)
    found = [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
        for each in report["violations"]
        for node in each["nodes"]
    ]
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    context.close()
    assert found == []
    assert overflow <= 0, "the page is wider than the window"
    assert seen.elsewhere == []
    assert seen.complaints == []


def test_axe_sees_an_image_without_a_text(observed: Observed, axe: str) -> None:
    page = observed.open("/help")
    page.evaluate("document.querySelector('main').append(new Image())")
    page.evaluate(axe)
    report = page.evaluate("standards => axe.run({runOnly: standards})", STANDARDS)
    assert "image-alt" in {each["id"] for each in report["violations"]}


def test_a_request_to_elsewhere_is_seen(browser: "Browser", server: str) -> None:
    context = browser.new_context()
    seen = Observed(context.new_page(), server)
    page = seen.open("/help")
    page.evaluate("fetch('http://example.org/').catch(() => null)")
    page.wait_for_timeout(300)
    context.close()
    assert seen.elsewhere or any("Content Security Policy" in complaint for complaint in seen.complaints)


def test_the_theme_is_chosen_by_a_button_and_kept(observed: Observed) -> None:
    page = observed.open("/help")
    color = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(color)
    page.click("#theme")
    dark = page.evaluate(color)
    assert dark != light
    observed.open("/runs")
    assert page.evaluate(color) == dark
    assert page.context.cookies() == []


def test_everything_on_the_way_to_a_crystal_is_reached_by_keyboard(observed: Observed) -> None:
    page = observed.open("/")
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.closest('[id]')?.id"))
    assert {
        "filter",
        "presets",
        "elements",
        "ranges",
        "facets",
        "code-button",
        "x",
        "scatter",
        "columns-button",
        "table",
    } <= reached


def test_without_webgl_sections_and_extremes_are_shown_all_the_same(
    browser: "Browser", server: str, names: dict[str, str]
) -> None:
    context = browser.new_context()
    context.add_init_script(
        """const context = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
            return String(kind).includes('webgl') ? null : context.call(this, kind, ...rest);
        };"""
    )
    seen = Observed(context.new_page(), server)
    page = seen.open(f"/crystals/{names['id']}")
    page.wait_for_selector("#surface-facts tbody tr")
    sections = page.locator("#sections svg").count()
    note = page.inner_text(".surface-box .note")
    context.close()
    assert sections == 3
    assert "WebGL" in note
    assert seen.complaints == []
