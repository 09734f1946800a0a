"""Files and folders that appear only when they are complete, and of which nothing stays where they are not."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex


@contextmanager
def whole_file(out: Path) -> Iterator[Path]:
    """Gives the path to write to instead; what stands there at the end becomes the file, after an error it is removed.

    Two that write the same file at the same time do not mix: the later one's file stands at the end.

    Args:
        out: the file that shall appear; a pipe, a device such as /dev/stdout or a link is written to as it is.

    Raises:
        OSError: it cannot be written; `filename` names `out`.
    """
    straight = out.is_symlink() or (out.exists() and not out.is_file())
    # A name of its own, and a short one: that of the file may be as long as the file system allows.
    part = out if straight else out.with_name(f".{token_hex(8)}.part")
    try:
        yield part
        if not straight:
            part.replace(out)
    except OSError as error:
        if error.filename in {None, str(part)}:
            error.filename = str(out)
        raise
    finally:
        if not straight:
            part.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Gives a folder to fill; what lies in it at the end is moved into the one named, after an error it is removed.

    Args:
        folder: made where it is missing; what it holds already stays, and must bear other names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{token_hex(8)}.part"
    part.mkdir()
    try:
        yield part
        for entry in sorted(part.iterdir()):
            entry.rename(folder / entry.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)
