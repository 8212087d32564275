"""Calls between two processes, in values that hold no code: numbers, text, lists, arrays. Nothing is pickled.

The judge, which runs the tests, calls functions of the student's process. These may call functions that the judge
passes to them, and so on. Each side sends requests, and answers those of the other side while it waits for a reply.

Arrays, lists, dicts and random generators behave as if both sides shared them: whoever has changed one sends its new
content with the next message. A returned array that is an argument, or a view of one, comes back as such. All other
objects stay where they are; the other side gets a `Remote` for them.
"""

import json
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import contains, getitem, setitem
from typing import Any

from tinyalex.course.judging.arrays import LARGEST, WireError
from tinyalex.course.judging.values import Buffers, Values

OPERATIONS: dict[str, Callable[..., Any]] = {
    "invoke": lambda one, args, named: one(*args, **dict(named)),
    "get": getattr,
    "set": setattr,
    "item": getitem,
    "set item": setitem,
    "length": len,
    "list": list,
    "contains": contains,
}


class Remote:
    """An object of the other process. Attributes, items and calls go there; an array or a number comes back."""

    def __init__(self, end: "End", number: str) -> None:
        self.__dict__.update(_end=end, _number=number)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the object returns when it is called."""
        return self._end.ask("invoke", self, args, tuple(kwargs.items()))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__}.{name} is not open to another process")
        return self._end.ask("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._end.ask("set", self, name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._end.ask("item", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._end.ask("set item", self, key, value)

    def __len__(self) -> int:
        return int(self._end.ask("length", self))

    def __iter__(self) -> Any:
        return iter(self._end.ask("list", self))

    def __contains__(self, key: Any) -> bool:
        return bool(self._end.ask("contains", self, key))

    def __bool__(self) -> bool:
        return True


@dataclass
class End:
    """One end of the wire. side: "judge" or "student".

    error_to_send: makes a message of an exception.   error_received: makes an exception of a message.
    more: operations beside OPERATIONS, by name.
    """

    connection: socket.socket
    side: str
    error_to_send: Callable[[BaseException], dict[str, Any]]
    error_received: Callable[[dict[str, Any]], Exception]
    more: dict[str, Callable[..., Any]] = field(default_factory=dict)
    _depth: int = 0  # of requests within requests

    def __post_init__(self) -> None:
        def number_of(value: Any) -> str | None:
            return value._number if isinstance(value, Remote) and value._end is self else None

        def proxy(number: str, name: str) -> Remote:
            kind: type[Remote] = (
                type(name, (Remote,), {}) if name.isidentifier() else Remote
            )  # messages about it name its type
            return kind(self, number)

        self.values = Values(self.side, proxy, number_of)

    # ------------------------------------------------------------ requests

    def ask(self, operation: str, *operands: Any) -> Any:
        """What the other side answers. Raises the error that it reports, and WireError if it has ended."""
        with self._request():
            self._send({"ask": operation}, operands)
            while True:
                head, value = self._receive()
                if "ask" in head:
                    self._answer(str(head["ask"]), value)
                elif "error" in head:
                    raise self.error_received(head["error"])
                else:
                    return value

    def answer_all(self) -> None:
        """Answer requests until the other side closes the connection."""
        while True:
            try:
                head, value = self._receive()
            except WireError:
                return
            except NameError as error:  # the request is for a name that the notebook lacks
                self._send({"error": self.error_to_send(error)}, None)
                continue
            with self._request():
                self._answer(str(head.get("ask")), value)

    @contextmanager
    def _request(self) -> Iterator[None]:
        """A request, on both sides. Arrays and generators are shared until the outermost request ends."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self.values.forget()

    def _answer(self, operation: str, operands: Any) -> None:
        try:
            self._send({}, self._carried_out(operation, operands))
        except WireError:
            raise
        except (Exception, SystemExit) as error:  # exit() in a student's function is an answer, too
            self._send({"error": self.error_to_send(error)}, None)

    def _carried_out(self, operation: str, operands: Any) -> Any:
        if operation in self.more:
            return self.more[operation](*operands)
        if operation not in OPERATIONS or not isinstance(operands, list | tuple) or not operands:
            raise WireError(f"got the operation {operation!r}: expected one of {', '.join(OPERATIONS)}")
        self.check(operation, *operands)
        return OPERATIONS[operation](*operands)

    def check(self, operation: str, *operands: Any) -> None:
        """Raise an error if the other side may not ask for this. The judge may ask for everything; see `granted`."""

    # ------------------------------------------------------------ messages

    def _send(self, head: dict[str, Any], value: Any) -> None:
        buffers: Buffers = []
        body = self.values.encoded(value, buffers)  # before `changed`, as it may share more arrays
        head = {**head, "value": body, "changed": self.values.changed(buffers)}
        head["buffers"] = [len(buffer) for buffer in buffers]
        text = json.dumps(head).encode()
        try:
            self.connection.sendall(b"".join([struct.pack("<Q", len(text)), text, *buffers]))
        except OSError as error:
            raise WireError(f"the other process has ended: {error}") from None

    def _receive(self) -> tuple[dict[str, Any], Any]:
        (length,) = struct.unpack("<Q", self._bytes(8))
        try:
            head = json.loads(self._bytes(length))
            if sum(head["buffers"]) > LARGEST:
                raise WireError(f"got more than {LARGEST} bytes: return smaller arrays")
            buffers = [self._bytes(size) for size in head["buffers"]]
            value = self.values.decoded(head["value"], buffers)  # before `changed`, which may refer to parts of it
            self.values.take_over(head["changed"], buffers)
            return head, value
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError) as error:
            raise WireError(f"got no message: {type(error).__name__}: {error}") from None

    def _bytes(self, size: int) -> bytes:
        if not 0 <= size <= LARGEST:
            raise WireError(f"got {size} bytes: expected at most {LARGEST}; return smaller arrays")
        found = bytearray()
        while len(found) < size:
            try:
                part = self.connection.recv(min(size - len(found), 1 << 20))
            except OSError as error:
                raise WireError(f"the other process does not answer: {error}") from None
            if not part:
                raise WireError("the other process has ended")
            found += part
        return bytes(found)
