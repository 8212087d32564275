"""Pickles read as data: nothing that they name is ever called.

A pickle is a program for a small machine with a stack and a memo. Python's own reader runs it, may call any function
that it names, and lets it ask for any amount of memory. This reader knows the opcodes that hold data, and the few names
by which NumPy writes an array. Anything else is refused. Files of other programs hold a few more names: a subclass of
`Unpickler` says what stands for them.

Source of the opcodes: Lib/pickle.py and Lib/pickletools.py of Python. All protocols, 0 to 5, can be read.
"""

import codecs
import pickle
import re
import struct
from collections.abc import Callable
from mmap import mmap
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinyalex.files import legible

# An opcode takes a byte of the file, and may make an object of 70 bytes. CIFAR-100's training file has 300,000.
MOST_OPCODES = 1_000_000
SHARED = 2**16  # bytes, from which on a value is a view of the file's bytes instead of a copy

# What may stand between the quotes of a string that Python 2 wrote as text.
_ESCAPED = re.compile(rb"(?:[^\\]|\\[\\'\"nrt]|\\x[0-9a-f]{2})*+")


def read_pickle(content: bytes) -> Any:
    """The value in a pickle: None, bool, int, float, bytes, str, lists, tuples and dicts of them, and `PickledArray`.

    A string that Python 2 wrote is bytes; long bytes are a memoryview of `content`. The memory that it takes is at most
    five times the file's, and 200 MB.

    Raises: ValueError, TypeError, IndexError or OverflowError if the pickle is damaged, or holds anything else.
    """
    return Unpickler(content).read()


class PickledArray:
    """An array in a pickle.   values: of numbers, or of any values that a pickle may hold; of any shape."""

    values: NDArray[Any]

    def __init__(self) -> None:
        self.values = np.empty(0, np.uint8)

    def fill(self, content: object, dtype: object, shape: object, column_major: bool) -> None:
        """Set `values`. Raises ValueError unless `content` holds as many numbers as `shape` says."""
        if not isinstance(dtype, _Dtype) or not isinstance(shape, tuple):
            raise TypeError("it holds an array without a dtype or without a shape")
        if dtype.of_objects and isinstance(content, list):
            values = np.empty(len(content), object)
            for place, value in enumerate(content):
                values[place] = value
        elif isinstance(content, bytes | bytearray | memoryview):
            values = np.frombuffer(content, dtype.of_numbers)
        else:
            raise TypeError("it holds an array without its content")
        self.values = values.reshape(shape, order="F" if column_major else "C")

    def build(self, state: Any) -> None:
        """Set `values` to those of the state that NumPy gives an array."""
        _, shape, dtype, column_major, content = state
        self.fill(content, dtype, shape, bool(column_major))


class _Dtype:
    """In place of numpy.dtype, which would understand much more than numbers and objects."""

    def __init__(self, code: object) -> None:
        self.code = str(code, "ascii") if isinstance(code, bytes) else code
        self.order = "<"

    def build(self, state: Any) -> None:
        """Set the byte order to that of the state that NumPy gives a dtype."""
        _, order, *_ = state
        self.order = str(order, "ascii") if isinstance(order, bytes) else order

    @property
    def of_objects(self) -> bool:
        """Whether it stands for any values; the digit is the size of a pointer."""
        return self.code in ("O", "O4", "O8")

    @property
    def of_numbers(self) -> np.dtype[Any]:
        """The dtype. Raises ValueError unless it is one of numbers."""
        if self.code not in _NUMBERS or self.order not in ("<", ">", "|", "="):
            raise ValueError("it holds an array that is not of numbers")
        return np.dtype(f"{self.order}{self.code}")


_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


class Name(NamedTuple):
    """A name in a pickle that stands for a function or a class."""

    module: str
    name: str

    def __str__(self) -> str:
        return legible(f"{self.module[:60]}.{self.name[:60]}")


class _File:
    """The bytes of a pickle, read from front to back."""

    def __init__(self, content: bytes | mmap, place: int) -> None:
        self.content, self.view = content, memoryview(content)
        self.place = place

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises ValueError if there are fewer."""
        return bytes(self._next(count))

    def _next(self, count: int) -> memoryview:
        if not 0 <= count <= len(self.content) - self.place:
            raise ValueError("it is cut short, or a length in it is wrong")
        start, self.place = self.place, self.place + count
        return self.view[start : self.place]

    def number(self, form: str) -> Any:
        """The next number, in a format of the module struct."""
        (number,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return number

    def sized(self, form: str) -> bytes | memoryview:
        """The bytes behind their own number, which has the format `form`."""
        found = self._next(self.number(form))
        return found if len(found) >= SHARED else bytes(found)

    def line(self) -> bytes:
        """The bytes up to the end of the line, which is left out."""
        end = self.content.find(b"\n", self.place)
        if end < 0:
            raise ValueError("it is cut short")
        line = self.take(end - self.place)
        self.place += 1
        return line


def _integer(line: bytes) -> int | bool:
    """An integer written as text. Protocols 0 and 1 write True and False as 01 and 00."""
    return {b"00": False, b"01": True}[line] if line in (b"00", b"01") else int(line.removesuffix(b"L"))


def _quoted(line: bytes) -> bytes:
    """A string that Python 2 wrote as text between quotes."""
    inside = line[1:-1]
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[-1:] != line[:1] or not _ESCAPED.fullmatch(inside):
        raise ValueError("it holds a string without quotes, or with an unknown escape")
    value: bytes = codecs.escape_decode(inside)[0]  # as in Lib/pickle.py
    return value


_VALUES: dict[bytes, Callable[[_File], object]] = {  # opcodes that put a value on the stack
    pickle.NONE: lambda _: None,
    pickle.NEWTRUE: lambda _: True,
    pickle.NEWFALSE: lambda _: False,
    pickle.INT: lambda file: _integer(file.line()),
    pickle.LONG: lambda file: _integer(file.line()),
    pickle.BININT: lambda file: file.number("<i"),
    pickle.BININT1: lambda file: file.number("<B"),
    pickle.BININT2: lambda file: file.number("<H"),
    pickle.LONG1: lambda file: int.from_bytes(file.sized("<B"), "little", signed=True),
    pickle.LONG4: lambda file: int.from_bytes(file.sized("<i"), "little", signed=True),
    pickle.FLOAT: lambda file: float(file.line()),
    pickle.BINFLOAT: lambda file: file.number(">d"),
    pickle.STRING: lambda file: _quoted(file.line()),
    pickle.SHORT_BINSTRING: lambda file: file.sized("<B"),
    pickle.BINSTRING: lambda file: file.sized("<i"),
    pickle.SHORT_BINBYTES: lambda file: file.sized("<B"),
    pickle.BINBYTES: lambda file: file.sized("<I"),
    pickle.BINBYTES8: lambda file: file.sized("<Q"),
    pickle.BYTEARRAY8: lambda file: file.sized("<Q"),
    pickle.UNICODE: lambda file: str(file.line(), "raw-unicode-escape"),
    pickle.SHORT_BINUNICODE: lambda file: str(file.sized("<B"), "utf-8"),
    pickle.BINUNICODE: lambda file: str(file.sized("<I"), "utf-8"),
    pickle.BINUNICODE8: lambda file: str(file.sized("<Q"), "utf-8"),
    pickle.EMPTY_LIST: lambda _: [],
    pickle.EMPTY_TUPLE: lambda _: (),
    pickle.EMPTY_DICT: lambda _: {},
    pickle.GLOBAL: lambda file: Name(str(file.line(), "utf-8"), str(file.line(), "utf-8")),
}


class Unpickler:
    """The stack, the marks on it, and the memo that a pickle works with.

    content: the bytes of a file, in which several pickles may follow each other.   place: where the next one begins.
    """

    def __init__(self, content: bytes | mmap, place: int = 0) -> None:
        self.file = _File(content, place)
        self._forget()

    def _forget(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []  # how high the stack was at each mark
        self.memo: dict[int, Any] = {}
        self.encoded = 0  # characters that `encode` has turned into bytes

    def read(self) -> Any:
        """The value in the next pickle; values and errors are those of `read_pickle`."""
        self._forget()
        for _ in range(MOST_OPCODES):
            opcode = self.file.take(1)
            if opcode == pickle.STOP:
                return self.pop()
            if opcode in _VALUES:
                self.stack.append(_VALUES[opcode](self.file))
            elif opcode in _ACTIONS:
                _ACTIONS[opcode](self)
            else:
                raise ValueError(f"it holds the opcode {opcode!r}, which does not stand for data")
        raise ValueError(f"it has more than {MOST_OPCODES:,} opcodes")

    def pop(self) -> Any:
        """The topmost value, removed from the stack."""
        return self.stack.pop()

    def pop_to_mark(self) -> list[Any]:
        """The values above the last mark, removed from the stack with the mark."""
        mark = self.marks.pop()
        values = self.stack[mark:]
        del self.stack[mark:]
        return values

    def push_tuple(self, count: int) -> None:
        """Replace the topmost `count` values by a tuple of them."""
        self.stack.append(tuple([self.pop() for _ in range(count)][::-1]))

    def get(self, place: int) -> None:
        """Push a value of the memo."""
        if place not in self.memo:
            raise ValueError(f"it recalls value {place}, which it never kept")
        self.stack.append(self.memo[place])

    def put(self, place: int) -> None:
        """Keep the topmost value in the memo."""
        self.memo[place] = self.stack[-1]

    def extend(self, values: list[Any]) -> None:
        """Append `values` to the list on the stack."""
        target = self.stack[-1]
        if not isinstance(target, list):
            raise TypeError("it appends to something that is not a list")
        target.extend(values)

    def push_dict(self) -> None:
        """Replace the values above the last mark, which are keys and items in turn, by a dict of them."""
        values = self.pop_to_mark()
        self.stack.append({})
        self.update(values)

    def update(self, values: list[Any]) -> None:
        """Add `values`, which are keys and items in turn, to the dict on the stack."""
        target = self.stack[-1]
        # Only text and short integers can be keys: Python would crash as it hashes a tuple in a tuple in a tuple ...
        if not isinstance(target, dict) or not all(map(_can_be_key, values[::2])):
            raise TypeError("it holds a dict whose keys are neither text nor short integers")
        target.update(zip(values[::2], values[1::2], strict=True))

    def push_name(self) -> None:
        """Replace the topmost two strings by the name that they make."""
        name, module = self.pop(), self.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("it holds a name that is not text")
        self.stack.append(Name(module, name))

    def reduce(self) -> None:
        """What the pickle calls a call: push what stands for the result."""
        arguments, name = self.pop(), self.pop()
        if not isinstance(name, Name) or not isinstance(arguments, tuple):
            raise TypeError("it calls something without a name")
        self.stack.append(self.result(name, arguments))

    def result(self, name: Name, arguments: tuple[Any, ...]) -> object:
        """What stands for the function `name` of `arguments`. Raises ValueError for all but NumPy's."""
        match (name.module.replace("numpy._core", "numpy.core"), name.name, arguments):  # NumPy 2 says _core
            case ("numpy.core.multiarray", "_reconstruct", _):
                return PickledArray()  # its shape and content follow with `build`
            case ("numpy.core.numeric", "_frombuffer", (content, dtype, shape, order)):
                array = PickledArray()
                array.fill(content, dtype, shape, order == "F")
                return array
            case ("numpy", "dtype", (code, *_)):
                return _Dtype(code)
            case ("__builtin__" | "builtins", "bytes", ()):  # so Python 3 writes b"" in protocols 0 to 2 ...
                return b""
            case ("_codecs", "encode", (str(text), "latin1")):  # ... and so other bytes
                self.encoded += len(text)
                if self.encoded > len(self.file.content):  # the same text time and again
                    raise ValueError("it makes more bytes than it holds")
                return text.encode("latin1")
        raise ValueError(f"it asks for {name}")

    def refer(self, reference: Any) -> object:  # noqa: ARG002, for subclasses
        """What stands for something outside the pickle. Raises ValueError, as nothing is known to be there."""
        raise ValueError("it refers to something outside")

    def build(self) -> None:
        """Give the topmost object its state."""
        state, target = self.pop(), self.stack[-1]
        if not hasattr(target, "build"):
            raise TypeError("it gives a state to something that has none")
        target.build(state)


def _can_be_key(value: object) -> bool:
    return isinstance(value, bytes | str) or (isinstance(value, int) and abs(value) < 2**63)


_ACTIONS: dict[bytes, Callable[[Unpickler], object]] = {  # opcodes that work with what is on the stack
    pickle.PROTO: lambda machine: machine.file.take(1),
    pickle.FRAME: lambda machine: machine.file.take(8),  # how much may be read ahead
    pickle.MARK: lambda machine: machine.marks.append(len(machine.stack)),
    pickle.GET: lambda machine: machine.get(int(machine.file.line())),
    pickle.BINGET: lambda machine: machine.get(machine.file.number("<B")),
    pickle.LONG_BINGET: lambda machine: machine.get(machine.file.number("<I")),
    pickle.PUT: lambda machine: machine.put(int(machine.file.line())),
    pickle.BINPUT: lambda machine: machine.put(machine.file.number("<B")),
    pickle.LONG_BINPUT: lambda machine: machine.put(machine.file.number("<I")),
    pickle.MEMOIZE: lambda machine: machine.put(len(machine.memo)),
    pickle.TUPLE: lambda machine: machine.stack.append(tuple(machine.pop_to_mark())),
    pickle.TUPLE1: lambda machine: machine.push_tuple(1),
    pickle.TUPLE2: lambda machine: machine.push_tuple(2),
    pickle.TUPLE3: lambda machine: machine.push_tuple(3),
    pickle.LIST: lambda machine: machine.stack.append(machine.pop_to_mark()),
    pickle.APPEND: lambda machine: machine.extend([machine.pop()]),
    pickle.APPENDS: lambda machine: machine.extend(machine.pop_to_mark()),
    pickle.DICT: lambda machine: machine.push_dict(),
    pickle.SETITEM: lambda machine: machine.update([machine.pop(), machine.pop()][::-1]),
    pickle.SETITEMS: lambda machine: machine.update(machine.pop_to_mark()),
    pickle.STACK_GLOBAL: lambda machine: machine.push_name(),
    pickle.REDUCE: lambda machine: machine.reduce(),
    pickle.NEWOBJ: lambda machine: machine.reduce(),
    pickle.BINPERSID: lambda machine: machine.stack.append(machine.refer(machine.pop())),
    pickle.BUILD: lambda machine: machine.build(),
}
