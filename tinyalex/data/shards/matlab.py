"""Just enough of MATLAB's file format (level 5) to read the table of classes in ILSVRC-2012's development kit.

A file is a header of 128 bytes, then elements. An element is a tag, two uint32 for its kind and its size, then its
bytes, padded to a multiple of 8. If the upper half of the kind is not zero it is the size, and up to 4 bytes stand in
the tag's second half. A matrix is an element of elements: flags, shape, name, then the content. An array of structs has
the length of a field's name, the names of the fields, and then a matrix for each field of each struct.

Source: The MathWorks, "MAT-File Format", chapter 1.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tinyalex.errors import DataError

HEADER = 128
LARGEST = 2**26  # bytes, unpacked; meta.mat has 0.4 MB
INT32, MATRIX, COMPRESSED = 5, 14, 15  # kinds of elements
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
STRUCT, CHAR = 2, 4  # classes of matrices

Value = int | float | str


def read_structs(path: Path, variable: str, fields: tuple[str, ...]) -> list[tuple[Value, ...]]:
    """The values of `fields`, a single number or a text each, of all structs in the array `variable` of a .mat file.

    Raises DataError, naming the file, if it is missing, damaged, not of level 5, or has no such variable.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ValueError("too large")
        if data[124:128] not in (b"\x00\x01IM", b"\x01\x00MI"):
            raise ValueError("another header")
        order = "<" if data[126:128] == b"IM" else ">"
        return _structs(memoryview(data)[HEADER:], variable, fields, order)
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}): expected the development kit's table") from error
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, struct.error, zlib.error) as error:
        raise DataError(
            f"got {path} ({error}): expected a .mat file of level 5 with the variable {variable}"
        ) from error


def _structs(data: memoryview, variable: str, fields: tuple[str, ...], order: str) -> list[tuple[Value, ...]]:
    for kind, content in _elements(data, order):
        if kind == COMPRESSED:
            unpacker = zlib.decompressobj()
            unpacked = unpacker.decompress(content, LARGEST)
            if unpacker.unconsumed_tail:
                raise ValueError("too large")
            (kind, content), *_ = _elements(memoryview(unpacked), order)
        if kind != MATRIX:
            continue
        (_, flags), _, (_, name), *parts = _elements(content, order)
        if bytes(name).decode("ascii") != variable or _class_of(flags, order) != STRUCT:
            continue
        (_, length), (_, names), *values = parts
        width = int.from_bytes(length, "little" if order == "<" else "big")
        known = [bytes(names[i : i + width]).rstrip(b"\0").decode("ascii") for i in range(0, len(names), width)]
        columns = [known.index(field) for field in fields]
        rows = [values[i : i + len(known)] for i in range(0, len(values), len(known))]
        return [tuple(_value(row[column][1], order) for column in columns) for row in rows]
    raise ValueError(f"without {variable}")


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """The elements (kind, bytes) one after the other."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        small = kind >> 16
        if small:
            kind, begin, end = kind & 0xFFFF, at + 4, at + 4 + small
            at += 8
        else:
            begin, end = at + 8, at + 8 + size
            at = end if kind == COMPRESSED else end + -size % 8
        if end > len(data) or small > 4:
            raise ValueError("cut short")
        yield kind, data[begin:end]


def _value(matrix: memoryview, order: str) -> Value:
    """The text, or the only number, that a matrix holds."""
    (_, flags), _, _, *contents = _elements(matrix, order)
    kind, content = contents[0] if contents else (1, memoryview(b""))  # an empty text has none
    if _class_of(flags, order) == CHAR:
        codec = TEXTS[kind] + ({"<": "-le", ">": "-be"}[order] if TEXTS[kind] == "utf-16" else "")
        return bytes(content).decode(codec)
    (number,) = np.frombuffer(content, order + NUMBERS[kind])
    return number.item()  # type: ignore[no-any-return]


def _class_of(flags: memoryview, order: str) -> int:
    """The class of a matrix, the lowest byte of its flags."""
    return flags[0 if order == "<" else 3]
