"""One pool of threads for all kernels: each thread computes a share of the images, or of the units.

A matrix product inside a share uses one BLAS thread; otherwise the threads of the pool and those of BLAS would compete
for the same cores. The shares depend only on the number of threads, so results are the same, bit for bit, from run to
run.

To wake a sleeping thread costs 10 to 50 microseconds, most of it for a core that has halted. So work is divided only
if each share takes longer than that, and a share is handed over with nothing but two locks.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache, partial
from importlib import import_module
from itertools import pairwise
from threading import Lock, Thread
from time import sleep
from typing import Any, TypeVar

from tinyalex.errors import UsageError

R = TypeVar("R")
WORTH_A_THREAD = 1 << 18  # numbers: to compute so many takes about as long as to wake a thread
LOOKS = 100  # at a share that has not ended, about 100 microseconds, before the caller sleeps

_give_way: Callable[[], None] = getattr(os, "sched_yield", lambda: sleep(0))  # Windows has no sched_yield

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
    token = _chosen.set(thread_count() if count is None else _checked(str(count), f"threads={count}"))
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
    workers: list[_Worker] = []
    with one_blas_thread():
        try:
            for first, last in rest:
                workers.append(_state.start(partial(copy_context().run, work, first, last)))
            done = work(*mine)  # the calling thread computes a share too
        finally:
            outcomes = [worker.outcome() for worker in workers]  # also after an error: no thread may still write
            _state.idle.extend(workers)
    for _, error in outcomes:
        if error:
            raise error
    return [done, *(result for result, _ in outcomes)]


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


class _Worker:
    """A thread that waits for work. It serves one caller at a time."""

    def __init__(self) -> None:
        self._given, self._ended = Lock(), Lock()
        self._given.acquire()
        self._ended.acquire()
        self._outcome: Any = None
        Thread(target=self._serve, name="tinyalex-kernels", daemon=True).start()

    def start(self, work: Callable[[], Any]) -> None:
        """Let the thread call work()."""
        self._work = work
        self._given.release()

    def outcome(self) -> tuple[Any, BaseException | None]:
        """Wait for the end of the work; its result, or the error that it raised.

        The shares of a kernel end almost together. So the caller looks a few times, and saves its own falling asleep
        and waking up; between two looks another thread may have the core, and Python's lock.
        """
        for _ in range(LOOKS):
            if self._ended.acquire(blocking=False):
                break
            _give_way()
        else:
            self._ended.acquire()
        result, error = self._outcome
        self._outcome = None  # an idle thread keeps no array alive
        return result, error

    def _serve(self) -> None:
        while True:
            self._given.acquire()
            try:
                self._outcome = self._work(), None
            except BaseException as error:  # the caller raises it
                self._outcome = None, error
            del self._work
            self._ended.release()


class _State:
    """The threads that have no work now, and how many blocks limit BLAS."""

    def __init__(self) -> None:
        self.idle: list[_Worker] = []
        self._lock = Lock()
        self._limiting = 0

    def start(self, work: Callable[[], Any]) -> _Worker:
        """An idle thread, or a new one, which calls work(). The caller appends it to `idle` after its outcome."""
        try:
            worker = self.idle.pop()
        except IndexError:
            worker = _Worker()
        worker.start(work)
        return worker

    def set_limit(self) -> None:
        with self._lock:
            if self._limiting == 0:
                self._limit = _limit_blas()
            self._limiting += 1

    def lift_limit(self) -> None:
        with self._lock:
            self._limiting -= 1
            if self._limiting == 0:
                self._limit.restore_original_limits()
                _leave_blas_to_others()


def _limit_blas() -> Any:
    """Limit BLAS to one thread until the result's `restore_original_limits` is called."""
    limit = _blas().limit(limits=1)
    _leave_blas_to_others()
    return limit


def _leave_blas_to_others() -> None:
    """Let any thread set the next limit of BLAS; threadpoolctl 3.7 keeps OpenBLAS for the thread that set the last."""
    for library in _blas().lib_controllers:
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread()


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
