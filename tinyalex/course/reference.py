"""Correct answers for the test cells: this package's definitions, with the signatures that the assignments ask for.

Tests compare answers with them, and give them to a student's function in place of helpers from other exercises.
Students' code may not call them.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tinyalex.backend import Array, use_kernels
from tinyalex.layers import conv
from tinyalex.window import Pair, Window


def im2col(x: Array, kernel: Pair, stride: Pair, pad: Pair) -> Array:
    """x (N, C, H, W) -> patches (N*OH*OW, C*KH*KW), one row for each place, in the order of a kernel (C, KH, KW)."""
    with use_kernels("reference"):
        patches = conv.im2col(x, Window(kernel, stride, pad, False))  # (N*OH*OW, KH*KW*C)
    return np.ascontiguousarray(patches.reshape(len(patches), -1, x.shape[1]).swapaxes(1, 2)).reshape(len(patches), -1)


def col2im(patches: Array, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pad: Pair) -> Array:
    """The transpose of im2col: patches (N*OH*OW, C*KH*KW) -> (N, C, H, W)."""
    by_channel = patches.reshape(len(patches), x_shape[1], -1).swapaxes(1, 2)  # (N*OH*OW, KH*KW, C)
    with use_kernels("reference"):
        return conv.col2im(by_channel.reshape(patches.shape), x_shape, Window(kernel, stride, pad, False))


def overwriting_col2im(
    patches: Array, x_shape: tuple[int, ...], kernel: Pair, stride: Pair, pad: Pair, *, by_place: bool = False
) -> Array:
    """The result of a col2im with the mistake `=` for `+=`: each pixel keeps only the last entry written to it.

    by_place: whether the mistaken loop writes place after place; otherwise it writes kernel cell after kernel cell.
    """
    pixels = np.arange(1, 1 + math.prod(x_shape)).reshape(x_shape)
    read = im2col(pixels, kernel, stride, pad)  # the number of the pixel that each entry was read from; 0: padding
    x = np.zeros(1 + pixels.size, patches.dtype)
    order = "C" if by_place else "F"
    x[read.ravel(order)] = patches.ravel(order)
    return x[1:].reshape(x_shape)


def conv_forward(x: Array, w: Array, b: Array, stride: Pair, pad: Pair, groups: int = 1) -> Array:
    """x (N, C, H, W), w (OC, C/G, KH, KW), b (OC,) -> y (N, OC, OH, OW), for G groups."""
    with use_kernels("reference"):
        return conv.conv_forward(x, w, b, Window(w.shape[2:], stride, pad, False), groups)


def conv_backward(dy: Array, x: Array, w: Array, stride: Pair, pad: Pair, groups: int = 1) -> tuple[Any, Array, Array]:
    """dy (N, OC, OH, OW) -> dx with the shape of x, dw with that of w, db (OC,)."""
    with use_kernels("reference"):
        return conv.conv_backward(dy, x, w, Window(w.shape[2:], stride, pad, False), groups)


# ---------------------------------------------------------------- the net in two columns


def whole_forward(
    image: Array, layers: Sequence[Any], params: Mapping[str, tuple[Array, Array]]
) -> list[tuple[Array, Array]]:
    """The forward pass on one device: for each layer its input x and its output y, after the ReLU."""
    kept, x = [], image
    for layer in layers:
        groups = 2 if layer.reads == "own" else 1
        y = conv_forward(x, *params[layer.name], layer.stride, layer.pad, groups)
        if layer != layers[-1]:
            y = np.maximum(y, 0)
        kept.append((x, y))
        x = y
    return kept


def whole_backward(
    dy: Array,
    layers: Sequence[Any],
    params: Mapping[str, tuple[Array, Array]],
    kept: Sequence[tuple[Array, Array]],
) -> dict[str, tuple[Array, Array]]:
    """The backward pass on one device: (dw, db) by layer, for the gradient dy of the last layer's output."""
    grads = {}
    for layer, (x, y) in zip(reversed(layers), reversed(kept), strict=True):
        if layer != layers[-1]:
            dy = dy * (y > 0)
        w, _ = params[layer.name]
        groups = 2 if layer.reads == "own" else 1
        dx, dw, db = conv_backward(dy, x, w, layer.stride, layer.pad, groups)
        grads[layer.name] = (dw, db)
        dy = dx
    return grads


def columns(params: Mapping[str, tuple[Array, Array]]) -> list[dict[str, tuple[Array, Array]]]:
    """The parameters (w, b) by layer in two columns: each has half of the kernels and biases."""
    halves = {name: [np.split(array, 2) for array in both] for name, both in params.items()}
    return [{name: (w[column], b[column]) for name, (w, b) in halves.items()} for column in (0, 1)]


def kept_in_columns(
    layers: Sequence[Any], kept: Sequence[tuple[Array, Array]]
) -> list[tuple[list[Array], list[Array]]]:
    """Input and output (x, y) of every layer in two columns; a layer that reads "own" gets half of x in each."""
    return [
        (np.split(x, 2, axis=1) if layer.reads == "own" else [x, x.copy()], np.split(y, 2, axis=1))
        for layer, (x, y) in zip(layers, kept, strict=True)
    ]


def all_gather(halves: Sequence[Array], link: Any) -> list[Array]:
    """Two arrays (N, C/2, ...) -> two (N, C, ...): both columns get all maps; `link` counts the bytes."""
    for column in (0, 1):
        link.send(halves[1 - column], column)
    whole = np.concatenate(halves, axis=1)
    return [whole, whole.copy()]


def reduce_scatter(wholes: Sequence[Array], link: Any) -> list[Array]:
    """Two arrays (N, C, ...) -> two (N, C/2, ...): each column gets its half of the sum; `link` counts the bytes."""
    parts = np.array_split(wholes[0] + wholes[1], 2, axis=1)
    for column in (0, 1):
        link.send(parts[column], column)
    return parts
