"""Memory pools for the CPU: memory of large arrays is used again from step to step.

The operating system provides the memory of a new array page by page, when it is first written; for a large array this
takes longer than the computation that fills it. `empty` keeps the memory of large arrays, and gives it to others once
no array or view refers to it. So that little of it lies idle, it is cut to size, and joined again when it is free.
"""

import math
import os
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import DTypeLike, NDArray

SMALLEST_KEPT = 1 << 16  # bytes: for smaller arrays NumPy's own allocation is as fast
ALIGNED = 64  # bytes: a cache line, and the widest vector register
LONGEST_IDLE = 500  # requests, about five steps of the paper's net: a chunk that served none of them is forgotten

Cut = Callable[[int, int], NDArray[np.uint8]]

_device: ContextVar[str] = ContextVar("device", default="cpu")
_pooled: ContextVar[bool] = ContextVar("pooled", default=True)


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array with arbitrary contents, as np.empty gives; the memory of a large one comes from the pool."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < SMALLEST_KEPT or not _pooled.get():
        return np.empty(shape, dtype)
    return _pools[device_in_use()].memory(size).view(dtype).reshape(shape)


def forget_memory() -> None:
    """Forget all chunks. Free ones return to the system now, the others when their last array is deleted."""
    for pool in list(_pools.values()):
        pool.forget(longest=0)


def device_in_use() -> str:
    """The name of the CPU device from whose pool this thread allocates."""
    return _device.get()


@contextmanager
def memory_of(device: str) -> Iterator[None]:
    """Within the block this thread allocates from the pool of the CPU device `device`."""
    token = _device.set(device)
    try:
        yield
    finally:
        _device.reset(token)


@contextmanager
def without_pools() -> Iterator[None]:
    """Within the block `empty` allocates by the system, as np.empty does; to measure what the pools save."""
    token = _pooled.set(False)
    try:
        yield
    finally:
        _pooled.reset(token)


class Pool:
    """Chunks of memory from the system, for one device. Arrays get blocks of them.

    make: a new chunk of so many bytes, as a function that returns the array of its bytes first ... last - 1. They
    are in use until that array and all views of it are deleted.
    """

    def __init__(self, make: Callable[[int], Cut]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._chunks: list[_Chunk] = []
        self._requests = 0

    @property
    def held(self) -> int:
        """Bytes of all chunks, in use or free."""
        return sum(chunk.size for chunk in self._chunks)

    def memory(self, size: int) -> NDArray[np.uint8]:
        """`size` bytes of the smallest free block that has them, or of a new chunk.

        Before it makes a chunk it returns the free ones to the system. After a few steps of a net the chunks are then
        few and large, and small arrays lie side by side in them.
        """
        with self._lock:
            self._requests += 1
            if self._requests % LONGEST_IDLE == 0:
                self._forget(LONGEST_IDLE)
            room = -(-size // ALIGNED) * ALIGNED
            free = [
                (last - first, index, first)
                for index, chunk in enumerate(self._chunks)
                for first, last in chunk.free_blocks()
                if last - first >= room
            ]
            if free:
                _, index, first = min(free)
                chunk = self._chunks[index]
            else:
                self._chunks = [chunk for chunk in self._chunks if not chunk.is_free]
                chunk, first = _Chunk(self._make(room), room), 0
                self._chunks.append(chunk)
            chunk.last_request = self._requests
            return chunk.take(first, size, room)

    def forget(self, longest: int) -> None:
        """Forget the chunks that served none of the last `longest` requests."""
        with self._lock:
            self._forget(longest)

    def _forget(self, longest: int) -> None:
        self._chunks = [chunk for chunk in self._chunks if self._requests - chunk.last_request < longest]


class _Chunk:
    """Memory that the system gave in one piece.   last_request: the number of the last request that it served."""

    def __init__(self, cut: Cut, size: int) -> None:
        self._cut, self.size, self.last_request = cut, size, 0
        self._free = [(0, size)]  # blocks as (first, last) bytes, in order, none next to another
        self._returned: deque[tuple[int, int]] = deque()  # an array may die in any thread, at any moment

    def free_blocks(self) -> list[tuple[int, int]]:
        """The free blocks as (first, last) bytes, in order. Neighbours are joined to one block."""
        while self._returned:
            self._free.append(self._returned.popleft())
            self._free.sort()
            joined = self._free[:1]
            for first, last in self._free[1:]:
                if first == joined[-1][1]:
                    first, _ = joined.pop()
                joined.append((first, last))
            self._free = joined
        return self._free

    @property
    def is_free(self) -> bool:
        """Was no byte in use when `free_blocks` was last called?"""
        return self._free == [(0, self.size)]

    def take(self, first: int, size: int, room: int) -> NDArray[np.uint8]:
        """`size` bytes; with them `room` bytes of the free block that begins at `first` are in use."""
        index, last = next((index, last) for index, (start, last) in enumerate(self._free) if start == first)
        self._free[index : index + 1] = [(first + room, last)] if first + room < last else []
        array = self._cut(first, first + size)
        finalize(array, self._returned.append, (first, first + room)).atexit = False
        return array


def simulated_pool() -> Pool:
    """A pool whose blocks have a size but no memory: it predicts how much a sequence of requests would hold."""
    return Pool(lambda _: lambda first, last: np.broadcast_to(np.uint8(0), last - first))


def _system_memory(size: int) -> Cut:
    """A chunk of `size` bytes, aligned."""
    memory = np.empty(size + ALIGNED, np.uint8)
    start = -memory.ctypes.data % ALIGNED
    chunk = memory.data[start : start + size]
    return lambda first, last: np.frombuffer(chunk[first:last], np.uint8)  # views of it refer to it, not to the chunk


def _new_pool() -> Pool:
    return Pool(_system_memory)


def _start_anew() -> None:
    """Give a forked child new pools: another thread may have held a lock of the old ones during the fork."""
    global _pools
    _pools = defaultdict(_new_pool)


_pools: defaultdict[str, Pool] = defaultdict(_new_pool)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
