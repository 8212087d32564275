"""One pool of threads for all kernels: each thread computes a share of the images, or of the units.

A matrix product inside a share uses one BLAS thread; otherwise the threads of the pool and those of BLAS would compete
for the same cores. The shares depend only on the number of threads, so results are the same, bit for bit, from run to
run.
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
WORTH_A_THREAD = 1 << 16  # numbers: to wake a thread takes as long as to compute about 50,000
MOST_THREADS = 256  # in the pool, for all callers together; more shares than that wait for a free thread

_chosen: ContextVar[int | None] = ContextVar("threads", default=None)


def thread_count() -> int:
    """The number of threads in force: that of the innermost `use_threads`, else TINYALEX_THREADS, else of the cores.

    The cores are those that this process may use. Raises UsageError if TINYALEX_THREADS is not a positive integer.
    """
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    wanted = os.environ.get("TINYALEX_THREADS", "")
    if wanted:
        return _checked(wanted, f"TINYALEX_THREADS={wanted}")
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def use_threads(count: int | None) -> Iterator[None]:
    """Within the block the kernels use `count` threads; None keeps the number in force.

    Raises UsageError for a number below 1, and for None if TINYALEX_THREADS is not a positive integer.
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
    """The shares of `in_shares`: (first, last) for each thread, which together are 0 ... count - 1 (last excluded)."""
    threads = max(1, min(thread_count(), count // at_least))
    return list(pairwise(count * i // threads for i in range(threads + 1)))


def in_shares(work: Callable[[int, int], R], count: int, at_least: int = 1) -> list[R]:
    """[work(first, last), ...] for shares of 0 ... count - 1 (last excluded), each computed in a thread of the pool.

    at_least: the smallest size of a share that is worth a thread.
    The threads run in a copy of the caller's context, so np.errstate holds in them too. The first error of a share is
    raised after all shares have ended.
    """
    mine, *rest = shares(count, at_least)
    others: list[Future[R]] = []
    with one_blas_thread():
        try:
            for first, last in rest:
                others.append(_state.pool.submit(copy_context().run, work, first, last))
            done = work(*mine)  # the calling thread computes a share too
        finally:
            wait(others)  # also after an error: no thread may still write when this returns
    return [done, *(other.result() for other in others)]


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread within the block. The first of overlapping blocks sets it, the last lifts it.

    A net enters this block once for a whole pass, because setting the limit takes as long as a small layer.
    """
    state = _state  # a child forked within the block has a new state, which this block must not change
    state.set_limit()
    try:
        yield
    finally:
        state.lift_limit()


class _State:
    """The pool of threads, which start when there is work for them, and how many blocks limit BLAS."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="tinyalex-kernels")
        self._lock = threading.Lock()
        self._limiting = 0
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="tinyalex-blas")

    # One thread, the keeper, sets and lifts the limit for all callers: threadpoolctl lets only the thread that set a
    # limit of OpenBLAS change it.

    def set_limit(self) -> None:
        with self._lock:
            if self._limiting == 0:
                self._limit = self._keeper.submit(_limit_blas).result()
            self._limiting += 1

    def lift_limit(self) -> None:
        with self._lock:
            self._limiting -= 1
            if self._limiting == 0:
                self._keeper.submit(self._limit.close).result()


def _limit_blas() -> ExitStack:
    """Limit BLAS to one thread until the result is closed."""
    limit = ExitStack()
    limit.enter_context(_blas().limit(limits=1))
    return limit


@cache
def _blas() -> Any:
    """The BLAS libraries of this process, found at first use, as only that needs threadpoolctl."""
    return import_module("threadpoolctl").ThreadpoolController().select(user_api="blas")


def _start_anew() -> None:
    """Give a forked child a new pool and a new lock: the threads of its parent do not exist in it."""
    global _state
    _state = _State()


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
