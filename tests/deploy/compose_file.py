"""deploy/compose.yaml as a test needs it: what each service runs, in what environment, with other addresses."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.architecture.source_tree import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
_VARIABLE = re.compile(r"\$\{(\w+)(?::?([-?])([^}]*))?\}")


@dataclass(frozen=True)
class Service:
    """What a container would run.

    Attributes:
        words: entry point and command.
        environment: its variables, those of the image left out.
        check: the words of its health check, empty without one.
        restarts: whether it is started again when it ends.
    """

    words: list[str]
    environment: dict[str, str]
    check: list[str]
    restarts: bool


def compose() -> dict[str, Any]:
    """The file with its anchors resolved and its variables as they stand."""
    parsed: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return parsed


def filled(text: str, variables: dict[str, str]) -> str:
    """A text with variables put in as compose does.

    Raises:
        KeyError: a variable that must be given is missing.
    """

    def value(match: re.Match[str]) -> str:
        name, kind, rest = match.groups()
        if variables.get(name):
            return variables[name]
        if kind == "-":
            return str(rest)
        raise KeyError(name)

    return _VARIABLE.sub(value, text)


def service(name: str, variables: dict[str, str], elsewhere: dict[str, str]) -> Service:
    """One service on this machine.

    Args:
        name: of the service.
        variables: what deploy/.env would hold.
        elsewhere: texts to replace: addresses of the network of containers, folders of the image.
    """
    found = compose()["services"][name]

    def here(text: Any) -> str:
        placed = filled(str(text), variables)
        for old, new in elsewhere.items():
            placed = placed.replace(old, new)
        return placed

    words = [here(word) for word in [*found.get("entrypoint", []), *found.get("command", [])]]
    environment = {key: here(value) for key, value in found.get("environment", {}).items()}
    check = [here(word) for word in found.get("healthcheck", {}).get("test", [])[1:]]
    return Service(words, environment, check, found.get("restart") == "unless-stopped")


def yaml_files() -> list[Path]:
    """Every YAML file of the folder."""
    return sorted(DEPLOY.rglob("*.yaml"))


def documents(path: Path) -> list[dict[str, Any]]:
    """The documents of a YAML file."""
    return [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if each]
