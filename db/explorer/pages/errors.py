"""What a browser is shown where there is no page."""

from fastapi import Request
from fastapi.responses import Response

from db.explorer.answers import NOTHING_HERE, describe_error
from db.explorer.context import explorer_of

INTERFACES = ("/api/", "/static/")


def asks_page(request: Request) -> bool:
    """Whether a person looks at the answer: a browser asks for a page, programs for data."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(INTERFACES)


def error_page(request: Request, error: Exception) -> Response:
    """A page that says what is wrong and leads on."""
    status, sentence, _ = describe_error(error)
    # Where nothing is, the page has words of its own: a person is helped by other addresses than a program.
    values = {"root": request.scope.get("root_path", ""), "section": "", "sentence": sentence}
    values |= {"nothing_here": sentence == NOTHING_HERE}
    templates = explorer_of(request).templates
    return templates.TemplateResponse(request, "error.html", values, status, {"cache-control": "no-store"})
