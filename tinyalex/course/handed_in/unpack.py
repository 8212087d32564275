"""Lists the files that were handed in, in a folder or in zips, and zips in zips.

A zip may be broken or hostile. No name in it decides where its content is written, and there is a limit to its size.
"""

import re
import stat
import time
import zipfile
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tinyalex.errors import UsageError
from tinyalex.files import one_line

DATA = {".npz", ".npy", ".json", ".txt", ".csv", ".png", ".jpg"}  # data files beside a notebook; no Python code
LARGEST = 64 << 20  # bytes of a file
LARGEST_ZIP = 256 << 20  # bytes that a student's zip holds, unpacked, with the zips in it
MOST_FILES = 2000  # files in a student's zip and the zips in it
CLASS = 64  # how many times as much the zip of a whole class may hold
DEPTH = 3  # zips in zips

JUNK = {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints", "__pycache__", ".git"}
OTHER_ARCHIVES = {".7z", ".rar", ".gz", ".tar", ".tgz", ".xz", ".bz2"}
BROKEN = (zipfile.BadZipFile, OSError, ValueError, EOFError, RuntimeError, zlib.error)  # what zipfile raises
PLAIN = re.compile(r"[\w .,@()+&'=~-]{1,120}")  # a name that every disk takes
NAMELESS = {".ipynb", ".zip"}  # their contents are read, and their names never written


@dataclass(frozen=True)
class File:
    """A file that was handed in.

    where: its place, in which a zip counts as a folder: "Anna Lee_12_assignsubmission_file_/work.zip/one.ipynb".
    path: the file with its content.   changed: seconds since 1970, or for a file in a zip since an unknown moment.
    """

    where: PurePosixPath
    path: Path
    changed: float


@dataclass
class Listing:
    """What was handed in: files that marking can use, and the others as places with the reason."""

    files: list[File] = field(default_factory=list)
    aside: list[tuple[PurePosixPath, str]] = field(default_factory=list)


def listing(source: Path, scratch: Path) -> Listing:
    """The files in `source`, a folder or a zip. Those in zips are unpacked into the folder `scratch`.

    Raises UsageError if `source` is neither.
    """
    if source.is_dir():
        return _Reader(scratch).read_folder(source)
    if not source.is_file() or not zipfile.is_zipfile(source):
        raise UsageError(f"got {source}: expected a folder of hand-ins, or a zip of them; check its name")
    reader = _Reader(scratch)
    reader.read_zip(source, PurePosixPath(), depth=0, room=_room(CLASS))
    return reader.found


@dataclass
class _Room:
    """What a zip, together with the zips in it, may still hold: bytes, unpacked, and files."""

    size: int
    files: int


def _room(times: int = 1) -> _Room:
    """That of a student's zip, or of so many."""
    return _Room(LARGEST_ZIP * times, MOST_FILES * times)


class _Reader:
    """Collects a listing. Each file from a zip goes into a file that has a number for a name."""

    def __init__(self, scratch: Path) -> None:
        self.scratch, self.count = scratch, 0
        self.found = Listing()

    def read_folder(self, folder: Path) -> Listing:
        for path in sorted(folder.rglob("*")):
            where = PurePosixPath(path.relative_to(folder).as_posix())
            if path.is_symlink():
                self._set_aside(where, "a link, which is not followed")
            elif path.is_file() and (reason := _useless(where)):
                self._set_aside(where, reason)
            elif path.is_file():
                self._take(where, path, path.stat().st_mtime, path.stat().st_size, depth=0, room=_room())
        return self.found

    def read_zip(self, archive: Path, where: PurePosixPath, depth: int, room: _Room) -> None:
        """List what a zip holds, as if it were the folder `where`."""
        try:
            with zipfile.ZipFile(archive) as opened:
                entries = [entry for entry in opened.infolist() if not entry.filename.endswith("/")]
                if len(entries) > room.files:
                    return self._set_aside(where, f"a zip of {len(entries)} files: expected {room.files} at most")
                room.files -= len(entries)
                names = _without_own_folder(entries, where.stem or archive.stem)
                for entry, name in zip(entries, names, strict=True):
                    self._read_entry(opened, entry, where, name, depth, room)
        except BROKEN as error:
            self._set_aside(where, f"a zip that cannot be read ({one_line(error)})")

    def _read_entry(
        self,
        archive: zipfile.ZipFile,
        entry: zipfile.ZipInfo,
        place: PurePosixPath,
        name: str,
        depth: int,
        room: _Room,
    ) -> None:
        """Unpack one file of the zip at `place`, if it is of use."""
        where = place / PurePosixPath(*(part for part in PurePosixPath(name).parts if part not in ("/", "..")))
        if reason := _unsafe(entry, name) or _useless(where):
            return self._set_aside(where, reason)
        path, limit = self.scratch / f"{self.count}{where.suffix}", min(LARGEST, room.size)
        self.count += 1
        try:
            size = _unpacked(archive, entry, path, limit)
        except BROKEN as error:  # cut off, a password, an unknown method
            return self._set_aside(where, f"cannot be unpacked ({one_line(error)})")
        room.size -= size
        if size > limit:
            path.unlink()
            return self._set_aside(where, f"more than {LARGEST >> 20} MB, or its zip more than {LARGEST_ZIP >> 20} MB")
        self._take(where, path, time.mktime((*entry.date_time, 0, 0, -1)), size, depth, room if depth else _room())

    def _take(self, where: PurePosixPath, path: Path, changed: float, size: int, depth: int, room: _Room) -> None:
        """Note a file. room: for a zip, which is read."""
        if where.suffix.lower() != ".zip":
            if size > LARGEST:
                return self._set_aside(where, f"more than {LARGEST >> 20} MB")
            self.found.files.append(File(where, path, changed))
        elif depth == DEPTH:
            self._set_aside(where, f"more than {DEPTH} zips within each other")
        else:
            self.read_zip(path, where, depth + 1, room)

    def _set_aside(self, where: PurePosixPath, reason: str) -> None:
        self.found.aside.append((where, reason))


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path, limit: int) -> int:
    """Write a file of a zip to `path` -> its bytes; stop soon after `limit`, whatever the zip says of its size."""
    size = 0
    with archive.open(entry) as packed, path.open("wb") as file:
        while size <= limit and (part := packed.read(1 << 16)):
            file.write(part)
            size += len(part)
    return size


def _unsafe(entry: zipfile.ZipInfo, name: str) -> str:
    """Why a file in a zip is not unpacked; "" if it may be."""
    parts = name.split("/")
    if ".." in parts or not parts[0] or re.match(r"[A-Za-z]:", name):
        return "a path that leaves its folder"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "a link, which is not followed"
    plain = PLAIN.fullmatch(parts[-1]) or PurePosixPath(name).suffix.lower() in NAMELESS
    return "" if plain else "a name that not every disk takes: rename it"


def _useless(where: PurePosixPath) -> str:
    """Why marking cannot use a file of this name; "" if it can."""
    suffix = where.suffix.lower()
    if JUNK.intersection(where.parts) or where.name.startswith("._"):
        return "written by the system, not by the student"
    if suffix == ".py":
        return "Python code beside a notebook is not run"
    if suffix in OTHER_ARCHIVES:
        return "an archive of a kind that is not read: ask for a zip"
    return "" if suffix in NAMELESS | DATA else "neither a notebook nor its data"


def _without_own_folder(entries: list[zipfile.ZipInfo], own: str) -> list[str]:
    """The names in a zip, without the folder in which all lie if it is called like the zip, `own`."""
    names, own = [_name(entry) for entry in entries], f"{own}/"
    in_it = all(name.startswith((own, "__MACOSX/")) for name in names)
    return [name.removeprefix(own) if in_it else name for name in names]


def _name(entry: zipfile.ZipInfo) -> str:
    """The name with slashes. Many programs write UTF-8 and do not say so; zipfile then reads it as code page 437."""
    name = entry.orig_filename.replace("\\", "/")
    if not entry.flag_bits & 0x800:
        with suppress(UnicodeError):  # then it is the code page
            return name.encode("cp437").decode("utf-8")
    return name
