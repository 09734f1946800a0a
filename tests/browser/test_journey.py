"""A person's way: filter, sort, plot, crystal, rotate, download, back."""

import re
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import Observed

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def first_formulas(page: "Page", n: int = 5) -> list[str]:
    """Formulas of the first rows of the table."""
    page.wait_for_selector("#table[aria-busy=false]")
    return page.locator("#table tbody td.formula-cell").all_inner_texts()[:n]


def numbers_of(page: "Page", field: str) -> list[float]:
    """The numbers of a column of the table, in its order."""
    page.wait_for_selector("#table[aria-busy=false]")
    heads = page.locator("#table thead th")
    names = [heads.nth(index).get_attribute("title") or "" for index in range(heads.count())]
    column = next(index for index, name in enumerate(names) if name.endswith(f"({field})"))
    texts = page.locator(f"#table tbody td:nth-child({column + 1})").all_inner_texts()
    return [float(text.replace("−", "-").split()[0]) for text in texts if text.strip() not in {"", "–"}]


def count_of(page: "Page") -> int:
    """The number of crystals above the results."""
    page.wait_for_selector("#count strong")
    return int(page.inner_text("#count strong").replace(",", ""))


def test_from_the_filter_to_the_downloaded_file_and_back(observed: Observed) -> None:
    page = observed.open("/")
    everything = count_of(page)
    page.fill("#filter", 'k_vrh_gpa > 50 AND elements HAS "O"')
    page.keyboard.press("Enter")
    page.wait_for_function(
        "n => document.querySelector('#count strong')?.textContent.replace(',', '') < n", arg=everything
    )
    filtered = count_of(page)
    assert 0 < filtered < everything

    page.click("#table thead button:has-text('K')")
    page.wait_for_selector("#table th[aria-sort='descending']:has-text('K')")
    stiffness = numbers_of(page, "k_vrh_gpa")
    assert stiffness == sorted(stiffness, reverse=True)
    assert min(stiffness) > 50

    page.focus("#scatter")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#preview-facts h2 a")
    page.wait_for_selector("#preview-structure canvas")
    address = page.url
    formulas = first_formulas(page)
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/crystals/"))
    page.wait_for_selector("#surface-facts tbody tr")
    page.wait_for_selector("#structure canvas")

    before = page.evaluate("document.querySelector('#surface').toDataURL()")
    box = page.locator("#surface").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 120, box["y"] + box["height"] / 2 + 40, steps=6)
    page.mouse.up()
    assert page.evaluate("document.querySelector('#surface').toDataURL()") != before

    with page.expect_download() as download:
        page.click("#downloads a:has-text('CIF')")
    text = download.value.path().read_text(encoding="utf-8")
    assert "_cell_length_a" in text

    page.click("#back")
    page.wait_for_url(address)
    assert page.input_value("#filter") == 'k_vrh_gpa > 50 AND elements HAS "O"'
    assert count_of(page) == filtered
    assert first_formulas(page) == formulas


def test_controls_write_the_filter_and_the_filter_sets_the_controls(observed: Observed) -> None:
    page = observed.open("/")
    page.click(".element-grid button:text-is('O')")
    page.wait_for_function("() => document.querySelector('#filter').value === 'elements HAS ALL \"O\"'")
    page.click(".element-grid button:text-is('O')")
    page.wait_for_function("() => document.querySelector('#filter').value === 'NOT elements HAS ANY \"O\"'")
    page.select_option("#facets label:has-text('Piezoelectricity allowed') select", "TRUE")
    page.wait_for_function("() => document.querySelector('#filter').value.endsWith('AND piezo_allowed = TRUE')")
    page.fill("#ranges input[type=number] >> nth=0", "80")
    page.keyboard.press("Tab")
    page.wait_for_function("() => document.querySelector('#filter').value.endsWith('AND k_vrh_gpa >= 80')")
    assert page.locator("#terms li").count() == 3
    assert min(numbers_of(page, "k_vrh_gpa")) >= 80

    page.go_back()
    page.wait_for_function("() => document.querySelectorAll('#ranges input[type=number]')[0].value === ''")
    page.fill("#filter", 'elements HAS ONLY "Al","N"')
    page.keyboard.press("Enter")
    page.wait_for_selector(".element-grid button[data-state=wanted]:text-is('Al')")
    assert page.is_checked("input[name=element-mode][value=ONLY]")


def test_a_formula_is_searched_for_and_a_crystal_system_chosen(observed: Observed) -> None:
    page = observed.open("/")
    page.fill("#filter", "LiNbO3")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#filter').value === 'formula = \"LiNbO3\"'")
    page.wait_for_function("() => document.querySelectorAll('#table tbody a').length > 0")
    page.select_option("#facets label:has-text('Crystal system') select", "trigonal")
    page.wait_for_function("() => document.querySelector('#filter').value.endsWith('spacegroup <= 167')")
    page.wait_for_selector("#table tbody td:has-text('R3c (161)')")


def test_a_second_opinion_is_found_by_its_facet_read_and_taken_home(observed: Observed) -> None:
    page = observed.open("/")
    page.select_option("#facets label:has-text('Polar instability') select", "TRUE")
    page.wait_for_function("() => document.querySelector('#filter').value === 'polar_instability = TRUE'")
    page.wait_for_function("() => document.querySelectorAll('#table tbody a').length === 1")
    page.click("#table tbody td.formula-cell a")
    page.wait_for_selector("#opinion dl dt")
    text = page.inner_text("#opinion")
    assert "ferroelectric candidate" in text and "1.0200 times that of the cell as given" in text
    assert page.locator("#opinion details[open] tbody tr").count() == 2
    with page.expect_download() as download:
        page.click("#opinion a:has-text('POSCAR')")
    assert "relaxed by" in download.value.path().read_text(encoding="utf-8")
    # a crystal without one has no such section
    page = observed.open("/crystals/reference:quartz")
    page.wait_for_selector("#numbers table")
    assert not page.is_visible("#opinion-panel")


def test_a_proposed_crystal_is_reached_from_its_design_and_says_why_it_was_proposed(observed: Observed) -> None:
    page = observed.open("/designs")
    page.click("#records th a")
    page.wait_for_selector(".line-chart")
    # the first round has no wanted crystal and no place on the line, but shares
    first, second = (page.locator(".line-chart").nth(index) for index in (0, 1))
    known = [chart.locator("g.first circle title").count() for chart in (first, second)]
    assert known[0] == known[1] - 1 > 0
    page.click("#records td a[href*='/crystals/']")
    page.wait_for_selector("#provenance dl")
    assert "as number 1, from round 2: d_max_pc_per_n 31.25, promise 0.81" in page.inner_text("#provenance")
    page.click("#provenance a[href$='/designs/1']")
    page.wait_for_selector(".line-chart")


def test_a_page_that_does_not_exist_leads_on(observed: Observed) -> None:
    page = observed.open("/nope")
    assert page.inner_text("h1") == "There is no such page"
    # The browser itself reports the status 404 to its console: here it is what was asked for.
    assert all("404" in complaint for complaint in observed.complaints)
    observed.complaints.clear()


def test_what_is_wrong_with_a_filter_is_said_in_its_place(observed: Observed) -> None:
    page = observed.open("/")
    page.fill("#filter", "k_vrh_gpa > 50 AND k_vhr_gpa < 3")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('#filter-error').textContent.includes('k_vrh_gpa')")
    assert page.inner_text("#filter-error mark") == "k_vhr_gpa"
    # Table and count ask; plot, ranges and facets do not ask again what cannot be read.
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)
    assert len(observed.complaints) == 2
    # The browser itself reports every answer of status 400 to its console: here it is what was asked for.
    assert all("400" in complaint for complaint in observed.complaints)
    observed.complaints.clear()


def test_an_empty_answer_names_the_term_that_empties_it(observed: Observed) -> None:
    page = observed.open('/?filter=k_vrh_gpa > 1000000 AND elements HAS "O"')
    page.wait_for_selector("#explanation li")
    assert "k_vrh_gpa > 1000000" in page.inner_text("#explanation li >> nth=0")


def test_completion_offers_properties_operators_and_presets(observed: Observed) -> None:
    page = observed.open("/")
    page.focus("#filter")
    page.keyboard.type("k_vr")
    page.wait_for_selector("#completions li:has-text('k_vrh_gpa')")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.input_value("#filter") == "k_vrh_gpa "
    page.wait_for_selector("#completions li:has-text('>=')")
    page.keyboard.press("Escape")
    page.fill("#filter", "")
    page.keyboard.type("pre")
    page.wait_for_selector("#completions li:has-text('preset:piezo')")


def test_the_query_is_offered_as_python_shell_and_http(observed: Observed) -> None:
    page = observed.open("/?filter=k_vrh_gpa > 100&sort=-k_vrh_gpa")
    page.click("#code-button")
    texts = page.locator("#code-blocks pre").all_inner_texts()
    assert '"k_vrh_gpa > 100"' in texts[0] and 'sort="-k_vrh_gpa"' in texts[0]
    compile(texts[0], "query", "exec")
    assert texts[1].startswith("gmtscreen query 'k_vrh_gpa > 100'")
    page.keyboard.press("Escape")
    page.click("#download-button")
    with page.expect_download() as download:
        page.click("#download-links a:has-text('CSV')")
    assert download.value.path().read_text(encoding="utf-8").startswith("id,")
