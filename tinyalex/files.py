"""Files that are replaced in one piece: a reader finds the old file or the new one, never half of one."""

import csv
import io
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tinyalex.errors import UsageError

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # such as the escape that begins a command to the terminal
STEM = 40  # characters that a temporary file takes from the name: a name may have 255 bytes, a character up to 4


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A temporary binary file, which replaces `path` when the block ends without an exception.

    It lies beside `path`, under a name of its own for each process. It is flushed to the disk, then renamed, and then
    the folder is flushed too: `path` is the last complete file, after a kill and after a power failure. The folder is
    created if it does not exist.
    Raises UsageError if `path` is a folder. An OSError names `path` instead of the temporary file.
    """
    if path.is_dir():
        raise UsageError(f"got {path}, a folder: expected a file to write")
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name[:STEM]}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        if error.filename in (None, str(temporary)):  # on a full disk it is None
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def flush_folder(folder: Path) -> None:
    """Flush the names in the folder to the disk: else a power failure may bring back the file that was replaced."""
    with suppress(OSError):  # Windows and some network disks do not open or flush folders
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def make_folder(folder: Path) -> Path:
    """Create the folder and its parents, unless they exist -> the folder. Raises UsageError if a file is in the way."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"got {folder}, where a file is in the way: expected a folder; choose another") from None
    except RecursionError:
        raise UsageError(f"got {folder}: expected fewer folders within each other; choose another") from None
    return folder


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """A lock on the folder: only one process at a time can be in this block. The folder is created if needed.

    Raises UsageError if another process holds the lock. The system releases the lock when its process ends, even by a
    kill. On systems without such locks (Windows, some network disks) nothing is checked.
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
    import fcntl  # POSIX only

    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(
            f"got {folder}, which another process uses: expected a free folder; wait, or choose another --out"
        ) from None
    except OSError:
        return  # this disk has no locks


def at_home(path: str | Path) -> Path:
    """The path, with the home folder for a leading ~ or ~USER; it stays as it is if there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 (Path.expanduser raises RuntimeError for an unknown user)


def one_line(error: Exception) -> str:
    """What an error says, in one line of at most 200 letters that can be printed: it may quote a file."""
    return legible(" ".join(str(error).split())[:200]) or type(error).__name__


def legible(name: str) -> str:
    """A file's name as text that can be printed: control characters, and bytes that are not UTF-8, become "?"."""
    return CONTROL.sub("?", name.encode(errors="replace").decode())


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files that killed processes have left in `folder`."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as UTF-8, in one piece."""
    with replacing(path) as file:
        file.write(text.encode())


def write_table(path: Path, header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """Write a CSV file, in one piece. A file's name in it that is not UTF-8 keeps its own bytes."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    with replacing(path) as file:
        file.write(text.getvalue().encode(errors="surrogateescape"))
