"""What the compiled twins share: how a loop is compiled, and how arrays and windows are handed to it.

Axes: N images, C channels, H, W height and width, KH, KW window size, OH, OW output size, G groups.

Each twin `f` takes what the definition of that name takes, and shares the images out to the threads of a pool. Its
inner loop `_f` is written for channels-last memory, where all channels of a pixel lie side by side and the innermost
loop runs over them; `_f_compiled` is that loop, compiled by Numba and free of Python's lock. Every share writes its
own images, so a result does not depend on which thread comes first.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from tinyalex.window import Window

Floats = NDArray[np.floating[Any]]


def compiled(loop: Callable[..., None]) -> Any:
    """`loop` compiled, without Python's lock, kept on disk for the next run. What it calls must be in its own file."""
    # "contract": a * b + c as one instruction, rounded once; nothing else is taken lightly, NaN and infinity least
    return numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract"})(loop)


def channels_last(x: NDArray[Any]) -> NDArray[Any]:
    """x (N, C, H, W) -> (N, H, W, C), contiguous; a copy only if it does not lie so already."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def geometry(window: Window) -> tuple[int, ...]:
    """(KH, KW, SH, SW, PH, PW), the numbers of a window that a compiled loop takes."""
    return (*window.kernel, *window.stride, *window.pad)
