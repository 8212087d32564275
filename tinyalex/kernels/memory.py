"""Memory that is used again, from step to step, instead of fresh memory for every result.

The operating system hands out a large array page by page, at its first touch: filling a fresh one takes longer than
computing what goes into it. `empty` keeps the memory of large arrays, and hands a block of it out again as soon as no
array lies in it any more. What somebody still holds, or holds a view of, is never touched.
"""

import math
import os
import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

SMALLEST = 1 << 16  # bytes: below that NumPy's own allocation is as fast
ALIGNED = 64  # bytes: a cache line, and the widest vector register
LONGEST_IDLE = 500  # requests, some five steps of the paper's net: a block that none of them asked for is forgotten


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array of `shape` and `dtype` with arbitrary contents, as np.empty; large ones lie in memory used before."""
    dtype = np.dtype(dtype)
    wanted = math.prod(shape) * dtype.itemsize
    if wanted < SMALLEST:
        return np.empty(shape, dtype)
    return _state.memory(wanted).view(dtype).reshape(shape)


def release() -> None:
    """Forget all blocks: memory that no array lies in goes back to the system, other memory with its last array."""
    _state.forget(longest=0)


class _State:
    """The blocks, each with the number of the request that it last served."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: list[tuple[NDArray[np.uint8], int]] = []
        self._requests = 0

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
            block = self._blocks.pop(min(fitting)[1])[0] if fitting else _aligned(wanted)
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


def _is_free(block: NDArray[np.uint8]) -> bool:
    """Does the block alone refer to its memory? An array made of it has that as its base, and so has a view of that."""
    return sys.getrefcount(block.base) == 2  # that of the block, and that of this call


def _start_anew() -> None:
    """A forked child may have been born while another thread held the lock: it begins with a lock of its own."""
    global _state
    _state = _State()


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
