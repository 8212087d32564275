"""The student's side of the marking: calls the functions of the notebook, as the judge asks.

It runs in the process of the student's notebook. Whatever a notebook does to this module, it can only send other
answers: what is right is known to the judge alone.
"""

import builtins
import re
import signal
import socket
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tinyalex.backend import use_kernels
from tinyalex.course import guard
from tinyalex.course.judging.values import new_record
from tinyalex.course.judging.wire import End

EVERY_ERROR = Exception.__mro__
NAME = "name:"  # how the judge asks for a name of the notebook
PACKAGE = str(Path(__file__).parents[1])
CELL = re.compile(r'File "[^"]*ipykernel_[^"]*"')  # how a traceback names a cell of the notebook


def serve(address: int | str, token: str, notebook: Mapping[str, Any]) -> None:
    """Answer the judge at this address until it closes the connection.

    token: tells the judge that this is the process that it has asked.   notebook: the names of the notebook.
    """
    with connected(address) as connection:
        connection.sendall(token.encode())
        StudentEnd(connection, notebook).answer_all()


def connected(address: int | str) -> socket.socket:
    """A connection to a port of this machine, or to a socket with this path."""
    if isinstance(address, int):
        return socket.create_connection(("127.0.0.1", address))
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    return connection


class StudentEnd(End):
    """The end of the wire in the student's process."""

    def __init__(self, connection: socket.socket, notebook: Mapping[str, Any]) -> None:
        super().__init__(connection, "student", _error_to_send, _error_received, {"call": _call})
        self.notebook = notebook
        self.values.objects = _Objects(notebook)
        self.values.record = self._record

    def _record(self, name: str, fields: tuple[str, ...]) -> Callable[..., Any]:
        """The notebook's own class of named tuples, if it has this one, so that `isinstance` and `match` know them."""
        own = self.notebook.get(name)
        return own if isinstance(own, type) and getattr(own, "_fields", ()) == fields else new_record(name, fields)

    def ask(self, operation: str, *operands: Any) -> Any:
        """What the judge answers. The time limit of the student's function does not run on meanwhile."""
        with _timer_stopped():
            return super().ask(operation, *operands)


class _Objects(dict[str, Any]):
    """The objects that the judge knows by a number, and all names of the notebook."""

    def __init__(self, notebook: Mapping[str, Any]) -> None:
        super().__init__()
        self.notebook = notebook

    def __missing__(self, number: str) -> Any:
        """A name of the notebook. Raises NameError if it has no such name."""
        name = number.removeprefix(NAME)
        if name not in self.notebook:
            raise NameError(f"name '{name}' is not defined")
        return self.notebook[name]


def _call(function: Any, args: Any, kwargs: Any, given: Any, settings: Any, kernels: str) -> Any:
    """The result of the student's function under the rules of marking; see `guard.call`."""
    with use_kernels(kernels):
        return guard.call(function, *args, given=given, **settings, **kwargs)


@contextmanager
def _timer_stopped() -> Iterator[None]:
    if not hasattr(signal, "setitimer"):
        yield
        return
    left = signal.setitimer(signal.ITIMER_REAL, 0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *left)


def _error_to_send(error: BaseException) -> dict[str, Any]:
    """The error's type and the built-in ones above it, its text, notes, and its traceback.

    The traceback comes without the lines of this package, and without the temporary names of cells.
    """
    told = traceback.TracebackException.from_exception(error)
    told.stack = traceback.StackSummary.from_list([one for one in told.stack if not one.filename.startswith(PACKAGE)])
    text = error.args[0] if len(error.args) == 1 and isinstance(error.args[0], str) else str(error)
    return {
        "type": type(error).__name__,
        "bases": [
            kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins" and kind not in EVERY_ERROR
        ],
        "text": text,
        "notes": list(getattr(error, "__notes__", [])),
        "traceback": [CELL.sub("Your code", line) for line in told.format(chain=False)],
    }


def _error_received(message: dict[str, Any]) -> Exception:
    """An error of a function that the test passed: of the same type, if Python has it."""
    kind = getattr(builtins, str(message["type"]), RuntimeError)
    return kind(message["text"]) if isinstance(kind, type) and issubclass(kind, Exception) else RuntimeError(message)
