"""Modules that a page's script imports, so that the page can name them all at once.

A browser learns of an import from the file that holds it, level after level; what the page names comes side by side.
"""

import re
from functools import cache
from posixpath import dirname, join, normpath

from db.explorer.context import FOLDER

SCRIPTS = FOLDER / "static" / "js"
IMPORTED = re.compile(r'^import .*?from "(\.[^"]+)";$', re.MULTILINE)


@cache
def imported_modules(script: str) -> tuple[str, ...]:
    """Every module that a script imports, itself or by way of another one; imports at run time are left out.

    Args:
        script: its path below static/js, as those of the answer.
    """
    found: dict[str, None] = {script: None}
    waiting = [script]
    while waiting:
        module = waiting.pop(0)
        for name in IMPORTED.findall((SCRIPTS / module).read_text(encoding="utf-8")):
            path = normpath(join(dirname(module), name))
            if path not in found:
                found[path] = None
                waiting.append(path)
    return tuple(found)[1:]
