"""Prints the dependencies of pyproject.toml, one per line: `python requirements.py postgres` adds an extra.

Without the project itself, so that a layer of an image holds them and is made anew only when they change.
"""

import sys
import tomllib
from pathlib import Path

if __name__ == "__main__":
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [each for name in sys.argv[1:] for each in project["optional-dependencies"][name]]
    sys.stdout.write("\n".join([*project["dependencies"], *extras, *["setuptools>=77"]]) + "\n")
