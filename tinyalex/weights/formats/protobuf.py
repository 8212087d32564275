"""Protocol buffers: the form of Caffe's and of ONNX's files, read without their library.

A message is a row of fields. A field begins with its key, which is number * 8 + wire type, and the wire type tells what
follows: 0 an integer of 7 bits a byte, 1 eight bytes, 2 a length and that many bytes, 5 four bytes. What the bytes are
(a text, numbers, or a message inside) is not in the file: it is in the schema, by the number of the field.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

MOST_FIELDS = 2**20  # in a message, and numbers in a field: nets have thousands, and a damaged file must not have more
_FIXED = {1: 8, 5: 4}  # the bytes that follow the key, by the wire type


class Message:
    """The fields of a message by number. The bytes are not copied, and a message inside is only read when asked for.

    data: the bytes of the message.   Raises ValueError for bytes that are no message, here or in a method.
    """

    def __init__(self, data: memoryview) -> None:
        self._fields: dict[int, list[int | memoryview]] = {}
        place = 0
        for _ in range(MOST_FIELDS):
            if place == len(data):
                return
            key, place = _integer(data, place)
            value, place = _value(data, place, key & 7)
            self._fields.setdefault(key >> 3, []).append(value)
        raise ValueError(f"got a message of {MOST_FIELDS} fields or more: expected fewer")

    def __contains__(self, number: int) -> bool:
        return number in self._fields

    def views(self, number: int) -> list[memoryview]:
        """The bytes of every field of that number."""
        values = self._fields.get(number, [])
        views = [value for value in values if isinstance(value, memoryview)]
        if len(views) != len(values):
            raise ValueError(f"got an integer in field {number}: expected bytes")
        return views

    def messages(self, number: int) -> Iterator["Message"]:
        """The messages in the fields of that number, each read when it is its turn."""
        return (Message(view) for view in self.views(number))

    def message(self, number: int) -> "Message":
        """The last message of that number, which is the one that counts; without one, a message without fields."""
        return Message((self.views(number) or [memoryview(b"")])[-1])

    def texts(self, number: int) -> list[str]:
        """The texts in the fields of that number; bytes that are no UTF-8 become a sign for that."""
        return [str(view, "utf-8", "replace") for view in self.views(number)]

    def text(self, number: int) -> str:
        """The last text of that number, or none."""
        return (self.texts(number) or [""])[-1]

    def integers(self, number: int) -> list[int]:
        """The integers of that number, signed: each in a field of its own, or many packed in one."""
        found: list[int] = []
        for value in self._fields.get(number, []):
            unsigned = [value] if isinstance(value, int) else _packed(value)
            found += (one - 2**64 if one >= 2**63 else one for one in unsigned)
            if len(found) > MOST_FIELDS:
                raise ValueError(f"got more than {MOST_FIELDS} integers in field {number}: expected fewer")
        return found

    def integer(self, number: int, default: int) -> int:
        """The last integer of that number."""
        return (self.integers(number) or [default])[-1]

    def numbers(self, number: int, dtype: DTypeLike = "<f4") -> NDArray[Any]:
        """The floats of that number in one axis: a view of the bytes, where they are packed in one field."""
        views = self.views(number)
        data = views[0] if len(views) == 1 else b"".join(views)
        if len(data) % np.dtype(dtype).itemsize:
            raise ValueError(f"got {len(data)} bytes in field {number}: expected whole numbers of {np.dtype(dtype)}")
        return np.frombuffer(data, dtype)

    def number(self, number: int, default: float) -> float:
        """The last float of that number, rounded as a float32 is written: 0.75, 5e-05."""
        found = self.numbers(number)
        return float(str(found[-1])) if len(found) else default


def _integer(data: memoryview, place: int) -> tuple[int, int]:
    """The integer at `place`, 0 ... 2**64 - 1, and the place behind it. Its lowest 7 bits come first."""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise ValueError("got an integer that is cut short: expected more bytes")
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & (2**64 - 1), place
    raise ValueError("got an integer of more than 10 bytes: expected 10 at most")


def _value(data: memoryview, place: int, wire_type: int) -> tuple[int | memoryview, int]:
    """The value of the field whose key ends at `place`, and the place behind it."""
    if wire_type == 0:
        return _integer(data, place)
    if wire_type == 2:
        length, place = _integer(data, place)
    elif wire_type in _FIXED:
        length = _FIXED[wire_type]
    else:
        raise ValueError(f"got a field of wire type {wire_type}: expected 0, 1, 2 or 5")
    if length > len(data) - place:
        raise ValueError(f"got a field of {length} bytes: expected {len(data) - place} at most")
    return data[place : place + length], place + length


def _packed(data: memoryview) -> list[int]:
    """The integers that fill these bytes."""
    if len(data) > 10 * MOST_FIELDS:
        raise ValueError(f"got {len(data)} bytes of integers: expected fewer")
    found, place = [], 0
    while place < len(data):
        value, place = _integer(data, place)
        found.append(value)
    return found
