"""Values as JSON and raw numbers, to send them to another process: numbers, text, lists, arrays; no code, no pickles.

An array, a list, a dict or a random generator is sent once in a request. After that both sides share it: each sends its
changes.
A returned array that is an argument, or a view of one, is sent as such, so the other side gets its own array back.
"""

import math
from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Callable, ItemsView, KeysView, Sequence, ValuesView
from dataclasses import dataclass, field
from types import GeneratorType
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from tinyalex.errors import TinyAlexError

LARGEST = 1 << 28  # bytes of a message, and of an array
SIDES = 64  # of an array: NumPy's most
KINDS = "biufcUS"  # of the dtypes that an array may have; no objects
VIEWS = {KeysView, ValuesView, ItemsView, type({}.keys()), type({}.values()), type({}.items())}
LISTED = {range, zip, map, GeneratorType, *VIEWS}  # sent as lists
MAPPED = {OrderedDict, defaultdict, Counter, NpzFile}  # sent as dicts
Buffers = list[bytes]
EMPTY: dict[str, Callable[[], Any]] = {  # what is shared by its content, before it has any
    "list": list,
    "dict": dict,
    "generator": lambda: np.random.Generator(np.random.PCG64(0)),
}


class WireError(TinyAlexError):
    """The other process ended, or sent something that is no message."""


@dataclass
class _Shared:
    """What both sides have, and its content when it was last sent: bytes of an array, JSON of everything else."""

    value: Any
    content: Any
    compact: bool = True  # whether both sides have an array in the same layout, without gaps


@dataclass
class Values:
    """Turns values into JSON and buffers, and back.

    side: "judge" or "student".   proxy: makes what stands for an object of the other side, of a number and a type name.
    number_of: the number of such a proxy; None for any other value.
    """

    side: str
    proxy: Callable[[str, str], Any]
    number_of: Callable[[Any], str | None]
    objects: dict[str, Any] = field(default_factory=dict)  # own objects that the other side knows
    _shared: dict[str, _Shared] = field(default_factory=dict)  # by number, until `forget`
    _count: int = 0

    def forget(self) -> None:
        """Share nothing any more; both sides do so at the same moment."""
        self._shared.clear()

    def encoded(self, value: Any, buffers: Buffers) -> Any:
        """`value` as JSON: a plain value as it is, everything else as a list that begins with its kind."""
        kind = type(value)
        if value is None or kind in (bool, int, float, str):
            return value
        if isinstance(value, np.generic) and value.dtype.kind in KINDS:
            return ["number", value.dtype.str, value.tobytes().hex()]
        shared = self._number_of_shared(value)
        if shared:
            return ["known", shared]
        if kind is np.ndarray and value.dtype.kind in KINDS:
            return self._encoded_array(value, buffers)
        if kind in (list, dict) or _is_generator(value):
            return self._encoded_shared(value, buffers)
        if isinstance(value, np.dtype):
            return ["dtype", value.str]
        number = self.number_of(value)
        if number is not None:
            return ["yours", number]
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return ["record", kind.__name__, list(value._fields), [self.encoded(one, buffers) for one in value]]
        if kind in (tuple, set, frozenset) or kind in LISTED:
            name = "listed" if kind in LISTED else kind.__name__
            return [name, [self.encoded(one, buffers) for one in value]]
        if kind in MAPPED:
            return ["mapped", [[self.encoded(one, buffers) for one in pair] for pair in value.items()]]
        return ["mine", self._offered(value), kind.__name__]

    def _number_of_shared(self, value: Any) -> str:
        return next((number for number, shared in self._shared.items() if shared.value is value), "")

    def _encoded_shared(self, value: Any, buffers: Buffers) -> Any:
        """A list, a dict or a generator that the other side does not have yet."""
        number = self._new_number()
        self._shared[number] = shared = _Shared(value, None)  # first, as a list may contain itself
        content = self._content(value, buffers)
        shared.content = self._content(value, [])  # what it contains is known by now
        return [_kind(value), number, content]

    def _content(self, value: Any, buffers: Buffers) -> Any:
        """What a list, a dict, an array or a generator holds."""
        if isinstance(value, list):
            return [self.encoded(one, buffers) for one in value]
        if isinstance(value, dict):
            return [[self.encoded(one, buffers) for one in pair] for pair in value.items()]
        if isinstance(value, np.ndarray):
            return value.transpose(_order(value)).tobytes()
        return value.bit_generator.state

    def _encoded_array(self, array: NDArray[Any], buffers: Buffers) -> Any:
        for number, shared in self._shared.items():
            if isinstance(shared.value, np.ndarray) and shared.compact and _lies_within(array, shared.value):
                offset = array.__array_interface__["data"][0] - shared.value.__array_interface__["data"][0]
                return ["view", number, array.dtype.str, list(array.shape), list(array.strides), offset]
        order = _order(array)
        content = array.transpose(order).tobytes()
        number = self._new_number()
        self._shared[number] = _Shared(array, content, array.transpose(order).flags.c_contiguous)
        return ["array", number, array.dtype.str, list(array.shape), order, _placed(content, buffers)]

    def _offered(self, value: Any) -> str:
        """The number of an own object, for the other side."""
        for number, known in self.objects.items():
            if known is value:
                return number
        number = self._new_number()
        self.objects[number] = value
        return number

    def _new_number(self) -> str:
        self._count += 1
        return f"{self.side}-{self._count}"

    def decoded(self, body: Any, buffers: Buffers) -> Any:
        """The value of this JSON. Raises WireError, KeyError, ... if it is none."""
        if not isinstance(body, list):
            return body
        kind, *rest = body
        if kind in ("listed", "tuple", "set", "frozenset"):
            make = {"listed": list, "tuple": tuple, "set": set, "frozenset": frozenset}[kind]
            return make(self.decoded(one, buffers) for one in rest[0])
        if kind == "mapped":
            return {self.decoded(key, buffers): self.decoded(one, buffers) for key, one in rest[0]}
        if kind == "record":
            return _record(rest[0], tuple(rest[1]))(*(self.decoded(one, buffers) for one in rest[2]))
        if kind == "number":
            return np.frombuffer(bytes.fromhex(rest[1]), _dtype(rest[0]))[0]
        if kind == "dtype":
            return _dtype(rest[0])
        if kind == "known":
            return self._shared[rest[0]].value
        if kind == "yours":
            return self.objects[str(rest[0])]
        if kind == "mine":
            return self.proxy(str(rest[0]), str(rest[1]))
        if kind == "array":
            number, dtype, shape, order, place = rest
            return self._decoded_array(number, dtype, shape, order, buffers[place])
        if kind == "view":
            return self._decoded_view(*rest)
        if kind in EMPTY:
            number, content = rest
            self._shared[number] = shared = _Shared(EMPTY[kind](), None)
            self._fill(shared, content, buffers)
            return shared.value
        raise WireError(f"got the kind {kind!r}: expected a kind of value")

    def _decoded_array(
        self, number: str, dtype: str, shape: list[int], order: list[int], content: bytes
    ) -> NDArray[Any]:
        _check_sizes(shape)
        compact = np.frombuffer(bytearray(content), _dtype(dtype)).reshape([shape[axis] for axis in order])
        array = compact.transpose(np.argsort(order))
        self._shared[number] = _Shared(array, content)
        return array

    def _decoded_view(self, number: str, dtype: str, shape: list[int], strides: list[int], offset: int) -> NDArray[Any]:
        shared = self._shared[number]
        array = shared.value if shared.compact else np.array(shared.value, order="K")
        memory = array.transpose(_order(array)).reshape(-1).view(np.uint8)
        _check_within(shape, strides, offset, _dtype(dtype).itemsize, memory.nbytes)
        return np.ndarray(tuple(shape), _dtype(dtype), memory, offset, tuple(strides))

    # ------------------------------------------------------------ what was changed since the last message

    def changed(self, buffers: Buffers) -> list[Any]:
        """What this side has changed since the last message: numbers, and the new content."""
        changed = []
        for number, shared in [*self._shared.items()]:
            content = self._content(shared.value, buffers)
            if content != shared.content:
                shared.content = self._content(shared.value, [])
                changed.append([number, _placed(content, buffers) if isinstance(content, bytes) else content])
        return changed

    def take_over(self, changed: list[Any], buffers: Buffers) -> None:
        """Change what is shared as the other side has changed it."""
        for number, content in changed:
            shared = self._shared[number]
            self._fill(shared, buffers[content] if isinstance(shared.value, np.ndarray) else content, buffers)

    def _fill(self, shared: _Shared, content: Any, buffers: Buffers) -> None:
        """Give an array, a list, a dict or a generator this content."""
        value = shared.value
        if isinstance(value, np.ndarray):
            array = value.transpose(_order(value))
            array[...] = np.frombuffer(content, array.dtype).reshape(array.shape)
        elif isinstance(value, list):
            value[:] = [self.decoded(one, buffers) for one in content]
        elif isinstance(value, dict):
            pairs = [(self.decoded(key, buffers), self.decoded(one, buffers)) for key, one in content]
            value.clear()
            value.update(pairs)
        else:
            value.bit_generator.state = content
        shared.content = self._content(value, [])


def _is_generator(value: Any) -> bool:
    return isinstance(value, np.random.Generator) and type(value.bit_generator) is np.random.PCG64


def _kind(value: Any) -> str:
    return "generator" if _is_generator(value) else type(value).__name__


def _placed(content: bytes, buffers: Buffers) -> int:
    buffers.append(content)
    return len(buffers) - 1


def _dtype(name: Any) -> np.dtype[Any]:
    dtype = np.dtype(str(name))
    if dtype.kind not in KINDS:
        raise WireError(f"got an array of {dtype}: expected numbers or text")
    return dtype


def _check_sizes(numbers: Sequence[Any], least: int = 0) -> None:
    """Raise WireError unless these are whole numbers that an array may have, and not more than it may have sides."""
    if len(numbers) > SIDES or not all(type(one) is int and least <= one <= LARGEST for one in numbers):
        raise WireError(f"got an array with the sizes {numbers}: expected at most {LARGEST}; return a smaller one")


def _check_within(shape: list[int], strides: list[int], offset: int, itemsize: int, size: int) -> None:
    """Raise WireError unless a view lies within an array of `size` bytes, and is itself not larger than LARGEST.

    It is checked in Python's whole numbers: NumPy's own check overflows, and strides of 0 make an array of any size.
    """
    _check_sizes(shape, 1)  # an empty array is no view
    _check_sizes([math.prod(shape) * itemsize], 1)
    _check_sizes([*map(abs, strides)])
    spans = [stride * (length - 1) for length, stride in zip(shape, strides, strict=True)]
    first, last = (offset + sum(end(0, span) for span in spans) for end in (min, max))
    if first < 0 or last + itemsize > size:
        raise WireError("got a view that reaches beyond its array")


def _order(array: NDArray[Any]) -> list[int]:
    """The axes from the longest stride to the shortest: transposed so, an array without gaps is C-contiguous."""
    return sorted(range(array.ndim), key=lambda axis: (-abs(array.strides[axis]), axis))


def _lies_within(array: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether `array` is a view of the memory of `other`, which has no gaps."""
    if _owner(array) is not _owner(other) or not array.size:
        return False
    (first, last), (start, end) = byte_bounds(array), byte_bounds(other)
    return start <= first and last <= end


def _owner(array: NDArray[Any]) -> NDArray[Any]:
    """The array that owns the memory of `array`."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _record(name: str, fields: tuple[str, ...]) -> Callable[..., Any]:
    return namedtuple(name, fields)
