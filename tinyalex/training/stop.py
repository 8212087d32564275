"""Signals that ask a run to stop: Ctrl-C (SIGINT), a system that shuts down (SIGTERM), a terminal that closes (SIGHUP).

A run notes the signal, finishes its step, and saves. Handlers belong to the main thread of a process; a run in another
thread, or a signal that the process ignores (as under nohup), is left alone.
"""

import shlex
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from tinyalex.errors import Stopped
from tinyalex.training.saves import holds_run

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class StopSignals:
    """In its block the first signal is noted, in `signal`; a SIGINT after it raises KeyboardInterrupt at once."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self._handlers: dict[int, object] = {}

    @property
    def came(self) -> bool:
        """Whether a signal came."""
        return self.signal is not None

    def __enter__(self) -> Self:
        self.signal = None
        self._handlers = _handled_by(self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _restore(self._handlers)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.came and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or number


@contextmanager
def stopping_at_once(folder: Path | None = None) -> Iterator[None]:
    """A block that a signal ends where it is: it raises Stopped, which says how the run in `folder` goes on."""

    def stop(number: int, _: FrameType | None) -> None:
        raise stopped(number, folder)

    handlers = _handled_by(stop)
    try:
        yield
    except Stopped:
        raise
    except KeyboardInterrupt:  # the second SIGINT in a run
        raise stopped(signal.SIGINT, folder) from None
    finally:
        _restore(handlers)


def stopped(number: int, folder: Path | None, *, together: bool = False) -> Stopped:
    """The exception that ends the run in `folder` after the signal `number`; None: there is no folder yet."""
    if folder is not None and holds_run(folder):
        message = f"stopped; to go on from the last checkpoint: tinyalex train --resume {shlex.quote(str(folder))}"
    else:
        message = "stopped before anything was saved"
    return Stopped(message, number, together=together)


def _handled_by(handler: Callable[[int, FrameType | None], None]) -> dict[int, object]:
    """Let `handler` handle the signals that this process does not ignore -> what handled them before."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {number: signal.getsignal(number) for number in SIGNALS}
    caught: dict[int, object] = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in caught:
        signal.signal(number, handler)
    return caught


def _restore(handlers: dict[int, object]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)  # type: ignore[arg-type]  # what getsignal returned
