"""The compiled twins of tinyalex.layers.pool: one pass over the windows, all channels of a pixel at once.

In channels-last memory the innermost loop runs over the channels of a pixel. It has no branch, so the compiler uses
vector instructions for eight or sixteen channels at a time. In float32, forward reads 4 bytes for each pixel and writes
5 for each output (the number of the winning cell is one byte); backward reads 5 and writes 4. Pixels that several
windows share come from cache. In inference nobody asks for the winning cell, so `maxima` takes half the time.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend.cpu.compiled import Floats, channels_last, compiled, geometry
from tinyalex.backend.memory import empty
from tinyalex.backend.threads import in_shares
from tinyalex.window import Window


def _max_pool_forward(first, last, x, y, argmax, KH, KW, SH, SW, PH, PW):
    """Fill y, argmax (N, OH, OW, C) of the images first ... last - 1 from x (N, H, W, C), with a running maximum.

    The cell numbers are int32 during the loop, so that a vector instruction holds as many of them as of float32.
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
                            wins = (pixel > before) | (pixel != pixel)  # NaN wins
                            best[c] = pixel if wins else before
                            number[c] = cell if wins else at
                for c in range(C):
                    y[n, oh, ow, c] = best[c]
                    argmax[n, oh, ow, c] = number[c]


_max_pool_forward_compiled = compiled(_max_pool_forward)


def max_pool_forward(x: Floats, window: Window) -> tuple[Floats, NDArray[Any]]:
    """The twin of tinyalex.layers.pool.max_pool_forward: N*OH*OW*KH*KW*C comparisons."""
    N, C, H, W = x.shape
    x = channels_last(x)
    y = empty((N, *window.output_size(H, W), C), x.dtype)
    argmax = empty(y.shape, window.number_dtype)
    in_shares(lambda first, last: _max_pool_forward_compiled(first, last, x, y, argmax, *geometry(window)), N)
    return y.transpose(0, 3, 1, 2), argmax.transpose(0, 3, 1, 2)


def _largest(a, b, c, out):
    """out[i] = the largest of a[i], b[i], c[i]; NaN if one of them is NaN."""
    for i in range(len(out)):
        best, second, third = a[i], b[i], c[i]
        best = second if (second > best) | (second != second) else best
        out[i] = third if (third > best) | (third != third) else best


_largest_compiled = compiled(_largest)


def _maxima(first, last, x, y, KH, KW, SH, SW, PH, PW):
    """Fill y (N, OH, OW, C) of the images first ... last - 1 from x (N, H, W, C): maxima of columns, then of rows.

    Three rows are compared at a time. Where fewer are left, the last one takes part again, which changes no maximum.
    """
    H, W, C = x.shape[1:]
    OH, OW = y.shape[1:3]
    highest = np.empty(W * C, x.dtype)  # of each column of the windows in a row of windows
    columns = highest.reshape(W, C)
    lines = x.reshape(len(x), H, W * C)
    for n in range(first, last):
        for oh in range(OH):
            begin, end = max(0, oh * SH - PH), min(H, oh * SH - PH + KH) - 1
            rows = lines[n]
            _largest_compiled(rows[begin], rows[min(begin + 1, end)], rows[min(begin + 2, end)], highest)
            for h in range(begin + 3, end + 1, 2):
                _largest_compiled(highest, rows[h], rows[min(h + 1, end)], highest)
            for ow in range(OW):
                begin, end, best = max(0, ow * SW - PW), min(W, ow * SW - PW + KW) - 1, y[n, oh, ow]
                _largest_compiled(columns[begin], columns[min(begin + 1, end)], columns[min(begin + 2, end)], best)
                for w in range(begin + 3, end + 1, 2):
                    _largest_compiled(best, columns[w], columns[min(w + 1, end)], best)


_maxima_compiled = compiled(_maxima)


def maxima(x: Floats, window: Window) -> Floats:
    """The twin of tinyalex.layers.pool.maxima: N*OH*(W*KH + OW*KW)*C comparisons. It reads x and writes y."""
    N, C, H, W = x.shape
    x = channels_last(x)
    y = empty((N, *window.output_size(H, W), C), x.dtype)
    in_shares(lambda first, last: _maxima_compiled(first, last, x, y, *geometry(window)), N)
    return y.transpose(0, 3, 1, 2)


def _max_pool_backward(first, last, dy, argmax, dx, KH, KW, SH, SW, PH, PW):
    """Fill dx (N, H, W, C) of the images first ... last - 1 from dy, argmax (N, OH, OW, C), cell by cell.

    Only the winning cell of a window receives a gradient. Adding 0 to the other cells is faster than branching.
    """
    H, W = dx.shape[1:3]
    OH, OW, C = dy.shape[1:]
    zero = dy.dtype.type(0)  # a plain 0 would turn the sum into float64
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
    """The twin of tinyalex.layers.pool.max_pool_backward: one pass; dx is summed in cache."""
    N, C, H, W = x_shape
    dy, argmax = channels_last(dy), channels_last(argmax)
    dx = empty((N, H, W, C), dy.dtype)
    in_shares(lambda first, last: _max_pool_backward_compiled(first, last, dy, argmax, dx, *geometry(window)), N)
    return dx.transpose(0, 3, 1, 2)


def _average_pool_forward(first, last, x, y, KH, KW, SH, SW, PH, PW):
    """Fill y (N, OH, OW, C) of the images first ... last - 1 from x (N, H, W, C), with a running sum."""
    H, W, C = x.shape[1:]
    OH, OW = y.shape[1:3]
    for n in range(first, last):
        for oh in range(OH):
            for ow in range(OW):
                total = y[n, oh, ow]
                total[:] = 0
                for i in range(max(0, PH - oh * SH), min(KH, H + PH - oh * SH)):
                    for j in range(max(0, PW - ow * SW), min(KW, W + PW - ow * SW)):
                        pixels = x[n, oh * SH + i - PH, ow * SW + j - PW]
                        for c in range(C):
                            total[c] += pixels[c]
                cells = x.dtype.type(min(KH, H + 2 * PH - oh * SH) * min(KW, W + 2 * PW - ow * SW))
                for c in range(C):
                    total[c] /= cells


_average_pool_forward_compiled = compiled(_average_pool_forward)


def average_pool_forward(x: Floats, window: Window) -> Floats:
    """The twin of tinyalex.layers.pool.average_pool_forward: N*OH*OW*KH*KW*C additions; y is summed in cache."""
    N, C, H, W = x.shape
    x = channels_last(x)
    y = empty((N, *window.output_size(H, W), C), x.dtype)
    in_shares(lambda first, last: _average_pool_forward_compiled(first, last, x, y, *geometry(window)), N)
    return y.transpose(0, 3, 1, 2)


def _average_pool_backward(first, last, dy, dx, KH, KW, SH, SW, PH, PW):
    """Fill dx (N, H, W, C) of the images first ... last - 1 from dy (N, OH, OW, C), window by window."""
    H, W, C = dx.shape[1:]
    OH, OW = dy.shape[1:3]
    share = np.empty(C, dy.dtype)
    for n in range(first, last):
        dx[n] = 0
        for oh in range(OH):
            for ow in range(OW):
                cells = dy.dtype.type(min(KH, H + 2 * PH - oh * SH) * min(KW, W + 2 * PW - ow * SW))
                for c in range(C):
                    share[c] = dy[n, oh, ow, c] / cells
                for i in range(max(0, PH - oh * SH), min(KH, H + PH - oh * SH)):
                    for j in range(max(0, PW - ow * SW), min(KW, W + PW - ow * SW)):
                        pixels = dx[n, oh * SH + i - PH, ow * SW + j - PW]
                        for c in range(C):
                            pixels[c] += share[c]


_average_pool_backward_compiled = compiled(_average_pool_backward)


def average_pool_backward(dy: Floats, x_shape: tuple[int, ...], window: Window) -> Floats:
    """The twin of tinyalex.layers.pool.average_pool_backward: one pass; dx is summed in cache."""
    N, C, H, W = x_shape
    dy = channels_last(dy)
    dx = empty((N, H, W, C), dy.dtype)
    in_shares(lambda first, last: _average_pool_backward_compiled(first, last, dy, dx, *geometry(window)), N)
    return dx.transpose(0, 3, 1, 2)
