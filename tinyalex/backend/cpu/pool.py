"""The compiled twins of tinyalex.layers.pool: one pass over the windows, all channels of a pixel at once.

Channels last, so that the innermost loop runs over the channels of a pixel, eight or sixteen to a vector instruction,
without a branch. Forward 4 bytes are read for each pixel and 5 written for each output (which cell won is one byte),
backward the other way round; windows overlap in cache.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend.cpu.compiled import Floats, channels_last, compiled, geometry
from tinyalex.backend.memory import empty
from tinyalex.backend.threads import in_shares
from tinyalex.window import Window


def _max_pool_forward(first, last, x, y, argmax, KH, KW, SH, SW, PH, PW):
    """y, argmax (N, OH, OW, C) from x (N, H, W, C): a running maximum, all channels of a pixel at once.

    The numbers are as wide as a float32 while they run, so that an instruction takes as many of both.
    """
    H, W, C = x.shape[1:]
    OH, OW = y.shape[1:3]
    best, number = np.empty(C, x.dtype), np.empty(C, np.int32)
    for n in range(first, last):
        for oh in range(OH):
            for ow in range(OW):
                top, left = max(0, PH - oh * SH), max(0, PW - ow * SW)  # the first cell inside the image
                for c in range(C):
                    best[c] = -np.inf
                    number[c] = top * KW + left
                for i in range(top, min(KH, H + PH - oh * SH)):
                    for j in range(left, min(KW, W + PW - ow * SW)):
                        pixels = x[n, oh * SH + i - PH, ow * SW + j - PW]
                        cell = np.int32(i * KW + j)
                        for c in range(C):
                            pixel, before, at = pixels[c], best[c], number[c]
                            wins = (pixel > before) | (pixel != pixel)  # NaN always wins
                            best[c] = pixel if wins else before
                            number[c] = cell if wins else at
                for c in range(C):
                    y[n, oh, ow, c] = best[c]
                    argmax[n, oh, ow, c] = number[c]


_max_pool_forward_compiled = compiled(_max_pool_forward)


def max_pool_forward(x: Floats, window: Window) -> tuple[Floats, NDArray[Any]]:
    """The twin of tinyalex.layers.pool.max_pool_forward: N*OH*OW*KH*KW*C comparisons without a branch."""
    N, C, H, W = x.shape
    x = channels_last(x)
    y = empty((N, *window.output_size(H, W), C), x.dtype)
    argmax = empty(y.shape, window.number_dtype)
    in_shares(lambda first, last: _max_pool_forward_compiled(first, last, x, y, argmax, *geometry(window)), N)
    return y.transpose(0, 3, 1, 2), argmax.transpose(0, 3, 1, 2)


def _max_pool_backward(first, last, dy, argmax, dx, KH, KW, SH, SW, PH, PW):
    """dx (N, H, W, C) from dy, argmax (N, OH, OW, C): cell by cell, all channels of a pixel at once.

    Only one cell of a window gets anything, but to add zeros to the others is faster than to jump between them.
    """
    H, W = dx.shape[1:3]
    OH, OW, C = dy.shape[1:]
    zero = dy.dtype.type(0)  # a plain 0 would make float64 of the sum
    for n in range(first, last):
        dx[n] = 0
        for oh in range(OH):
            for ow in range(OW):
                slopes, winners = dy[n, oh, ow], argmax[n, oh, ow]
                for i in range(max(0, PH - oh * SH), min(KH, H + PH - oh * SH)):
                    for j in range(max(0, PW - ow * SW), min(KW, W + PW - ow * SW)):
                        pixels = dx[n, oh * SH + i - PH, ow * SW + j - PW]
                        cell = i * KW + j
                        for c in range(C):
                            pixels[c] += slopes[c] if winners[c] == cell else zero


_max_pool_backward_compiled = compiled(_max_pool_backward)


def max_pool_backward(dy: Floats, argmax: NDArray[Any], x_shape: tuple[int, ...], window: Window) -> Floats:
    """The twin of tinyalex.layers.pool.max_pool_backward: one pass, dx stays in cache while it is summed."""
    N, C, H, W = x_shape
    dy, argmax = channels_last(dy), channels_last(argmax)
    dx = empty((N, H, W, C), dy.dtype)
    in_shares(lambda first, last: _max_pool_backward_compiled(first, last, dy, argmax, dx, *geometry(window)), N)
    return dx.transpose(0, 3, 1, 2)
