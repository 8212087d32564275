"""Tar files read in place: their headers say where each member's bytes lie, and nothing is unpacked."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tinyalex.errors import DataError
from tinyalex.files import one_line

LONGEST_HEADER = 2**20  # bytes; a header holds little more than a name
BLOCK = 512  # bytes: every header begins at a multiple of it, and zeros follow the last member


class Member(NamedTuple):
    """A member of a tar file.

    name:   its name, with / between folders.
    offset: where its bytes begin in the file; size: how many they are.
    plain:  whether it is a file with bytes of its own: not a link, a device, a pipe or a file with holes.
    """

    name: str
    offset: int
    size: int
    plain: bool


class _Headers(io.RawIOBase):
    """A part of a file from `begin` on, for tarfile to read headers from: no long read is answered."""

    def __init__(self, file: io.BufferedReader, begin: int, size: int) -> None:
        self._file, self._begin, self._size, self._at = file, begin, size, 0

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:  # noqa: ARG002 (tarfile counts from the beginning only)
        self._at = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        self._file.seek(self._begin + self._at)
        data = self._file.read(max(0, min(size, self._size - self._at)))
        self._at += len(data)
        return data


def members(path: Path, part: Member | None = None) -> Iterator[Member]:
    """The members of a tar file but its folders, in their order.   part: a tar file within the tar file `path`.

    Raises DataError for a file that is not an uncompressed tar file, is damaged or cut short, and for a member whose
    name leads out of it: an absolute one, or one with "..".
    """
    shown = path if part is None else f"{path}/{part.name}"
    with path.open("rb") as file:
        begin, size = (0, path.stat().st_size) if part is None else (part.offset, part.size)
        headers = _Headers(file, begin, size)
        try:
            with tarfile.open(fileobj=headers, mode="r:") as tar:
                while (info := tar.next()) is not None:
                    tar.members.clear()  # type: ignore[attr-defined]  # else it keeps a thousand bytes for each
                    if not info.isdir():
                        yield _member(info, begin, size)
                headers.seek(tar.offset)
                if headers.read(BLOCK).strip(b"\0"):
                    raise tarfile.ReadError(f"no header at byte {tar.offset:,}")
        except (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError) as error:
            raise DataError(
                f"got {shown} ({one_line(error)}): expected a whole tar file that is not compressed; "
                "unpack or replace it"
            ) from error


def _member(info: tarfile.TarInfo, begin: int, size: int) -> Member:
    name = PurePosixPath(info.name)
    if name.is_absolute() or ".." in name.parts:
        raise tarfile.ReadError(f"the member {info.name!r} leads out of it")
    plain = info.isreg() and not info.issparse()
    if plain and not 0 <= info.offset_data <= info.offset_data + info.size <= size:
        raise tarfile.ReadError(f"the member {info.name!r} is cut short")
    return Member(str(name), begin + info.offset_data, info.size, plain)
