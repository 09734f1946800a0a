"""From what the user wrote to a source of labels."""

from gmt_tasks.labels.readers.label_files import LabelFiles
from gmt_tasks.labels.readers.source import LabelSource
from gmt_tasks.sandbox.target import load
from gmt_tasks.sources.open import remote_name
from gmt_tasks.sources.source import ReadOptions
from models.errors import SourceError

# Imported when they are named: pymatgen and mp-api take seconds, and files need neither.
REMOTE = {
    "mp": "gmt_tasks.labels.readers.materials_project:open_labels",
    "jarvis": "gmt_tasks.labels.readers.jarvis:open_labels",
}
"""Sources from the network that have labels: name before a colon, and who opens it."""


def open_label_source(text: str, options: ReadOptions | None = None) -> LabelSource:
    """Opens a source of labels by what the user wrote.

    Args:
        text: a label file (.jsonl, .jsonl.gz), a folder or glob of these, `mp:...` or `jarvis:...`.
        options: limits for reading files.

    Raises:
        SourceError: no such file or name, or a source that has no labels.
    """
    name = remote_name(text)
    if name in REMOTE:
        source: LabelSource = load(REMOTE[name])(text)
        return source
    if name:
        raise SourceError(f"{name}: gives crystals, not labels. Take label files, mp: or jarvis:.")
    return LabelFiles.from_text(text, options or ReadOptions())
