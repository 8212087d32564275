"""The right answers, for the test cells: this package's own definitions, with the heads that the assignments give.

Where they stand in for a student's helper, or tell what an answer should be. Students' code may not call them.
"""

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


def conv_forward(x: Array, w: Array, b: Array, stride: Pair, pad: Pair, groups: int = 1) -> Array:
    """x (N, C, H, W), w (OC, C/G, KH, KW), b (OC,) -> y (N, OC, OH, OW)."""
    with use_kernels("reference"):
        return conv.conv_forward(x, w, b, Window(w.shape[2:], stride, pad, False), groups)


def conv_backward(dy: Array, x: Array, w: Array, stride: Pair, pad: Pair, groups: int = 1) -> tuple[Any, Array, Array]:
    """dy (N, OC, OH, OW) -> dx like x, dw like w, db (OC,)."""
    with use_kernels("reference"):
        return conv.conv_backward(dy, x, w, Window(w.shape[2:], stride, pad, False), groups)
