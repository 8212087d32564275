"""Convolution of images with few channels, as the first layer sees them: the direct sum, in registers.

Winograd's algorithm needs enough maps for its products, and im2col copies the patches of three colours in such short
runs that it takes half as long as the product. Here only the image is copied, once, to put zeros around it. The
products (registers.py) read each patch where it lies:

    y[place, o]  = the sum over the entries of a patch of  patch[place, entry] * w[entry, o]     KH*KW*C terms
    dw[entry, o] = the sum over all places of              patch[place, entry] * dy[place, o]    N*OH*OW terms

For dw, a row of the product is one entry of all patches: numbers of the image that are a stride apart. A channel of
ones beside the colours makes db one more row.

Axes: N images, C channels, H, W height and width, OC kernels, KH, KW kernel size, OH, OW output size.
"""

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend.cpu import winograd
from tinyalex.backend.cpu.compiled import Floats
from tinyalex.backend.cpu.direct import sum_of_shares
from tinyalex.backend.cpu.registers import Kernels, correlate, product
from tinyalex.backend.memory import empty
from tinyalex.backend.threads import in_shares
from tinyalex.window import Window

BAND = 1 << 10  # places of y that are summed at a time for dw: of 32 kernels 128 KB of dy, which stay in cache


def suits(x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window, groups: int) -> bool:
    """Whether x (N, H, W, C) has images, but too few channels for Winograd's algorithm; w (OC, C, KH, KW)."""
    few = groups == 1 and x_shape[0] > 0 and x_shape[3] < winograd.FEWEST_MAPS
    return few and winograd.plan(x_shape, w_shape, window, groups) is None


def forward(x: Floats, w: Floats, b: Floats, y: Floats, window: Window, relu: bool) -> None:
    """Fill y (N, OH, OW, OC) from x (N, H, W, C) and w (OC, C, KH, KW): sums + b, with `relu` max(0, that).

    N*OH*OW*OC*KH*KW*C multiply-adds. x is read, and y written, once.
    """
    OC, C, KH, KW = w.shape
    OH, OW = y.shape[1:3]
    SH, SW = window.stride
    kernels = Kernels(np.ascontiguousarray(w).reshape(OC, C, -1), 1, np.empty((0, KH * KW), w.dtype))

    def share(first: int, last: int) -> None:
        pixels = _surrounded(x[first:last], window, (OH, OW), C)
        image, line = pixels[0].size, pixels[0, 0].size
        patches = empty((len(pixels), OH * OW), np.int64)  # where the patch of each output begins
        np.add.outer(np.arange(len(pixels)) * image, places((OH, SH * line), (OW, SW * C)), out=patches)
        runs, into = (KH, line, 1, 0, KW * C, KW * C), y[first:last].reshape(1, -1, OC)
        product(pixels, patches.reshape(-1), (0, 0), runs, kernels, b, relu, into, 0, 0, kernels.panels)

    in_shares(share, len(x))


def backward(dy: Floats, x: Floats, w: Floats, window: Window) -> tuple[Floats, Floats]:
    """dw (OC, C, KH, KW) and db (OC,) from dy (N, OH, OW, OC) and x (N, H, W, C); as many multiply-adds as `forward`.

    Each thread has sums of its own, which are then added in a fixed order.
    """
    OC, C, KH, KW = w.shape
    OH, OW = dy.shape[1:3]
    SH, SW = window.stride

    def share(first: int, last: int) -> tuple[Floats, Floats]:
        pixels = _surrounded(x[first:last], window, (OH, OW), C + 1)
        pixels[..., C] = 1
        image, line = pixels[0].size, pixels[0, 0].size
        entries = np.append(places((KH, line), (KW, C + 1), (C, 1)), C)  # the last one begins with a one
        sums, runs = np.zeros((len(entries), OC), w.dtype), (OH, SH * line, OW, SW * (C + 1), 1, 1)
        correlate(pixels, entries, image, max(1, BAND // OW), runs, dy[first:last].reshape(-1, OH * OW, OC), sums)
        return sums[:-1], sums[-1]

    dw, db = sum_of_shares(in_shares(share, len(x)))
    return np.ascontiguousarray(dw.reshape(KH, KW, C, OC).transpose(3, 2, 0, 1)), db


def _surrounded(x: Floats, window: Window, outputs: tuple[int, int], channels: int) -> Floats:
    """x (n, H, W, C) among zeros, as far as the kernels see it: (n, rows, cols, channels), with C channels or more."""
    rows, cols = (
        (count - 1) * stride + kernel
        for count, stride, kernel in zip(outputs, window.stride, window.kernel, strict=True)
    )
    top, left = window.pad
    canvas = empty((len(x), rows, cols, channels), x.dtype)
    canvas[...] = 0
    seen = x[:, : max(0, rows - top), : max(0, cols - left)]  # none, if the stride steps over the image
    canvas[:, top : top + seen.shape[1], left : left + seen.shape[2], : x.shape[3]] = seen
    return canvas


def places(*axes: tuple[int, int]) -> NDArray[np.int64]:
    """i*step + j*step + ... for all numbers i, j, ...; axes: (count, step) of each."""
    found = np.zeros(1, np.int64)
    for count, step in axes:
        found = (found[:, None] + np.arange(count) * step).reshape(-1)
    return found
