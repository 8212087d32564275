"""Pickles read as data: nothing that they name is ever called.

A pickle is a program for a small machine with a stack and a memo. Python's own reader runs it, may call any function
that it names, and lets it ask for any amount of memory. This reader knows the opcodes that hold data, and the few names
by which NumPy writes an array. Anything else is refused.

Source of the opcodes: Lib/pickle.py and Lib/pickletools.py of Python. All protocols, 0 to 5, can be read.
"""

import codecs
import pickle
import re
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# An opcode takes a byte of the file, and may make an object of 70 bytes. CIFAR-100's training file has 300,000.
MOST_OPCODES = 1_000_000

# What may stand between the quotes of a string that Python 2 wrote as text.
_ESCAPED = re.compile(rb"(?:[^\\]|\\[\\'\"nrt]|\\x[0-9a-f]{2})*+")


def read_pickle(content: bytes) -> Any:
    """The value in a pickle: None, bool, int, float, bytes, str, lists, tuples and dicts of them, and `PickledArray`.

    A string that Python 2 wrote is bytes. The memory that it takes is at most five times the file's, and 200 MB.

    Raises: ValueError, TypeError or IndexError if the pickle is damaged, or holds anything else.
    """
    machine = _Machine(content)
    for _ in range(MOST_OPCODES):
        opcode = machine.file.take(1)
        if opcode == pickle.STOP:
            return machine.pop()
        if opcode in _VALUES:
            machine.stack.append(_VALUES[opcode](machine.file))
        elif opcode in _ACTIONS:
            _ACTIONS[opcode](machine)
        else:
            raise ValueError(f"it holds the opcode {opcode!r}, which does not stand for data")
    raise ValueError(f"it has more than {MOST_OPCODES:,} opcodes")


class PickledArray:
    """An array of bytes in a pickle.   values: uint8, of any shape."""

    values: NDArray[np.uint8]

    def __init__(self) -> None:
        self.values = np.empty(0, np.uint8)

    def fill(self, content: object, dtype: object, shape: object, column_major: bool) -> None:
        """Set `values`. Raises ValueError unless `content` holds as many uint8 as `shape` says."""
        if not isinstance(dtype, _Dtype) or dtype.code not in (b"u1", "u1"):
            raise ValueError("it holds an array that is not uint8")
        if not isinstance(content, (bytes, bytearray)) or not isinstance(shape, tuple):
            raise TypeError("it holds an array without bytes or without a shape")
        self.values = np.frombuffer(content, np.uint8).reshape(shape, order="F" if column_major else "C")


class _Dtype(NamedTuple):
    """In place of numpy.dtype. Its byte order and flags mean nothing for single bytes; so they never reach NumPy."""

    code: object


class _Name(NamedTuple):
    """A name in a pickle that stands for a function or a class."""

    module: str
    name: str


class _File:
    """The bytes of a pickle, read from front to back."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes. Raises ValueError if there are fewer."""
        if not 0 <= count <= len(self.content) - self.place:
            raise ValueError("it is cut short, or a length in it is wrong")
        start, self.place = self.place, self.place + count
        return self.content[start : self.place]

    def number(self, form: str) -> Any:
        """The next number, in a format of the module struct."""
        (number,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return number

    def sized(self, form: str) -> bytes:
        """The bytes behind their own number, which has the format `form`."""
        return self.take(self.number(form))

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
    pickle.GLOBAL: lambda file: _Name(str(file.line(), "utf-8"), str(file.line(), "utf-8")),
}


class _Machine:
    """The stack, the marks on it, and the memo that a pickle works with."""

    def __init__(self, content: bytes) -> None:
        self.file = _File(content)
        self.stack: list[Any] = []
        self.marks: list[int] = []  # how high the stack was at each mark
        self.memo: dict[int, Any] = {}
        self.encoded = 0  # characters that `encode` has turned into bytes

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
        # Only text can be a key: Python would crash as it hashes a tuple in a tuple in a tuple ...
        if not isinstance(target, dict) or not all(isinstance(key, (bytes, str)) for key in values[::2]):
            raise TypeError("it holds a dict whose keys are not text")
        target.update(zip(values[::2], values[1::2], strict=True))

    def push_name(self) -> None:
        """Replace the topmost two strings by the name that they make."""
        name, module = self.pop(), self.pop()
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("it holds a name that is not text")
        self.stack.append(_Name(module, name))

    def reduce(self) -> None:
        """What the pickle calls a call: push what stands for the result."""
        arguments, name = self.pop(), self.pop()
        if not isinstance(name, _Name) or not isinstance(arguments, tuple):
            raise TypeError("it calls something without a name")
        self.stack.append(self.result(name, arguments))

    def result(self, name: _Name, arguments: tuple[Any, ...]) -> object:
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
        raise ValueError(f"it asks for {name.module[:60]}.{name.name[:60]}")

    def build(self) -> None:
        """Give the topmost object its state."""
        state, target = self.pop(), self.stack[-1]
        if isinstance(target, PickledArray):
            _, shape, dtype, column_major, content = state
            target.fill(content, dtype, shape, bool(column_major))
        elif not isinstance(target, _Dtype):
            raise TypeError("it gives a state to something that is not an array")


_ACTIONS: dict[bytes, Callable[[_Machine], object]] = {  # opcodes that work with what is on the stack
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
    pickle.BUILD: lambda machine: machine.build(),
}
