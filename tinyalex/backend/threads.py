"""One pool of threads for all kernels: each takes a share of the images, or of the units, and multiplies on its own.

A matrix product inside a share runs on one BLAS thread, else two layers of threads would fight for the same cores.
The shares depend on the number of threads only, so a result is the same, bit for bit, from run to run.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar, copy_context
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Any, TypeVar

from tinyalex.errors import UsageError

R = TypeVar("R")
WORTH_A_THREAD = 1 << 16  # numbers: to wake a thread takes as long as to compute some 50,000
MOST_THREADS = 256  # of all callers together; what is beyond waits

_chosen: ContextVar[int | None] = ContextVar("threads", default=None)


def thread_count() -> int:
    """That of the innermost `use_threads`, else TINYALEX_THREADS, else the number of cores this process may use."""
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    wanted = os.environ.get("TINYALEX_THREADS", "")
    if wanted:
        return _checked(wanted, f"TINYALEX_THREADS={wanted}")
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def use_threads(count: int | None) -> Iterator[None]:
    """Within the block the kernels share their work out to `count` threads; None: to those in force.

    Raises UsageError for a number below 1, or where None finds a TINYALEX_THREADS that is none.
    """
    if count is None:
        thread_count()
        yield
        return
    token = _chosen.set(_checked(str(count), f"threads={count}"))
    try:
        yield
    finally:
        _chosen.reset(token)


def _checked(wanted: str, source: str) -> int:
    if not (wanted.isdecimal() and int(wanted) > 0):
        raise UsageError(f"{source}: expected a number of threads, 1 or more")
    return int(wanted)


def shares(count: int, at_least: int = 1) -> list[tuple[int, int]]:
    """0 ... count - 1 cut into (first, last) for each thread that `in_shares` would use."""
    threads = max(1, min(thread_count(), count // at_least))
    return list(pairwise(count * i // threads for i in range(threads + 1)))


def in_shares(work: Callable[[int, int], R], count: int, at_least: int = 1) -> list[R]:
    """What work(first, last) returns for shares that together are 0 ... count - 1, each in a thread of the pool.

    at_least: a share of fewer is not worth a thread of its own.
    The threads work in the caller's context: an np.errstate there holds for them too.
    """
    mine, *rest = shares(count, at_least)
    others: list[Future[R]] = []
    with one_blas_thread():
        try:
            for first, last in rest:
                others.append(_state.pool.submit(copy_context().run, work, first, last))
            done = work(*mine)  # the calling thread takes a share too
        finally:
            wait(others)  # also after an error: nobody may still be writing when this returns
    return [done, *(other.result() for other in others)]


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread; of blocks that overlap the first sets the limit and the last lifts it.

    A net holds it for a whole pass, as to set it takes as long as a small layer.
    """
    state = _state  # a child that is forked within the block lets go of its parent's, not of its own
    state.hold()
    try:
        yield
    finally:
        state.let_go()


class _State:
    """The pool, whose threads begin when there is work for them, and how many blocks hold BLAS to one thread."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="tinyalex-kernels")
        self._lock = threading.Lock()
        self._holding = 0
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="tinyalex-blas")

    # Set and lifted in the same thread, whoever calls: threadpoolctl lets the thread that has set a limit of OpenBLAS
    # change it, and ignores all others until that one has left its limit's block.

    def hold(self) -> None:
        with self._lock:
            if self._holding == 0:
                self._limit = self._keeper.submit(_limit_blas).result()
            self._holding += 1

    def let_go(self) -> None:
        with self._lock:
            self._holding -= 1
            if self._holding == 0:
                self._keeper.submit(self._limit.close).result()


def _limit_blas() -> ExitStack:
    """BLAS on one thread from now on, until the result is closed."""
    limit = ExitStack()
    limit.enter_context(_blas().limit(limits=1))
    return limit


@cache
def _blas() -> Any:
    """The BLAS libraries of this process; looked for at first use, as that alone imports threadpoolctl."""
    return import_module("threadpoolctl").ThreadpoolController().select(user_api="blas")


def _start_anew() -> None:
    """A forked child has none of its parent's threads: it begins with a fresh pool and a fresh lock."""
    global _state
    _state = _State()


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
