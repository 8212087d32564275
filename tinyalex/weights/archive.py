"""Named arrays in one .npz file, laid out as by `numpy.savez`, with a checksum over everything inside.

A .npz file is a zip archive that holds a .npy file for each array. zip keeps a CRC-32 of each entry, and compares it
when the entry is read. It does not notice an entry that is missing. So the last entry, "checksum", is the SHA-256 of a
list of all others: the name, size and CRC-32 of each. The bytes of an array are read once, straight into their place.
They are not mapped: the system kills a program when another one cuts its mapped file short.
"""

import math
import struct
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import IO, Any, NamedTuple
from zipfile import ZIP_STORED, ZipFile, ZipInfo
from zlib import crc32

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

CHECKSUM = "checksum"
LENGTHS = 26  # bytes of a local header before two lengths: of the name, and of what lies between it and the contents
PIECE = 2**18  # bytes that are read, checked and copied at a time: so many stay in the processor's cache


def write_arrays(file: IO[bytes], arrays: Iterable[tuple[str, NDArray[Any]]]) -> None:
    """Write the arrays, each under its name, and the checksum to `file`. They are taken one at a time."""
    with ZipFile(file, "w") as archive:  # not compressed: trained weights do not become smaller
        for name, array in arrays:
            _write_entry(archive, name, array)
        _write_entry(archive, CHECKSUM, np.array(_checksum(archive.infolist())))


def _write_entry(archive: ZipFile, name: str, array: NDArray[Any]) -> None:
    content = bytes_of(array)
    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        npy.write_array_header_1_0(entry, npy.header_data_from_array_1_0(array))
        for first in range(0, len(content), PIECE):
            entry.write(content[first : first + PIECE])


def bytes_of(array: NDArray[Any]) -> memoryview:
    """The bytes of an array in the order in which they lie in memory; of an array with gaps, those of a copy."""
    return array.ravel(order="A").view("uint8").data


def _checksum(entries: Iterable[ZipInfo]) -> str:
    """64 hexadecimal digits that change with any name, dtype, shape or number in these entries."""
    lines = [f"{entry.filename} {entry.file_size} {entry.CRC:08x}\n" for entry in entries]
    return sha256("".join(lines).encode()).hexdigest()


def stored_entries(archive: ZipFile, file: IO[bytes], growth: int = 1) -> dict[str, ZipInfo]:
    """The entries of a zip archive by name, which take no more memory than `growth` times the file.

    Raises ValueError for overlapping entries and for two of one name; for compressed ones too if they may not grow.
    """
    entries = archive.infolist()
    by_name = {entry.filename: entry for entry in entries}
    if len(by_name) != len(entries) or (growth == 1 and any(one.compress_type != ZIP_STORED for one in entries)):
        raise ValueError("some entries have the same name or are compressed")
    if sum(entry.file_size for entry in entries) > growth * file.seek(0, 2):
        raise ValueError("the entries are larger than the file")
    return by_name


def read_stored(file: IO[bytes], entry: ZipInfo, into: memoryview, head: int = 0) -> None:
    """Fill the memory `into` with what follows the first `head` bytes of an uncompressed entry, its CRC-32 compared.

    One call reads the bytes straight into their place, and one more pass over them computes the CRC-32; meanwhile other
    threads can run Python. `zipfile` would copy each byte twice.
    Raises ValueError if the CRC-32 is another one, or the file too short.
    """
    file.seek(entry.header_offset + LENGTHS)
    name, extra = struct.unpack("<HH", file.read(4))
    file.seek(name + extra, 1)
    crc = crc32(file.read(head))
    if file.readinto(into) != len(into) or crc32(into, crc) != entry.CRC:  # type: ignore[attr-defined]
        raise ValueError(f"the CRC-32 of {entry.filename} is not that of its bytes")


def _fill(content: memoryview, entry: IO[bytes]) -> None:
    """Fill the memory `content` with the next bytes of an entry. At its end the CRC-32 is compared."""
    for first in range(0, len(content), PIECE):
        piece = content[first : first + PIECE]
        piece[:] = entry.read(len(piece))


class Header(NamedTuple):
    """What an entry says of its array. length: the bytes before the numbers."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    length: int


class Archive:
    """The arrays of an .npz file. At first only their headers are read, to be checked before an array takes memory.

    headers: shape and dtype of each array, by its name.   has_checksum: whether the file has one, which is then right.
    growth: how many times the size of the file its arrays may take; with 1 none may be compressed.
    Raises ValueError for a file with compressed or overlapping entries, or with another checksum than that of its
    contents; a damaged file may raise almost any other exception, here and in `read`.
    """

    def __init__(self, file: IO[bytes], growth: int = 1) -> None:
        self._file, self._zip = file, ZipFile(file)
        entries = stored_entries(self._zip, file, growth)
        self._entries = {name.removesuffix(".npy"): entry for name, entry in entries.items()}
        if len(self._entries) != len(entries):
            raise ValueError("some entries have the same name")
        self.headers = {name: self._header(name) for name in self._entries}
        self.has_checksum = CHECKSUM in self.headers
        if self.has_checksum:
            expected = str(self.read(CHECKSUM))
            del self.headers[CHECKSUM], self._entries[CHECKSUM]
            if _checksum(self._entries.values()) != expected:
                raise ValueError("the checksum is not that of the contents")

    def _header(self, name: str) -> Header:
        with self._zip.open(self._entries[name]) as entry:
            if npy.read_magic(entry) != (1, 0):
                raise ValueError(f"{name} is of an unknown version")
            header = Header(*npy.read_array_header_1_0(entry), length=entry.tell())
        if header.dtype.hasobject:
            raise ValueError(f"{name} holds Python objects")
        numbers = math.prod(header.shape) * header.dtype.itemsize
        if header.length + numbers != self._entries[name].file_size:
            raise ValueError(f"the header of {name} does not fit its size")
        return header

    def read(self, name: str, into: NDArray[Any] | None = None) -> NDArray[Any]:
        """The array of that name, its CRC-32 compared.

        into: an array of its shape that receives the numbers, converted if its dtype is another one; it is returned.
        """
        header = self.headers[name]
        if into is not None and into.flags.c_contiguous and into.dtype == header.dtype and not header.fortran_order:
            return self._fill(into, name)
        array = self._fill(np.empty(header.shape, header.dtype, "F" if header.fortran_order else "C"), name)
        if into is None:
            return array
        into[...] = array
        return into

    def parts(self, name: str, rows: int) -> Iterator[NDArray[Any]]:
        """The array of that name in parts of up to `rows` rows, for one that memory need not hold; read like `read`.

        Raises ValueError for an array in Fortran's order, or without rows.
        """
        header = self.headers[name]
        if header.fortran_order or not header.shape:
            raise ValueError(f"{name} does not lie in rows")
        with self._zip.open(self._entries[name]) as entry:
            entry.read(header.length)
            for first in range(0, header.shape[0], rows):
                part = np.empty((min(rows, header.shape[0] - first), *header.shape[1:]), header.dtype)
                _fill(bytes_of(part), entry)
                yield part

    def _fill(self, array: NDArray[Any], name: str) -> NDArray[Any]:
        """The array, filled with the bytes of the entry."""
        entry, head = self._entries[name], self.headers[name].length
        if entry.compress_type == ZIP_STORED:
            read_stored(self._file, entry, bytes_of(array), head)
            return array
        with self._zip.open(entry) as content:
            content.read(head)
            _fill(bytes_of(array), content)
        return array
