"""From what the user wrote to a source of labels."""

import re
from pathlib import Path

from gmt_tasks.labels.readers.label_files import LabelFiles
from gmt_tasks.labels.readers.source import LabelSource
from gmt_tasks.sources.source import ReadOptions
from models.errors import SourceError

_REMOTE = re.compile(r"^(mp|jarvis|optimade):")


def open_label_source(text: str) -> LabelSource:
    """Opens a source of labels by what the user wrote.

    Args:
        text: a label file (.jsonl, also packed), an OUTCAR or vasprun.xml, a folder or glob of these, `mp:...` or
            `jarvis:...`.

    Raises:
        SourceError: no such file or name, or a source that has no labels.
    """
    match = _REMOTE.match(text)
    # a file may have such a name too
    name = match[1] if match and not Path(text).exists() else ""
    # imported here: pymatgen and mp-api take seconds, and files need neither
    if name == "mp":
        from gmt_tasks.labels.readers import materials_project

        return materials_project.open_labels(text)
    if name == "jarvis":
        from gmt_tasks.labels.readers import jarvis

        return jarvis.open_labels(text)
    if name:
        raise SourceError(f"{name}: gives crystals, not labels. Take label files, output of VASP, mp: or jarvis:.")
    return LabelFiles.from_text(text, ReadOptions())
