"""Named arrays in one .npz file, laid out as by `numpy.savez`, with a checksum over everything inside.

A .npz file is a zip archive that holds a .npy file for each array. zip keeps a CRC-32 of each entry, and compares it
when the entry is read. It does not notice an entry that is missing. So the last entry, "checksum", is the SHA-256 of a
list of all others: the name, size and CRC-32 of each. The bytes of an array are read once, straight into their place.
"""

import math
from collections.abc import Iterable
from hashlib import sha256
from typing import IO, Any, NamedTuple
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

CHECKSUM = "checksum"
PIECE = 2**18  # bytes that are read, checked and copied at a time: so many stay in the processor's cache


def write_arrays(file: IO[bytes], arrays: Iterable[tuple[str, NDArray[Any]]]) -> None:
    """Write the arrays, each under its name, and the checksum to `file`. They are taken one at a time."""
    with ZipFile(file, "w") as archive:  # not compressed: trained weights do not become smaller
        for name, array in arrays:
            _write_entry(archive, name, array)
        _write_entry(archive, CHECKSUM, np.array(_checksum(archive.infolist())))


def _write_entry(archive: ZipFile, name: str, array: NDArray[Any]) -> None:
    content = _bytes_of(array)
    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        npy.write_array_header_1_0(entry, npy.header_data_from_array_1_0(array))
        for first in range(0, len(content), PIECE):
            entry.write(content[first : first + PIECE])


def _bytes_of(array: NDArray[Any]) -> memoryview:
    """The bytes of an array in the order in which they lie in memory; of an array with gaps, those of a copy."""
    return array.ravel(order="A").view("uint8").data


def _checksum(entries: Iterable[ZipInfo]) -> str:
    """64 hexadecimal digits that change with any name, dtype, shape or number in these entries."""
    lines = [f"{entry.filename} {entry.file_size} {entry.CRC:08x}\n" for entry in entries]
    return sha256("".join(lines).encode()).hexdigest()


class Header(NamedTuple):
    """What an entry says of its array. length: the bytes before the numbers."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype[Any]
    length: int


class Archive:
    """The arrays of an .npz file. At first only their headers are read, to be checked before an array takes memory.

    headers: shape and dtype of each array, by its name.   has_checksum: whether the file has one, which is then right.
    Raises ValueError for a file with compressed or overlapping entries, or with another checksum than that of its
    contents; a damaged file may raise almost any other exception, here and in `read`.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._zip = ZipFile(file)
        entries = self._zip.infolist()
        self._entries = {entry.filename.removesuffix(".npy"): entry for entry in entries}
        if len(self._entries) != len(entries) or any(entry.compress_type != ZIP_STORED for entry in entries):
            raise ValueError("some entries have the same name or are compressed")
        if sum(entry.file_size for entry in entries) > file.seek(0, 2):
            raise ValueError("the entries are larger than the file")
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

    def _fill(self, array: NDArray[Any], name: str) -> NDArray[Any]:
        """The array, filled with the bytes of the entry."""
        content = _bytes_of(array)
        with self._zip.open(self._entries[name]) as entry:
            entry.read(self.headers[name].length)
            for first in range(0, len(content), PIECE):
                content[first : first + PIECE] = entry.read(PIECE)
        return array
