"""Memory pools for the CPU: memory of large arrays is used again from step to step.

The operating system provides the memory of a new array page by page, when it is first written; for a large array this
takes longer than the computation that fills it. `empty` keeps the memory of large arrays in blocks, and returns a
block again once no array or view refers to it.
"""

import math
import os
import sys
import threading
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

SMALLEST_KEPT = 1 << 16  # bytes: for smaller arrays NumPy's own allocation is as fast
ALIGNED = 64  # bytes: a cache line, and the widest vector register
LONGEST_IDLE = 500  # requests, about five steps of the paper's net: a block that served none of them is forgotten

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
    """Forget all blocks. Free ones return to the system now, the others when their last array is deleted."""
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
    """The blocks of one device, smallest first, each with the number of the last request that it served.

    make: allocates a new block of so many bytes, as a view of an array that nothing else refers to.
    """

    def __init__(self, make: Callable[[int], NDArray[np.uint8]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._blocks: list[tuple[NDArray[np.uint8], int]] = []
        self._requests = 0

    @property
    def held(self) -> int:
        """Bytes of all blocks, in use or free."""
        return sum(block.size for block, _ in self._blocks)

    def memory(self, size: int) -> NDArray[np.uint8]:
        """`size` bytes of the smallest free block of `size` to 2 * `size` bytes, or of a new block."""
        with self._lock:
            self._requests += 1
            if self._requests % LONGEST_IDLE == 0:
                self._forget(LONGEST_IDLE)
            for index in range(bisect_left(self._blocks, size, key=_size), len(self._blocks)):
                block, _ = self._blocks[index]
                if block.size > 2 * size:
                    break
                if _is_free(block):
                    self._blocks[index] = block, self._requests
                    return block[:size]  # this view marks the block as in use before the lock is released
            block = self._make(size)
            insort(self._blocks, (block, self._requests), key=_size)
            return block[:size]

    def forget(self, longest: int) -> None:
        """Forget the blocks that served none of the last `longest` requests."""
        with self._lock:
            self._forget(longest)

    def _forget(self, longest: int) -> None:
        self._blocks = [(block, last) for block, last in self._blocks if self._requests - last < longest]


def simulated_pool() -> Pool:
    """A pool whose blocks have a size but no memory: it predicts how much a sequence of requests would hold."""
    return Pool(lambda size: np.ndarray((size,), np.uint8, np.empty(1, np.uint8), strides=(0,)))


def _aligned(size: int) -> NDArray[np.uint8]:
    memory = np.empty(size + ALIGNED, np.uint8)
    start = -memory.ctypes.data % ALIGNED
    return memory[start : start + size]


def _size(held: tuple[NDArray[np.uint8], int]) -> int:
    """The bytes of a block."""
    return held[0].size


def _is_free(block: NDArray[np.uint8]) -> bool:
    """Whether no array uses this block. All arrays and views made from a block have the same base as the block."""
    return sys.getrefcount(block.base) == 2  # the block's reference, and the argument of this call


def _new_pool() -> Pool:
    return Pool(_aligned)


def _start_anew() -> None:
    """Give a forked child new pools: another thread may have held a lock of the old ones during the fork."""
    global _pools
    _pools = defaultdict(_new_pool)


_pools: defaultdict[str, Pool] = defaultdict(_new_pool)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
