"""The judge: runs the tests of an assignment in a process that never runs a student's code.

A test calls the student's functions over a wire (see `wire`), which carries arrays and numbers only. What the test
expects, and how it compares, stays here.
"""

import builtins
import contextlib
import io
import secrets
import socket
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from tinyalex.course.cells import Notebook, is_given
from tinyalex.course.checks import CheckError
from tinyalex.course.guard import TimeLimitError
from tinyalex.course.judging.arrays import WireError
from tinyalex.course.judging.granted import JudgeEnd
from tinyalex.course.judging.serve import NAME, connected
from tinyalex.course.judging.wire import Remote
from tinyalex.course.scope import global_names
from tinyalex.course.watch import LibraryError

OWN_ERRORS = {kind.__name__: kind for kind in (CheckError, LibraryError, TimeLimitError)}
ENDS = (StopIteration, StopAsyncIteration)  # a loop of the test takes them for its own end

TOLD = 2.0  # seconds in which a caller must send the token, before others are listened to
SILENT = "the notebook's Python does not answer: did a cell end it, or change its modules?"


class StudentError(Exception):
    """An error in the student's code, of a type that this process does not know."""


class Judge:
    """The tests of one notebook. Before each, it runs the cells that every student is given, in a scope of its own.

    So no test meets what a student's function has done to a list of another test.
    """

    def __init__(self, notebook: Notebook) -> None:
        self.given = [compile(cell.source, "<given>", "exec") for cell in notebook.cells if is_given(cell)]

    def outputs(self, source: str, line: "Line") -> list[Any]:
        """Run a test cell against the student's process at the other end -> what the notebook shows below it."""
        given: dict[str, Any] = {"__name__": "__main__"}
        with contextlib.redirect_stdout(io.StringIO()):
            for code in self.given:
                exec(code, given)
        printed, outputs = io.StringIO(), []
        try:
            code = compile(source, "<test>", "exec")
            with line.answered() as connection, contextlib.redirect_stdout(printed):
                end = JudgeEnd(connection, "judge", _error_to_send, _error_received)
                exec(code, _scope(code, given, end))
        except Exception as error:
            outputs = [_shown(error)]
        finally:
            line.server.close()  # the student's process waits no longer, though the test may not have called it
        text = printed.getvalue()
        return [*([nbformat.v4.new_output("stream", name="stdout", text=text)] if text else []), *outputs]


def _scope(code: types.CodeType, given: dict[str, Any], end: JudgeEnd) -> dict[str, Any]:
    """The names of a test: what students are given, and for all other names the student's functions."""
    others = {name for name in global_names(code) if name not in given and not hasattr(builtins, name)}
    return given | {name: Remote(end, NAME + name) for name in others}


@dataclass
class Line:
    """Where the student's process calls the judge.   token: what it must know to do so."""

    server: socket.socket
    token: str
    seconds: float
    connection: socket.socket | None = None
    hung_up: bool = False

    @property
    def address(self) -> int | str:
        """The number of the port, on this machine only, or the path of the socket."""
        address = self.server.getsockname()
        return str(address) if isinstance(address, str) else int(address[1])

    def hang_up(self) -> None:
        """End the call, or the wait for one: call in place of a process that does not."""
        self.hung_up = True
        with contextlib.suppress(OSError):
            if self.connection:
                self.connection.shutdown(socket.SHUT_RDWR)
            else:
                connected(self.address).close()

    @contextlib.contextmanager
    def answered(self) -> Iterator[socket.socket]:
        """The connection to the student's process. Raises WireError if it does not call."""
        self.server.settimeout(self.seconds)
        while True:
            try:
                self.connection, _ = self.server.accept()
            except OSError:
                raise WireError(SILENT) from None
            self.connection.settimeout(min(TOLD, self.seconds))
            with self.connection:
                if self.hung_up:
                    raise WireError(SILENT)
                if _received(self.connection, len(self.token)) == self.token:
                    self.connection.settimeout(self.seconds)
                    yield self.connection
                    return


@contextlib.contextmanager
def line(seconds: float, path: Path | None = None) -> Iterator[Line]:
    """A line that is open within the block.

    seconds: the longest time to wait for the student's process.
    path:    of its socket, where the system has such sockets; otherwise a port is opened.
    """
    with _server(path) as server:
        yield Line(server, secrets.token_hex(16), seconds)


def _server(path: Path | None) -> socket.socket:
    if path is None or sys.platform == "win32":
        return socket.create_server(("127.0.0.1", 0))
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    path.chmod(0o600)  # before it listens: other users, who run other hand-ins, cannot call
    server.listen()
    return server


def _received(connection: socket.socket, size: int) -> str:
    found = b""
    with contextlib.suppress(OSError):
        while len(found) < size and (part := connection.recv(size - len(found))):
            found += part
    return found.decode(errors="replace")


# ---------------------------------------------------------------- errors


def _error_to_send(error: BaseException) -> dict[str, Any]:
    """An error of a function that the test passed to the student's function: its type and text, nothing else."""
    return {"type": type(error).__name__, "text": str(error)}


def _error_received(message: dict[str, Any]) -> Exception:
    """The student's error: of a type, or derived of one, that Python or the course has, so that a test can catch it."""
    name, text = str(message["type"]), str(message["text"])
    kind = next(filter(None, map(_known_error, [name, *message.get("bases", [])])), StudentError)
    try:
        error: Exception = kind(text if kind.__name__ == name else f"{name}: {text}")
    except TypeError:  # UnicodeDecodeError, for one, wants more than a text
        error = StudentError(f"{name}: {text}")
    for note in message.get("notes", []):
        error.add_note(str(note))
    error.told = [str(one) for one in message.get("traceback", [])]  # type: ignore[attr-defined]
    return error


def _known_error(name: str) -> type[Exception] | None:
    kind: Any = OWN_ERRORS.get(str(name)) or getattr(builtins, str(name), None)
    known = isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, ENDS)
    return kind if known else None


def _shown(error: Exception) -> Any:
    """The error as a notebook shows it: without a traceback if it is about the answer, else with the student's."""
    render: Callable[[], list[str]] | None = getattr(error, "_render_traceback_", None)
    lines = render() if render else getattr(error, "told", None) or traceback.format_exception(error)
    text = "\n".join([str(error), *getattr(error, "__notes__", [])])
    return nbformat.v4.new_output(
        "error", ename=type(error).__name__, evalue=text, traceback="".join(lines).splitlines()
    )
