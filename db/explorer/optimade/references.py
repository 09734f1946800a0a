"""The works that the stored numbers rest on, as OPTIMADE's references; few, so they are filtered in Python."""

from collections.abc import Sequence
from typing import Any

from db.explorer.cursors import from_cursor, to_cursor
from db.explorer.optimade.definitions import Definition, bibliographic
from db.explorer.optimade.parameters import EntryQuery
from db.query.evaluate import truth
from db.query.filter_language import parse_filter
from db.query.pages import PageMark
from db.query.properties import Kind, Vocabulary

_TEXTS = ("id", "title", "journal", "year", "volume", "pages", "doi", "url", "bib_type", "note")

VOCABULARY = Vocabulary(
    {**dict.fromkeys(_TEXTS, Kind.TEXT), "last_modified": Kind.TIME, "type": Kind.TEXT},
    {"immutable_id": "id"},
    {"type": "references"},
    foreign=True,
)
"""What a filter over references may name."""

DEFINITIONS: dict[str, Definition] = bibliographic(VOCABULARY)

_WRITTEN = "2026-11-01T00:00:00Z"
"""When the entries below were written down."""


def _work(name: str, authors: tuple[str, ...], **facts: str) -> dict[str, Any]:
    people = []
    for author in authors:
        first, _, last = author.rpartition(" ")
        people.append({"name": author, "firstname": first, "lastname": last})
    return {"id": name, "authors": people, "last_modified": _WRITTEN, "bib_type": "article", **facts}


REFERENCES: tuple[dict[str, Any], ...] = (
    _work(
        "gmtnet",
        ("Keqiang Yan", "Alexandra Saxton", "Xiaofeng Qian", "Xiaoning Qian", "Shuiwang Ji"),
        title="A Space Group Symmetry Informed Network for O(3) Equivariant Crystal Tensor Prediction",
        journal="Proceedings of the 41st International Conference on Machine Learning",
        year="2024",
        url="https://arxiv.org/abs/2406.12888",
        note="the network that the predictions of dielectric, piezoelectric and elastic tensors go back to",
    ),
    _work(
        "hill",
        ("Richard Hill",),
        title="The Elastic Behaviour of a Crystalline Aggregate",
        journal="Proceedings of the Physical Society. Section A",
        year="1952",
        volume="65",
        pages="349-354",
        doi="10.1088/0370-1298/65/5/307",
        note="averages of elastic moduli over a polycrystal",
    ),
    _work(
        "ieee-176",
        ("IEEE Standards Committee",),
        title="IEEE Standard on Piezoelectricity",
        journal="ANSI/IEEE Std 176-1987",
        year="1988",
        doi="10.1109/IEEESTD.1988.79638",
        note="conventions of piezoelectric tensors and their axes",
    ),
)
"""Every reference: its id and its attributes, in the order in which they are listed."""

OF_STRUCTURES = ("gmtnet", "hill", "ieee-176")
"""Ids of the works that every structure's numbers rest on."""


def references_page(query: EntryQuery) -> tuple[list[dict[str, Any]], str | None, int]:
    """Entries of one page, the cursor of the next, and how many the filter describes.

    Raises:
        FilterError: filter or cursor are not valid.
    """
    hits = list(REFERENCES)
    if query.filter.strip():
        tree = parse_filter(query.filter, VOCABULARY)
        hits = [work for work in hits if truth(tree, dict.fromkeys(_TEXTS) | work) is True]
    name = (query.sort or "id").removeprefix("-").replace("immutable_id", "id")
    # Twice: works without a value come last in either direction.
    hits.sort(key=lambda work: (work.get(name) or "", work["id"]), reverse=(query.sort or "").startswith("-"))
    hits.sort(key=lambda work: work.get(name) is None)
    mark = from_cursor(query.cursor)
    start = 0 if mark is None else min(mark.model_id, len(hits))
    shown = hits[start : start + query.limit]
    end = start + len(shown)
    cursor = to_cursor(PageMark(None, "", end)) if end < len(hits) else None
    return [reference(work, query.fields) for work in shown], cursor, len(hits)


def reference(work: dict[str, Any], wanted: Sequence[str] | None = None) -> dict[str, Any]:
    """One reference with the wanted attributes, or all."""
    known = {name: value for name, value in work.items() if name != "id"} | {"immutable_id": work["id"]}
    names = known if wanted is None else [name for name in wanted if name not in ("id", "type")]
    return {"type": "references", "id": work["id"], "attributes": {name: known.get(name) for name in names}}
