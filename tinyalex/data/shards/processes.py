"""Jobs in processes of their own, which end with the process that started them, however it ends.

Each process has a pipe of its own: one that is killed, even half way through a result, is noticed by the end of its
pipe, and nobody waits for it. (With the one queue that concurrent.futures has for all, everybody would.) The processes
are spawned: a forked one would inherit the locks of threads that it does not have.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from threading import Thread
from traceback import format_exc
from typing import Any, TypeVar

from tinyalex.errors import UsageError

J = TypeVar("J")
R = TypeVar("R")


def in_processes(work: Callable[[J], R], jobs: Iterable[J], workers: int) -> Generator[R]:
    """work(job) of all jobs, in the order in which they get done. With one worker this process does them.

    work: a function of a module, as other processes must find it.   jobs: taken one by one, when they are handed out.
    Raises the first exception of a job, and stops the others; UsageError if a process is killed.
    """
    if workers == 1:
        yield from map(work, jobs)
        return
    left, started = iter(jobs), list[tuple[SpawnProcess, Connection]]()
    busy = set[Connection]()
    try:
        for job in left:
            if len(started) == workers:
                connection, result = _next_result(busy)
                _send(connection, job)  # before the result is given out: the process need not wait for that
                yield result
            else:
                started.append(_start(work))
                _send(started[-1][1], job)
                busy.add(started[-1][1])
        while busy:
            connection, result = _next_result(busy)
            busy.remove(connection)
            yield result
    finally:
        for process, connection in started:
            connection.close()
            process.kill()
            process.join()


def _next_result(busy: set[Connection]) -> tuple[Connection, Any]:
    """The first result that comes, and where it came from."""
    connection = wait(busy)[0]
    assert isinstance(connection, Connection)
    with _killed_is_told():
        result, error = connection.recv()
    if error is not None:
        raise error
    return connection, result


def _send(connection: Connection, job: object) -> None:
    with _killed_is_told():
        connection.send(job)


@contextmanager
def _killed_is_told() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError):
        raise UsageError(
            "a process that worked was killed, perhaps as the memory was full: give the command again, with fewer "
            "--workers; it goes on where it was"
        ) from None


def _start(work: Callable[[Any], object]) -> tuple[SpawnProcess, Connection]:
    """A process that waits for jobs, and our end of its pipe."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(work, theirs), daemon=True)
    with _no_interrupts():
        process.start()
    theirs.close()
    return process, ours


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """A process that is started in this block never sees an interrupt: that is for its parent to handle."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # each process needs it, and to start it lets interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(work: Callable[[Any], object], connection: Connection) -> None:
    """In a process of its own: do the jobs that come, until the other end of the pipe closes."""
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        while True:
            job = connection.recv()
            try:
                result, error = work(job), None
            except Exception as raised:
                raised.add_note(format_exc())
                result, error = None, raised
            connection.send((result, error))
    except (EOFError, OSError):
        return


def _end_with_parent() -> None:
    """End this process at once when its parent ends, even by a kill."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
