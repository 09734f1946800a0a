"""A file that appears only when it is complete, and of which nothing stays where it is not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(out: Path) -> Iterator[Path]:
    """Gives the path to write to instead; what stands there at the end becomes the file, after an error it is removed.

    Args:
        out: the file that shall appear; a pipe, a device such as /dev/stdout or a link is written to as it is.
    """
    if out.is_symlink() or (out.exists() and not out.is_file()):
        yield out
        return
    part = out.with_name(f"{out.name}.part")
    try:
        yield part
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
