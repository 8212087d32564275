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
LONGEST_IDLE = 500  # requests: a few steps of the paper's net


def empty(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """An array of `shape` and `dtype` with arbitrary contents, as np.empty; large ones lie in memory used before."""
    dtype = np.dtype(dtype)
    count = math.prod(shape)
    wanted = count * dtype.itemsize
    if wanted < SMALLEST:
        return np.empty(shape, dtype)
    return _state.block(wanted)[:wanted].view(dtype).reshape(shape)


def release() -> None:
    """Give the memory that no array lies in back to the system."""
    _state.drop_idle(longest=0)


class _State:
    """The blocks, each with the number of the request that it last served."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._blocks: list[NDArray[np.uint8]] = []
        self._last_use: list[int] = []
        self._requests = 0

    def block(self, wanted: int) -> NDArray[np.uint8]:
        """A block of at least `wanted` bytes that nobody uses: the smallest that is at most a quarter larger."""
        with self._lock:
            self._requests += 1
            fitting = [
                (block.size, index)
                for index, block in enumerate(self._blocks)
                if wanted <= block.size <= wanted * 2 and self._is_free(index)
            ]
            if fitting:
                index = min(fitting)[1]
            else:
                self._drop_idle(LONGEST_IDLE)  # the needs have changed
                index = len(self._blocks)
                memory = np.empty(wanted + ALIGNED, np.uint8)
                start = -memory.ctypes.data % ALIGNED
                self._blocks.append(memory[start : start + wanted])
                self._last_use.append(0)
            self._last_use[index] = self._requests
            return self._blocks[index]

    def _is_free(self, index: int) -> bool:
        """Does the list alone refer to the block's memory? An array made of it, or a view of that, has it as base."""
        return sys.getrefcount(self._blocks[index].base) == 2

    def drop_idle(self, longest: int) -> None:
        """Forget the free blocks that have served none of the last `longest` requests."""
        with self._lock:
            self._drop_idle(longest)

    def _drop_idle(self, longest: int) -> None:
        idle = {
            index
            for index, last in enumerate(self._last_use)
            if self._requests - last >= longest and self._is_free(index)
        }
        self._blocks = [block for index, block in enumerate(self._blocks) if index not in idle]
        self._last_use = [last for index, last in enumerate(self._last_use) if index not in idle]


def _start_anew() -> None:
    """A forked child may have been born while another thread held the lock: it begins with a lock of its own."""
    global _state
    _state = _State()


_state = _State()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
