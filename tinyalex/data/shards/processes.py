"""Jobs in processes of their own, which end with the process that started them, however it ends.

The processes are spawned: a forked one would inherit the locks of threads that it does not have.
"""

import os
import signal
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Thread
from typing import TypeVar

from tinyalex.errors import UsageError

J = TypeVar("J")
R = TypeVar("R")
AHEAD = 2  # jobs a process that are handed out: one in work, and one that waits so that no process does


def in_processes(work: Callable[[J], R], jobs: Iterable[J], workers: int) -> Generator[R]:
    """work(job) of all jobs, in the order in which they get done. With one worker this process does them.

    work: a function of a module, as other processes must find it.   jobs: taken one by one, when they are handed out.
    Raises the first exception of a job, and stops the others; UsageError if a process is killed.
    """
    if workers == 1:
        yield from map(work, jobs)
        return
    context = get_context("spawn")
    ours, theirs = context.Pipe()  # it closes when this process ends, even by a kill
    pool = ProcessPoolExecutor(workers, context, _end_with, (theirs,))
    waiting: set[Future[R]] = set()
    try:
        for job in jobs:
            waiting.add(pool.submit(work, job))
            if len(waiting) == AHEAD * workers:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BrokenProcessPool:
        raise UsageError(
            "a process that worked was killed, perhaps as the memory was full: give the command again, with fewer "
            "--workers; it goes on where it was"
        ) from None
    except BaseException:
        ours.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with(parent: Connection) -> None:
    """In a new process: end as soon as the other end of the pipe closes. An interrupt is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_wait, args=(parent,), daemon=True).start()


def _wait(parent: Connection) -> None:
    with suppress(EOFError, OSError):
        parent.recv()
    os._exit(1)
