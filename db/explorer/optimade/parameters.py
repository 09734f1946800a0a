"""Query parameters of lists of entries: what is unknown is refused, what is foreign is ignored with a warning.

Source: OPTIMADE specification 1.2, section on the query parameters of entries.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from db.explorer.optimade.definitions import PREFIX, Definition
from db.explorer.optimade.envelope import VERSION_PATHS, OptimadeError, warning
from db.query.properties import Vocabulary

PAGE_LIMIT = 20
MAX_PAGE_LIMIT = 500

_KNOWN = {"filter", "sort", "response_fields", "page_limit", "page_cursor", "include", "response_format", "api_hint",
          "email_address"}  # fmt: skip
_OTHER_PAGES = {"page_offset", "page_number", "page_above", "page_below"}
"""Other ways through the pages that the specification names; here pages go by cursor."""


@dataclass(frozen=True)
class EntryQuery:
    """What is asked of the entries of a type.

    Attributes:
        filter: its text; empty means all.
        sort: OPTIMADE's name of a property, "-" in front for descending; None for the order of ids.
        fields: names of the wanted attributes; None where nobody says.
        limit: entries of a page.
        cursor: where the page starts.
        references: whether related references come along.
        warnings: about what was ignored.
    """

    filter: str = ""
    sort: str | None = None
    fields: tuple[str, ...] | None = None
    limit: int = PAGE_LIMIT
    cursor: str = ""
    references: bool = True
    warnings: list[dict[str, str]] = field(default_factory=list)


def read_query(
    parameters: Mapping[str, str], definitions: Mapping[str, Definition], known: Collection[str]
) -> EntryQuery:
    """Checks what is asked of the entries of a type.

    Args:
        parameters: of the URL.
        definitions: properties of the entry type.
        known: names of further standard properties, which are answered with null.

    Raises:
        OptimadeError: a parameter is unknown, not implemented or out of range.
    """
    warnings = check_names(parameters)
    limit = _page_limit(parameters.get("page_limit", ""))
    sort = _sort(parameters.get("sort", ""), definitions)
    fields = _response_fields(parameters.get("response_fields", ""), definitions, known, warnings)
    include = {name for name in parameters.get("include", "references").split(",") if name}
    if include - {"references"}:
        raise OptimadeError(400, f"include names {min(include - {'references'})[:40]!r}; only references are related.")
    cursor, text = parameters.get("page_cursor", ""), parameters.get("filter", "")
    return EntryQuery(text, sort, fields, limit, cursor, "references" in include, warnings)


def check_names(parameters: Mapping[str, str]) -> list[dict[str, str]]:
    """Refuses unknown parameters, formats and versions; gives warnings about those of other providers."""
    warnings = []
    for name in parameters:
        if name in _OTHER_PAGES:
            raise OptimadeError(501, f"{name} is not implemented: follow links.next, or give page_cursor.")
        if name in _KNOWN or name.startswith(PREFIX):
            continue
        if not name.startswith("_"):
            raise OptimadeError(
                400, f"There is no query parameter {name[:40]!r}. There are: {', '.join(sorted(_KNOWN))}."
            )
        warnings.append(warning("Foreign parameter", f"{name[:40]} belongs to another provider and was ignored."))
    if (parameters.get("response_format") or "json") != "json":
        raise OptimadeError(400, "Answers are given as JSON only: leave out response_format.")
    hint = parameters.get("api_hint") or "v1"
    if hint not in VERSION_PATHS:
        raise OptimadeError(553, f"Version {hint[:20]!r} of the API is not served. Ask for v1.")
    return warnings


def _page_limit(text: str) -> int:
    if not text:
        return PAGE_LIMIT
    if not (text.isascii() and text.isdigit() and int(text[:9]) > 0):
        raise OptimadeError(400, f"page_limit is {text[:20]!r}. Give a number from 1 to {MAX_PAGE_LIMIT}.")
    if int(text[:9]) > MAX_PAGE_LIMIT:
        raise OptimadeError(403, f"page_limit is {text[:20]}, at most {MAX_PAGE_LIMIT} are given at once.")
    return int(text)


def _sort(text: str, definitions: Mapping[str, Definition]) -> str | None:
    names = [name.strip() for name in text.split(",") if name.strip()]
    # Ties are in the order of ids anyway.
    if len(names) > 1 and names[1:] != ["id"]:
        raise OptimadeError(501, "Answers are sorted by one property, ties by id. Give one name in sort.")
    if not names or names[0] == "id":
        return names[0] if names else None
    bare = names[0].removeprefix("-")
    definition = definitions.get(bare) or definitions.get(PREFIX + bare)
    if definition is None or not definition.sortable:
        raise OptimadeError(400, f"Answers cannot be sorted by {bare[:60]!r}; info says what is sortable.")
    return names[0]


def _response_fields(
    text: str, definitions: Mapping[str, Definition], known: Collection[str], warnings: list[dict[str, str]]
) -> tuple[str, ...] | None:
    if not text.strip():
        return None
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name in definitions or name in known:
            continue
        if not Vocabulary.is_foreign(name):
            raise OptimadeError(400, f"There is no property {name[:60]!r} to answer with; info lists what there is.")
        warnings.append(warning("Foreign property", f"{name[:60]} belongs to another provider and is null."))
    return names
