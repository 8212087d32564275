"""Values as JSON and raw numbers, to send them to another process: numbers, text, lists, arrays; no code, no pickles.

An array, a list, a dict or a random generator is sent once in a request. After that both sides share it: each sends its
changes.
A returned array that is an argument, or a view of one, is sent as such, so the other side gets its own array back.
"""

from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Callable, ItemsView, KeysView, ValuesView
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from types import GeneratorType
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from tinyalex.course.judging.arrays import (
    KINDS,
    WireError,
    check_sizes,
    check_within,
    dtype_of,
    lies_within,
    order_of,
)

SPAWNED = 1 << 16  # generators that another one has spawned in a request, at most
FRACTIONS = {Decimal, Fraction}  # sent as floats
KEYS = {KeysView, type({}.keys())}
VIEWS = {ValuesView, ItemsView, type({}.values()), type({}.items())}
LISTED = {range, zip, map, GeneratorType, *VIEWS}  # sent as lists
MAPPED = {OrderedDict, defaultdict, Counter, NpzFile}  # sent as dicts
Buffers = list[bytes]
EMPTY: dict[str, Callable[[Any], Any]] = {  # what is shared by its content, before it has all of it
    "list": lambda _: [],
    "dict": lambda _: {},
    "generator": lambda content: _seeded(*content["seed"]),
}


def new_record(name: str, fields: tuple[str, ...]) -> Callable[..., Any]:
    """A class of named tuples."""
    return namedtuple(name, fields)


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
    record: makes a class of named tuples, of its name and fields.
    """

    side: str
    proxy: Callable[[str, str], Any]
    number_of: Callable[[Any], str | None]
    record: Callable[[str, tuple[str, ...]], Callable[..., Any]] = new_record
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
        if kind in FRACTIONS:
            return float(value)
        form = self._form(kind)
        if form == "mapped":
            return [form, [[self.encoded(one, buffers) for one in pair] for pair in value.items()]]
        if form:
            return [form, [self.encoded(one, buffers) for one in value]]
        return ["mine", self._offered(value), kind.__name__]

    def _form(self, kind: type) -> str:
        """How something that only holds values is sent; "" for all else. A student may write `class Rows(list)`."""
        if kind in (tuple, set, frozenset):
            return kind.__name__
        for form, kinds, plain in (("keys", KEYS, None), ("listed", LISTED, list), ("mapped", MAPPED, dict)):
            if kind in kinds or (plain and self.side == "student" and _is_plain(kind, plain)):
                return form
        return ""

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
            return value.transpose(order_of(value)).tobytes()
        return {"state": value.bit_generator.state, "seed": _seed(value)}

    def _encoded_array(self, array: NDArray[Any], buffers: Buffers) -> Any:
        for number, shared in self._shared.items():
            if isinstance(shared.value, np.ndarray) and shared.compact and lies_within(array, shared.value):
                offset = array.__array_interface__["data"][0] - shared.value.__array_interface__["data"][0]
                return ["view", number, array.dtype.str, list(array.shape), list(array.strides), offset]
        order = order_of(array)
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
        if kind == "keys":
            return dict.fromkeys(self.decoded(one, buffers) for one in rest[0]).keys()
        if kind == "mapped":
            return {self.decoded(key, buffers): self.decoded(one, buffers) for key, one in rest[0]}
        if kind == "record":
            return self.record(str(rest[0]), tuple(rest[1]))(*(self.decoded(one, buffers) for one in rest[2]))
        if kind == "number":
            return np.frombuffer(bytes.fromhex(rest[1]), dtype_of(rest[0]))[0]
        if kind == "dtype":
            return dtype_of(rest[0])
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
            self._shared[number] = shared = _Shared(EMPTY[kind](content), None)
            self._fill(shared, content, buffers)
            return shared.value
        raise WireError(f"got the kind {kind!r}: expected a kind of value")

    def _decoded_array(
        self, number: str, dtype: str, shape: list[int], order: list[int], content: bytes
    ) -> NDArray[Any]:
        check_sizes(shape)
        compact = np.frombuffer(bytearray(content), dtype_of(dtype)).reshape([shape[axis] for axis in order])
        array = compact.transpose(np.argsort(order))
        self._shared[number] = _Shared(array, content)
        return array

    def _decoded_view(self, number: str, dtype: str, shape: list[int], strides: list[int], offset: int) -> NDArray[Any]:
        shared = self._shared[number]
        array = shared.value if shared.compact else np.array(shared.value, order="K")
        memory = array.transpose(order_of(array)).reshape(-1).view(np.uint8)
        check_within(shape, strides, offset, dtype_of(dtype).itemsize, memory.nbytes)
        return np.ndarray(tuple(shape), dtype_of(dtype), memory, offset, tuple(strides))

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
            array = value.transpose(order_of(value))
            array[...] = np.frombuffer(content, array.dtype).reshape(array.shape)
        elif isinstance(value, list):
            value[:] = [self.decoded(one, buffers) for one in content]
        elif isinstance(value, dict):
            pairs = [(self.decoded(key, buffers), self.decoded(one, buffers)) for key, one in content]
            value.clear()
            value.update(pairs)
        else:
            spawned = content["seed"][-1] - _seed(value)[-1]
            if not 0 <= spawned <= SPAWNED:
                raise WireError(f"got {spawned} more generators: expected at most {SPAWNED}")
            value.bit_generator.seed_seq.spawn(spawned)
            value.bit_generator.state = content["state"]
        shared.content = self._content(value, [])


def _is_plain(kind: type, plain: type) -> bool:
    """Whether a class is list or dict by another name, without methods of its own."""
    own = {*dir(kind)} - {*dir(plain)}
    return issubclass(kind, plain) and all(name.startswith("_") and name != "__call__" for name in own)


def _is_generator(value: Any) -> bool:
    return (
        isinstance(value, np.random.Generator)
        and type(value.bit_generator) is np.random.PCG64
        and type(value.bit_generator.seed_seq) is np.random.SeedSequence
    )


def _seed(generator: np.random.Generator) -> list[Any]:
    """What `generator.spawn` depends on: the seed, as whole numbers; its place in a tree; the number of children."""
    seed: Any = generator.bit_generator.seed_seq
    numbers = [int(one) for one in np.ravel(np.asarray(seed.entropy, object))]
    return [numbers, [*seed.spawn_key], seed.n_children_spawned]


def _seeded(entropy: list[int], key: list[int], spawned: int) -> np.random.Generator:
    seed = np.random.SeedSequence(entropy, spawn_key=key, n_children_spawned=spawned)
    return np.random.Generator(np.random.PCG64(seed))


def _kind(value: Any) -> str:
    return "generator" if _is_generator(value) else type(value).__name__


def _placed(content: bytes, buffers: Buffers) -> int:
    buffers.append(content)
    return len(buffers) - 1
