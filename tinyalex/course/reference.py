"""The right answers, for the test cells: this package's own definitions, with the heads that the assignments give.

Where they stand in for a student's helper, or tell what an answer should be. Students' code may not call them.
"""

import math
from collections.abc import Mapping, Sequence
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


# ---------------------------------------------------------------- the net in two columns


def whole_forward(
    image: Array, layers: Sequence[Any], params: Mapping[str, tuple[Array, Array]]
) -> list[tuple[Array, Array]]:
    """The net on one device: for each layer what it read and what it made, x and y, the latter after the ReLU."""
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
    """The net on one device: (dw, db) of each layer, for the gradient dy of what the last layer made."""
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
    """The (w, b) of every layer, by name, in two columns: half of the kernels and biases in each."""
    halves = {name: [np.split(array, 2) for array in both] for name, both in params.items()}
    return [{name: (w[column], b[column]) for name, (w, b) in halves.items()} for column in (0, 1)]


def kept_in_columns(
    layers: Sequence[Any], kept: Sequence[tuple[Array, Array]]
) -> list[tuple[list[Array], list[Array]]]:
    """What every layer read and made, (x, y), in two columns; a layer that reads "own" sees half of x in each."""
    return [
        (np.split(x, 2, axis=1) if layer.reads == "own" else [x, x.copy()], np.split(y, 2, axis=1))
        for layer, (x, y) in zip(layers, kept, strict=True)
    ]


def all_gather(halves: Sequence[Array], link: Any) -> list[Array]:
    """Twice (N, C/2, ...) -> twice (N, C, ...): all maps in both columns, for a test; the link only counts."""
    for column in (0, 1):
        link.send(halves[1 - column], column)
    whole = np.concatenate(halves, axis=1)
    return [whole, whole.copy()]


def reduce_scatter(wholes: Sequence[Array], link: Any) -> list[Array]:
    """Twice (N, C, ...) -> twice (N, C/2, ...): half of the sum in each column, for a test; the link only counts."""
    parts = np.array_split(wholes[0] + wholes[1], 2, axis=1)
    for column in (0, 1):
        link.send(parts[column], column)
    return parts
