"""Facts without the folders of this machine: who asks over HTTP learns the names of files, not where they lie."""

import re
from typing import Any

FOLDER_OF_PARAMETER = re.compile(r"=[^,]*/")
"""Of a made source, as in `generated:n=1000,model=/volumes/a/wyckoff.json`."""


def without_paths(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts with every source named by its last part, and without the folders of models.

    Args:
        facts: of a run, an input, a rejected input or a model version.
    """
    shown = dict(facts)
    if "folder" in shown:
        shown["folder"] = None
    if isinstance(shown.get("source"), str):
        shown["source"] = file_name(shown["source"])
    if isinstance(shown.get("sources"), list):
        shown["sources"] = [file_name(source) for source in shown["sources"]]
    return shown


def file_name(source: str) -> str:
    """The last part of a path; named sources (`reference`, `mp:...`, `optimade:https://...`) stay as they are.

    A file that is a parameter of a made source is named by its last part too.
    """
    if not source.startswith(("/", "./", "../", "~")) and ("/" not in source or ":" in source):
        return source if "://" in source else FOLDER_OF_PARAMETER.sub("=", source)
    return source.rstrip("/").rpartition("/")[2]
