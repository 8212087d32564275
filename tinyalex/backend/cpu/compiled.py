"""What the compiled twins share: how a loop is compiled, and which arrays and numbers it takes.

Axes: N images, C channels, H, W height and width, KH, KW window size, OH, OW output size, G groups.

A twin `f` has the parameters of the definition `f`, and divides the images among threads. Its loop `_f` is plain
Python for channels-last memory: the channels of a pixel lie side by side, and the innermost loop runs over them.
`_f_compiled` is that loop compiled by Numba, which runs without Python's global lock.

Each thread writes its own part of the result, so the order in which threads finish does not matter. Their number does,
in the last digits of a convolution's dw and db: see `sum_of_shares` in direct.py.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from tinyalex.window import Window

Floats = NDArray[np.floating[Any]]


def compiled(loop: Callable[..., object], in_any_order: bool = False, estimates: bool = False) -> Any:
    """`loop`, compiled at its first call; it runs without Python's global lock, and the code is cached on disk.

    in_any_order: a sum may be computed as several sums side by side, as a vector register holds them. The compiler
    chooses the order, so it is the same in every run.
    estimates: in float32 a quotient or a root may be the processor's estimate, made exact to two units in the last
    digit by a step of Newton's method. It takes half the time. Where the exact result is 0 or infinite it may be NaN.
    Other loops that it calls must be in the same file, because the cache notices changes in that file only.
    Where Numba finds no folder that it may write, each process compiles anew.
    """
    # "contract" allows a * b + c as one instruction with one rounding. NaN and infinity behave as IEEE 754 says.
    allowed = {"contract"} | ({"reassoc"} if in_any_order else set()) | ({"arcp", "afn"} if estimates else set())
    compile_ = partial(numba.njit, nogil=True, error_model="numpy", fastmath=allowed)
    try:
        return compile_(cache=True)(loop)
    except RuntimeError:
        return compile_()(loop)


def code_folder() -> str | None:
    """The folder in which compiled code is kept for later processes; None if Numba finds none that it may write."""
    folder: str | None = compiled(geometry).stats.cache_path
    return folder


def channels_last(x: NDArray[Any]) -> NDArray[Any]:
    """x (N, C, H, W) -> (N, H, W, C), contiguous; copied only if it is not already in that order."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def geometry(window: Window) -> tuple[int, ...]:
    """(KH, KW, SH, SW, PH, PW): kernel, stride and pad, as parameters of a compiled loop."""
    return (*window.kernel, *window.stride, *window.pad)
