"""Memory that is used again, from step to step, instead of fresh memory for every result.

The operating system hands out a large array page by page, at its first touch: filling a fresh one takes longer than
computing what goes into it. `empty` keeps the memory of large arrays, and hands a block of it out again as soon as no
array lies in it any more. What somebody still holds, or holds a view of, is never touched.
"""

import math
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

SMALLEST = 1 << 16  # bytes: below that NumPy's own allocation is as fast
ALIGNED = 64  # bytes: a cache line, and the widest vector register
LONGEST_IDLE = 500  # requests, some five steps of the paper's net: a block that none of them asked for is forgotten


_device: ContextVar[str] = ContextVar("device", default="cpu")


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array of `shape` and `dtype` with arbitrary contents, as np.empty; large ones lie in memory used before."""
    dtype = np.dtype(dtype)
    wanted = math.prod(shape) * dtype.itemsize
    if wanted < SMALLEST:
        return np.empty(shape, dtype)
    return _pools[device_in_use()].memory(wanted).view(dtype).reshape(shape)


def release() -> None:
    """Forget all blocks: memory that no array lies in goes back to the system, other memory with its last array."""
    for pool in list(_pools.values()):
        pool.forget(longest=0)


def device_in_use() -> str:
    """The name of the CPU device whose memory this thread takes."""
    return _device.get()


@contextmanager
def memory_of(device: str) -> Iterator[None]:
    """Within the block memory is that of the CPU device `device`."""
    token = _device.set(device)
    try:
        yield
    finally:
        _device.reset(token)


class Pool:
    """The blocks of one device, each with the number of the request that it last served.

    make: gives a new block of so many bytes, a view of an array that nobody else refers to.
    """

    def __init__(self, make: Callable[[int], NDArray[np.uint8]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._blocks: list[tuple[NDArray[np.uint8], int]] = []
        self._requests = 0

    @property
    def held(self) -> int:
        """Bytes of all blocks, in use or not."""
        return sum(block.size for block, _ in self._blocks)

    def memory(self, wanted: int) -> NDArray[np.uint8]:
        """`wanted` bytes that nobody uses: of the smallest block that fits and is at most twice as large, or new."""
        with self._lock:
            self._requests += 1
            if self._requests % LONGEST_IDLE == 0:
                self._forget(LONGEST_IDLE)
            fitting = [
                (block.size, index)
                for index, (block, _) in enumerate(self._blocks)
                if wanted <= block.size <= 2 * wanted and _is_free(block)
            ]
            block = self._blocks.pop(min(fitting)[1])[0] if fitting else self._make(wanted)
            self._blocks.append((block, self._requests))
            return block[:wanted]  # made within the lock: from now on the block is not free

    def forget(self, longest: int) -> None:
        """Forget the blocks that have served none of the last `longest` requests."""
        with self._lock:
            self._forget(longest)

    def _forget(self, longest: int) -> None:
        self._blocks = [(block, last) for block, last in self._blocks if self._requests - last < longest]


def _aligned(size: int) -> NDArray[np.uint8]:
    memory = np.empty(size + ALIGNED, np.uint8)
    start = -memory.ctypes.data % ALIGNED
    return memory[start : start + size]


def pool_on_paper() -> Pool:
    """A pool whose blocks have a size but no memory: what requests would come to hold, before anybody makes them."""
    return Pool(lambda size: np.ndarray((size,), np.uint8, np.empty(1, np.uint8), strides=(0,)))


def _is_free(block: NDArray[np.uint8]) -> bool:
    """Does the block alone refer to its memory? An array made of it has that as its base, and so has a view of that."""
    return sys.getrefcount(block.base) == 2  # that of the block, and that of this call


def _start_anew() -> None:
    """A forked child may have been born while another thread held a lock: it begins with pools of its own."""
    global _pools
    _pools = defaultdict(_new_pool)


def _new_pool() -> Pool:
    return Pool(_aligned)


_pools: defaultdict[str, Pool] = defaultdict(_new_pool)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
