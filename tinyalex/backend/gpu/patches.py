"""im2col and col2im on a GPU, and the memory that a convolution's patches take.

Axes: N images, n of them at a time, C channels, H, W height and width, KH, KW window size, OH, OW output size,
G groups.   K: KH*KW*C/G rounded up to a multiple of 4, the length of a row of patches in a convolution.
"""

import math
import weakref
from collections.abc import Iterator
from typing import Any

from tinyalex.backend.gpu import memory
from tinyalex.backend.gpu.launch import (
    LANES,
    THREADS,
    WARP,
    Array,
    block_of,
    channels_last,
    cupy,
    geometry,
    in_one_piece,
    lanes,
    small,
    start,
)
from tinyalex.window import Window

_kept: dict[tuple[int, int, str], Array] = {}  # by device, stream and dtype


def im2col(x: Array, window: Window) -> Array:
    """The twin of tinyalex.layers.conv.im2col, for x in any order of memory.

    N*OH*OW*KH*KW*C numbers are written, 4 bytes each, and as many read from cache, since x itself is KH*KW/(SH*SW)
    times smaller. Four channels are moved at once where the channels divide by 4; nothing is divided on the way.
    """
    x = channels_last(x)
    OH, OW = window.output_size(*x.shape[1:3])
    patches = cupy().empty((1, len(x) * OH * OW, memory.cells(window) * x.shape[3]), x.dtype)
    lay_out(x, patches, window)
    return patches[0]


def col2im(patches: Array, x_shape: tuple[int, ...], window: Window) -> Array:
    """The twin of tinyalex.layers.conv.col2im: the patches are read once and dx is written once, 4 bytes a number.

    Each pixel gathers its KH*KW/(SH*SW) entries or fewer, one load and one addition each: no two threads add to the
    same pixel.
    """
    N, C, H, W = x_shape
    dx = cupy().empty((N, H, W, C), patches.dtype)
    gather(in_one_piece(patches)[None], dx, window)
    return dx.transpose(0, 3, 1, 2)


def tiles(x: Array, window: Window, groups: int) -> Iterator[tuple[slice, Array]]:
    """Some images at a time, with their patches (G, n*OH*OW, K), zeros at the end of each row; x (N, H, W, C).

    All patches lie in the same memory, which the stream keeps: a batch's patches are overwritten by those of the next.
    """
    N, H, W, C = x.shape
    OH, OW = window.output_size(H, W)
    length = memory.row_length(window, C // groups)
    of_an_image = groups * OH * OW * length
    at_once = memory.images_at_once(N, of_an_image * x.itemsize)
    room = kept(memory.patches((N, H, W, C), window, groups, x.itemsize) // x.itemsize, x.dtype)
    for first in range(0, N, at_once):
        n = min(at_once, N - first)
        images, patches = slice(first, first + n), room[: n * of_an_image].reshape(groups, n * OH * OW, length)
        lay_out(x[images], patches, window)
        yield images, patches


def lay_out(x: Array, patches: Array, window: Window) -> None:
    """im2col of x (N, H, W, C) into patches (G, N*OH*OW, KH*KW*C/G or more), with zeros at the end of longer rows."""
    groups, rows, length = patches.shape
    _, H, W, C = x.shape
    CG, lines = C // groups, rows // window.output_size(H, W)[1]
    block = (threads_of_a_row(length, CG),)
    start("im2col", (lines, groups), block, x, patches, *small(length, CG), *geometry(H, W, C, window))


def threads_of_a_row(length: int, CG: int) -> int:
    """Threads of a block of im2col: whole warps, and as few idle ones as possible in the last round over a row."""
    steps = length if CG % LANES else length // LANES
    rounds = math.ceil(steps / THREADS)
    return math.ceil(steps / rounds / WARP) * WARP


def gather(patches: Array, dx: Array, window: Window) -> None:
    """col2im of patches (G, N*OH*OW, KH*KW*C/G or more) into dx (N, H, W, C)."""
    groups, _, length = patches.shape
    N, H, W, C = dx.shape
    threads = C if C // groups % LANES else lanes(C)
    sizes = small(length, C // groups)
    start("col2im", (N * H,), block_of(threads), patches, dx, *sizes, *geometry(H, W, C, window))


# ---------------------------------------------------------------- memory that a stream keeps


def kept(count: int, dtype: Any) -> Array:
    """Memory for `count` numbers that the current stream keeps from call to call, with arbitrary contents.

    A fresh piece for each call would fragment CuPy's memory pool. The memory belongs to the stream alone, so its calls
    use it one after the other. It is freed with the stream, or by `forget`.
    """
    cuda = cupy().cuda
    stream = cuda.get_current_stream()
    key = cuda.Device().id, stream.ptr, dtype.char
    room = _kept.get(key)
    if room is None:
        weakref.finalize(stream, _kept.pop, key, None)
    if room is None or room.size < count:
        room = None
        _kept.pop(key, None)  # so that its memory can be used again
        room = _kept[key] = cupy().empty(count, dtype)
    return room


def forget() -> None:
    """Free the memory of all streams."""
    _kept.clear()
