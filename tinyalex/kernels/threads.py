"""One pool of threads for all kernels: each takes a share of the images, or of the units, and multiplies on its own.

A matrix product inside a share runs on one BLAS thread, else two layers of threads would fight for the same cores.
The shares depend on the number of threads only, so a result is the same, bit for bit, from run to run.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from itertools import pairwise

from threadpoolctl import ThreadpoolController

from tinyalex.errors import UsageError


def thread_count() -> int:
    """TINYALEX_THREADS, else the number of cores that this process may use."""
    wanted = os.environ.get("TINYALEX_THREADS", "")
    if wanted and not (wanted.isdecimal() and int(wanted) > 0):
        raise UsageError(f"TINYALEX_THREADS={wanted}: expected a number of threads, 1 or more")
    if wanted:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_shares(work: Callable[[int, int], None], count: int) -> None:
    """Call work(first, last) for shares that together are 0 ... count - 1, each in a thread of the pool.

    The threads work in the caller's context: an np.errstate there holds for them too.
    """
    threads = max(1, min(thread_count(), count))
    cuts = [count * i // threads for i in range(threads + 1)]
    with _state.one_blas_thread():
        others = [_state.pool().submit(copy_context().run, work, first, last) for first, last in pairwise(cuts[1:])]
        try:
            work(cuts[0], cuts[1])  # the calling thread takes a share too
        finally:
            for other in others:
                other.result()


class _State:
    """The pool, made at first use, and how many calls hold BLAS to one thread at the moment."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._holding = 0
        self._blas = ThreadpoolController().select(user_api="blas")
        self._keeper = ThreadPoolExecutor(1, thread_name_prefix="tinyalex-blas")  # the one thread that sets the limit

    def pool(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(thread_count(), thread_name_prefix="tinyalex-kernels")
            return self._pool

    @contextmanager
    def one_blas_thread(self) -> Iterator[None]:
        """Hold BLAS to one thread; of calls that overlap the first sets the limit and the last lifts it.

        Both in the same thread, whoever calls: threadpoolctl lets the first thread that ever set a limit of OpenBLAS
        change it, and ignores all others.
        """
        with self._lock:
            self._holding += 1
            if self._holding == 1:
                self._limit = self._keeper.submit(self._blas.limit, limits=1).result()
        try:
            yield
        finally:
            with self._lock:
                self._holding -= 1
                if self._holding == 0:
                    self._keeper.submit(self._limit.restore_original_limits).result()


def _start_anew() -> None:
    """A forked child has none of its parent's threads: it begins with a fresh pool and a fresh lock."""
    global _state
    _state = _State()


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
