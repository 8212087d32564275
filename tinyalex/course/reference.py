"""The right answers, for the test cells: this package's own definitions, with the heads that the assignments give.

Where they stand in for a student's helper, or tell what an answer should be. Students' code may not call them.
"""

import math
from typing import Any

import numpy as np

from tinyalex.backend import Array, use_kernels
from tinyalex.layers import conv
from tinyalex.window import Pair, Window


def im2col(x: Array, kernel: Pair, stride: Pair, pad: Pair) -> Array:
    """x (N, C, H, W) -> (N*OH*OW, C*KH*KW), the receptive fields as rows, a row ordered as a kernel (C, KH, KW) is."""
    with use_kernels("reference"):
        columns = conv.im2col(x, Window(kernel, stride, pad, False))  # (N*OH*OW, KH*KW*C)
    return np.ascontiguousarray(columns.reshape(len(columns), -1, x.shape[1]).swapaxes(1, 2)).reshape(len(columns), -1)


def col2im(columns: Array, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pad: Pair) -> Array:
    """The transpose of im2col: columns (N*OH*OW, C*KH*KW) -> (N, C, H, W)."""
    by_channel = columns.reshape(len(columns), x_shape[1], -1).swapaxes(1, 2)  # (N*OH*OW, KH*KW, C)
    with use_kernels("reference"):
        return conv.col2im(by_channel.reshape(columns.shape), x_shape, Window(kernel, stride, pad, False))


def overwriting_col2im(
    columns: Array, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pad: Pair, *, by_place: bool = False
) -> Array:
    """What a col2im makes that writes where it should add: of the entries for a pixel the last one stays.

    The last in the order of the kernel's cells, or, `by_place`, in that of the places.
    """
    pixels = np.arange(1, 1 + math.prod(x_shape)).reshape(x_shape)
    read = im2col(pixels, kernel, stride, pad)  # the number of the pixel that each entry was read from; 0: the pad
    x = np.zeros(1 + pixels.size, columns.dtype)
    order = "C" if by_place else "F"
    x[read.ravel(order)] = columns.ravel(order)
    return x[1:].reshape(x_shape)


def conv_forward(x: Array, w: Array, b: Array, stride: Pair, pad: Pair, groups: int = 1) -> Array:
    """x (N, C, H, W), w (OC, C/G, KH, KW), b (OC,) -> y (N, OC, OH, OW)."""
    with use_kernels("reference"):
        return conv.conv_forward(x, w, b, Window(w.shape[2:], stride, pad, False), groups)


def conv_backward(dy: Array, x: Array, w: Array, stride: Pair, pad: Pair, groups: int = 1) -> tuple[Any, Array, Array]:
    """dy (N, OC, OH, OW) -> dx like x, dw like w, db (OC,)."""
    with use_kernels("reference"):
        return conv.conv_backward(dy, x, w, Window(w.shape[2:], stride, pad, False), groups)
