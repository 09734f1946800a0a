"""Modules of the pages against laws and against the same thing written in Python."""

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from db.query.filter_language import parse_filter
from models.derived.surfaces import sphere
from tests.browser.conftest import Observed

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

TERMS = (
    "k_vrh_gpa > 3",
    'elements HAS ALL "Al","N"',
    "(nelements = 2 OR nelements = 3)",
    'formula CONTAINS "O AND"',
    "NOT ood",
    'NOT (elements HAS ANY "Pb","O")',
    "preset:piezo",
)


@pytest.fixture
def page(observed: Observed) -> "Page":
    """A page from which modules can be imported."""
    return observed.open("/help")


def test_joining_what_was_split_is_the_same_filter(page: "Page") -> None:
    split = "text => import('/static/js/core/terms.js').then(m => m.splitTerms(text))"
    join = "terms => import('/static/js/core/terms.js').then(m => m.joinTerms(terms))"
    for terms in itertools.chain(itertools.combinations(TERMS, 1), itertools.permutations(TERMS, 3)):
        text = " AND ".join(terms)
        assert page.evaluate(split, text) == list(terms)
        assert str(parse_filter(page.evaluate(join, list(terms)))) == str(parse_filter(text))


def test_ends_that_differ_by_rounding_have_one_tick(page: "Page") -> None:
    ticks = "ends => import('/static/js/drawing/scales.js').then(m => m.linearTicks(...ends, 8).length)"
    assert page.evaluate(ticks, [9.999999999999998, 10.0]) == 1
    assert page.evaluate(ticks, [0.0, 0.0]) == 1
    assert page.evaluate(ticks, [-1e-30, 1e-30]) > 1
    assert page.evaluate(ticks, [9.9, 10.0]) > 4


def test_a_line_breaks_where_a_value_is_unknown(page: "Page") -> None:
    stretches = "values => import('/static/js/drawing/line_chart.js').then(m => m.stretches(values))"
    assert page.evaluate(stretches, [None, 1, 0, None, 3]) == [[1, 2], [4]]
    assert page.evaluate(stretches, [None]) == page.evaluate(stretches, []) == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("LiNbO3", 'formula = "LiNbO3"'),
        ("Al2(SO4)3", 'formula = "Al2(SO4)3"'),
        ("Li-Nb-O", 'elements HAS ALL "Li","Nb","O" AND nelements = 3'),
        (" Ga, N ", 'elements HAS ALL "Ga","N"'),
        ("Pb", 'elements HAS ALL "Pb"'),
        ("gx-0123456789abcdef0123", 'id = "gx-0123456789abcdef0123"'),
        ("reference:sic-3c", 'source_ids HAS "reference:sic-3c"'),
        ("preset:piezo", "preset:piezo"),
        ("NOT ood", "NOT ood"),
        ("NOT", "NOT"),
        ("metal", "metal"),
        ("k_vrh_gpa > 3", "k_vrh_gpa > 3"),
        ("", ""),
    ],
)
def test_a_formula_a_chemical_system_or_an_id_is_a_filter(page: "Page", typed: str, meant: str) -> None:
    assert page.evaluate("text => import('/static/js/search/shorthand.js').then(m => m.filterOf(text))", typed) == meant
    if meant not in ("", "NOT"):
        parse_filter(meant)


def test_a_term_is_added_to_an_alternative_without_changing_it(page: "Page") -> None:
    either = "nelements = 2 OR nelements = 3"
    add = "text => import('/static/js/core/terms.js').then(m => m.withRange(text, 'k_vrh_gpa', 5, null))"
    added = page.evaluate(add, either)
    assert added == f"({either}) AND k_vrh_gpa >= 5"
    assert str(parse_filter(added)) == str(parse_filter(f"k_vrh_gpa >= 5 AND ({either})")) or "OR" in added


def test_elements_are_read_as_they_are_written(page: "Page") -> None:
    round_trip = """async asked => {
        const m = await import('/static/js/core/terms.js');
        return m.elementsOf(m.withElements('k_vrh_gpa > 3', asked));
    }"""
    for mode in ("ALL", "ANY", "ONLY"):
        asked = {"mode": mode, "wanted": ["Al", "N"], "excluded": ["Pb"]}
        assert page.evaluate(round_trip, asked) == asked


def test_a_surface_is_interpolated_to_the_values_it_was_made_of(page: "Page") -> None:
    theta, phi, directions = sphere(25, 49)
    values = (1 + directions[:, 2] ** 2 + 0.5 * directions[:, 0]).reshape(25, 49)
    along = np.array([[0.6, 0.0, 0.8], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [-0.48, 0.6, 0.64]])
    interpolated = page.evaluate(
        """async ([theta, phi, values, along]) => {
            const m = await import('/static/js/drawing/mesh.js');
            return along.map((direction) => m.valueAlong({ theta, phi, values }, direction));
        }""",
        [theta.tolist(), phi.tolist(), values.tolist(), along.tolist()],
    )
    np.testing.assert_allclose(interpolated, 1 + along[:, 2] ** 2 + 0.5 * along[:, 0], atol=0.01)


def test_structure_and_surface_are_seen_from_the_same_side(page: "Page") -> None:
    # 3Dmol draws the structure, our own module the surface: one rotation must mean the same to both.
    shifts = page.evaluate(
        """async () => {
            const box = document.createElement('div');
            box.style.cssText = 'width: 400px; height: 400px; position: relative';
            document.body.append(box);
            const { StructureView } = await import('/static/js/structure/structure_view.js');
            await StructureView.create(box);
            const viewer = globalThis.$3Dmol.createViewer(box, { orthographic: true });
            const { VIEWS, matrixOf, rotate } = await import('/static/js/drawing/rotation.js');
            const atoms = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]];
            const described = ([x, y, z], serial) => ({ elem: 'C', x, y, z, serial, bonds: [], bondOrder: [] });
            viewer.addModel().addAtoms(atoms.map(described));
            viewer.setStyle({}, { sphere: {} });
            viewer.zoomTo();
            return Object.values(VIEWS).map((quaternion) => {
                viewer.setView([...viewer.getView().slice(0, 4), ...quaternion]);
                viewer.render();
                const place = ([x, y, z]) => viewer.modelToScreen({ x, y, z });
                const origin = place(atoms[0]);
                return atoms.slice(1).map((atom) => {
                    const [x, y] = rotate(matrixOf(quaternion), atom);
                    const seen = place(atom);
                    return [seen.x - origin.x, -(seen.y - origin.y), x, y];
                });
            });
        }"""
    )
    for axes in np.array(shifts):
        drawn, expected = axes[:, :2], axes[:, 2:]
        scale = np.linalg.norm(drawn) / np.linalg.norm(expected)
        np.testing.assert_allclose(drawn / scale, expected, atol=0.02)
