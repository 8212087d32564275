"""Files that are either the old one or the new one, whole, whatever happens while they are written."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tinyalex.errors import UsageError

STEM = 40  # characters of a file's name in that of its temporary file: a name may have 255 bytes, and 4 a character


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A binary file to write to, which takes the place of `path` when the block ends without an exception.

    It is written beside `path`, under a name of this process, forced to the disk and renamed: a reader, or a run that
    resumes after a kill, finds the last whole file. The folder is made if need be.
    Raises UsageError where `path` is a folder; an OSError names `path`, not the file beside it.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder: expected a file to write, in it or elsewhere")
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name[:STEM]}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # None of a disk that is full
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def make_folder(folder: Path) -> Path:
    """Make the folder, and those above it, if need be; returns it. Raises UsageError where a file is in the way."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{folder}: a file is in the way: expected a folder, or a new one") from None
    return folder


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """A block that one process at a time may be in, of those that name this folder; it is made if need be.

    Raises UsageError where another is. The system forgets a process's lock when it ends, however it ends; where there
    are no such locks (Windows, some network disks), nothing is checked.
    """
    make_folder(folder)
    opened = None if sys.platform == "win32" else os.open(folder, os.O_RDONLY)
    try:
        if opened is not None:
            _lock(opened, folder)
        yield
    finally:
        if opened is not None:
            os.close(opened)


def _lock(opened: int, folder: Path) -> None:
    import fcntl  # of POSIX only

    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"{folder} is in use by another process: wait for its end, or choose another --out") from None
    except OSError:
        return  # a disk without locks


def legible(name: str) -> str:
    """A file's name as text that can be drawn and written: bytes in it that are no UTF-8 become "?"."""
    return name.encode(errors="replace").decode()


def remove_leftovers(folder: Path) -> None:
    """Remove what processes that were killed while they wrote have left in `folder`."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, as UTF-8, in one piece."""
    with replacing(path) as file:
        file.write(text.encode())
