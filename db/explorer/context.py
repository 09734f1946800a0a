"""What every route is given: database, services, limits, templates."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from fastapi.templating import Jinja2Templates

from db.explorer.limits import ServerSettings
from db.explorer.services import Services
from db.store import ResultStore

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Explorer:
    """One web application's surroundings."""

    store: ResultStore
    services: Services
    settings: ServerSettings
    templates: Jinja2Templates


def explorer_of(request: Request) -> Explorer:
    """The surroundings of the application that a request came to."""
    explorer: Explorer = request.app.state.explorer
    return explorer


Context = Annotated[Explorer, Depends(explorer_of)]
"""Type of a route's parameter that is given these surroundings."""
