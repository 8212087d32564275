"""Functions that run in processes of their own, several at a time; one that hangs or dies holds no other up."""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self

PR_SET_CHILD_SUBREAPER = 36  # of Linux's prctl
# imported once, not by each job
PRELOADED = ["tinyalex.course.marking.execute", "tinyalex.course.pages.feedback", "nbgrader.apps"]
GRACE = 10.0  # seconds that a job has to end the processes that it started


@dataclass
class Result:
    """What a function returned, or why it returned nothing: an error, a time limit, the end of its process."""

    value: Any = None
    failure: str = ""


@dataclass
class _Job:
    key: Any
    process: BaseProcess
    connection: Connection
    end: float
    seconds: float


class Jobs:
    """Starts jobs, and hands out their results as they come in. Leaving the block ends all that still run.

    most: how many run at a time.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.running: list[_Job] = []
        self.context: Any = multiprocessing.get_context("spawn" if sys.platform == "win32" else "forkserver")
        if sys.platform != "win32":
            self.context.set_forkserver_preload(PRELOADED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for job in self.running:
            job.process.terminate()
        for job in self.running:
            _ended(job)
        self.running.clear()

    @property
    def free(self) -> bool:
        """Whether one more job may start."""
        return len(self.running) < self.most

    def start(self, key: Any, seconds: float, function: Callable[..., Any], *args: Any) -> None:
        """Call function(*args) in a process of its own, which is ended after `seconds`. key: comes with the result."""
        ours, theirs = self.context.Pipe(duplex=False)
        process = self.context.Process(target=_run, args=(theirs, function, args), daemon=False)
        process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self.running.append(_Job(key, process, ours, time.monotonic() + seconds, seconds))

    def finished(self) -> Iterator[tuple[Any, Result]]:
        """Wait until a job is done, and hand out the results of all that are."""
        left = min(job.end for job in self.running) - time.monotonic()
        ready = wait([job.connection for job in self.running], max(0.0, left))
        for job in [*self.running]:
            if job.connection in ready or time.monotonic() > job.end:
                self.running.remove(job)
                yield job.key, _result(job, job.connection in ready)


def _result(job: _Job, ready: bool) -> Result:
    if not ready:
        job.process.terminate()
        _ended(job)
        return Result(failure=f"stopped after {job.seconds:g} s")
    try:
        result: Result = job.connection.recv()
    except (EOFError, OSError):
        result = Result(failure="its process ended without an answer: out of memory?")
    _ended(job)
    return result


def _ended(job: _Job) -> None:
    """Wait for the end of a job, and kill it if it does not come."""
    job.process.join(GRACE)
    if job.process.is_alive():
        job.process.kill()
        job.process.join()
    job.connection.close()


# ---------------------------------------------------------------- in the job's process


def _run(connection: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the process that waits, which ends this one
    signal.signal(signal.SIGTERM, _stopped)
    if sys.platform != "linux" or _is_watched():
        try:
            result = Result(function(*args))
        except Exception as error:
            result = Result(failure=f"{type(error).__name__}: {error}")
        connection.send(result)


def _is_watched() -> bool:
    """Fork: True in a child. False in this process, when the child has ended, however it did, and all it started."""
    _adopt_orphans()
    child = os.fork()
    if not child:
        return True
    while os.wait()[0] != child:
        pass  # an orphan has ended
    _kill_children()
    return False


def _stopped(*_: Any) -> None:
    _kill_children()
    os._exit(1)


def _adopt_orphans() -> None:
    """Become the parent of all processes that this one's children leave behind, so that `_kill_children` finds them."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def _kill_children() -> None:
    """Kill this process's children until none is left: what a student's code has started, too. On Linux only."""
    while children := _children():
        for child in children:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def _children() -> list[int]:
    """The numbers of this process's children."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if int(status.read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(status.parent.name))
    return found
