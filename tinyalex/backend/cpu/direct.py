"""Convolution by the sum that defines it: im2col tiles that stay in cache, multiplied as they are made.

A tile holds the receptive fields of a few rows of outputs, and the product of a tile with the kernels is a few rows of
y in their final place. The whole matrix of columns, 17.6 MB an image of the paper's net, never exists.
"""

from collections.abc import Callable, Iterator

import numpy as np

from tinyalex.backend.cpu.compiled import Floats, channels_last, compiled, geometry
from tinyalex.backend.memory import empty
from tinyalex.backend.threads import in_shares
from tinyalex.window import Window

TILE = 1 << 18  # numbers in one im2col tile: 1 MB of float32, what a core's second-level cache holds


def _im2col(x, columns, first, OH, KH, KW, SH, SW, PH, PW):
    """columns (rows, OW, KH, KW, C) from x (N, H, W, C), for the rows of outputs n*OH + oh = first, first + 1, ...

    A row of a receptive field is one run of KW*C numbers, in x and in columns.
    """
    N, H, W, C = x.shape
    OW = columns.shape[1]
    lines = x.reshape(N, H, W * C)
    runs = columns.reshape(len(columns), OW, KH, KW * C)
    for row in range(len(columns)):
        n, oh = divmod(first + row, OH)
        for ow in range(OW):
            left = ow * SW - PW
            begin, end = max(0, -left) * C, min(KW, W - left) * C  # the part of a run that lies in the image
            for i in range(KH):
                h = oh * SH + i - PH
                run = runs[row, ow, i]
                if h < 0 or h >= H or begin >= end:
                    for c in range(KW * C):
                        run[c] = 0
                    continue
                inside, seen = run[begin:end], lines[n, h, left * C + begin : left * C + end]
                for c in range(begin):
                    run[c] = 0
                for c in range(end - begin):
                    inside[c] = seen[c]
                for c in range(end, KW * C):
                    run[c] = 0


_im2col_compiled = compiled(_im2col)


def im2col(x: Floats, window: Window) -> Floats:
    """The twin of tinyalex.layers.conv.im2col: N*OH*OW*KH*KW*C numbers copied, no padded image in between."""
    N, C, H, W = x.shape
    KH, KW = window.kernel
    OH, OW = window.output_size(H, W)
    columns = empty((N * OH, OW, KH, KW, C), x.dtype)
    x = channels_last(x)
    in_shares(lambda first, last: _im2col_compiled(x, columns[first:last], first, OH, *geometry(window)), N * OH)
    return columns.reshape(-1, KH * KW * C)


def _col2im(columns, x, first, OH, KH, KW, SH, SW, PH, PW):
    """Add columns (rows, OW, KH, KW, C) to the pixels of x (N, H, W, C) that _im2col read them from."""
    N, H, W, C = x.shape
    OW = columns.shape[1]
    lines = x.reshape(N, H, W * C)
    runs = columns.reshape(len(columns), OW, KH, KW * C)
    for row in range(len(columns)):
        n, oh = divmod(first + row, OH)
        for ow in range(OW):
            left = ow * SW - PW
            begin, end = max(0, -left) * C, min(KW, W - left) * C
            for i in range(KH):
                h = oh * SH + i - PH
                if 0 <= h < H and begin < end:
                    inside, seen = runs[row, ow, i, begin:end], lines[n, h, left * C + begin : left * C + end]
                    for c in range(end - begin):
                        seen[c] += inside[c]


_col2im_compiled = compiled(_col2im)


def col2im(columns: Floats, x_shape: tuple[int, ...], window: Window) -> Floats:
    """The twin of tinyalex.layers.conv.col2im: N*OH*OW*KH*KW*C additions, each thread to images of its own."""
    N, C, H, W = x_shape
    OH, OW = window.output_size(H, W)
    columns = np.ascontiguousarray(columns).reshape(N * OH, OW, *window.kernel, C)
    x = empty((N, H, W, C), columns.dtype)

    def share(first: int, last: int) -> None:
        x[first:last] = 0
        _col2im_compiled(columns[first * OH : last * OH], x, first * OH, OH, *geometry(window))

    in_shares(share, N)
    return x.transpose(0, 3, 1, 2)


def forward(x: Floats, w: Floats, y: Floats, window: Window, groups: int, finish: Callable[[Floats], None]) -> None:
    """y (N, OH, OW, OC) from x (N, H, W, C), w (OC, C/G, KH, KW): N*OH*OW*OC*KH*KW*C/G multiply-adds.

    The threads share the rows of y, of one image as well as of many. finish: called with every (rows, OC) of y, once
    they hold the sums and while they are in cache.
    Bytes: x is read KH/SH times over, from cache; y is written once; each tile is written and read in cache.
    """
    OC, CG, KH, KW = w.shape
    OH, OW = y.shape[1:3]
    kernels, images = kernel_matrices(w, groups), by_group(x, groups)
    y_rows = y.reshape(-1, OW, OC)  # (N*OH, OW, OC)
    at_once = max(1, TILE // (OW * KH * KW * CG))

    def share(first: int, last: int) -> None:
        tile = empty((min(at_once, last - first), OW, KH, KW, CG), x.dtype)
        for rows in few(first, last, at_once):
            columns, sums = tile[: rows.stop - rows.start], y_rows[rows].reshape(-1, OC)
            for g, maps_out in enumerate(parts(OC, groups)):
                _im2col_compiled(images[g], columns, rows.start, OH, *geometry(window))
                np.matmul(columns.reshape(len(sums), -1), kernels[g].T, out=sums[:, maps_out])
            finish(sums)

    in_shares(share, len(y_rows))


def backward(dy: Floats, x: Floats, w: Floats, dx: Floats | None, window: Window, groups: int) -> tuple[Floats, Floats]:
    """dw and db, and dx in place if there is one: twice the multiply-adds of the forward, once without dx.

    Tile by tile as in the forward. Each share of images sums its own dw; the sums are added in the order of shares.
    """
    OC, CG, KH, KW = w.shape
    OH, OW = dy.shape[1:3]
    kernels, images = kernel_matrices(w, groups), by_group(x, groups)
    dimages = [] if dx is None else [empty(image.shape, dx.dtype) for image in images] if groups > 1 else [dx]
    dy_rows = dy.reshape(-1, OW, OC)  # (N*OH, OW, OC)
    at_once = max(1, TILE // (OW * KH * KW * CG))

    def share(first: int, last: int) -> tuple[Floats, Floats]:
        dw, db = np.zeros_like(kernels), np.zeros(OC, w.dtype)
        for dimage in dimages:
            dimage[first:last] = 0
        tile = empty((min(at_once, (last - first) * OH), OW, KH, KW, CG), x.dtype)
        for rows in few(first * OH, last * OH, at_once):
            columns, slopes = tile[: rows.stop - rows.start], dy_rows[rows].reshape(-1, OC)
            matrix = columns.reshape(len(slopes), -1)  # (rows*OW, KH*KW*C/G), the same memory
            db += slopes.sum(axis=0)
            for g, maps_out in enumerate(parts(OC, groups)):
                _im2col_compiled(images[g], columns, rows.start, OH, *geometry(window))
                dw[g] += slopes[:, maps_out].T @ matrix
                if dimages:
                    np.matmul(slopes[:, maps_out], kernels[g], out=matrix)
                    _col2im_compiled(columns, dimages[g], rows.start, OH, *geometry(window))
        if dx is not None and groups > 1:
            for dimage, maps_in in zip(dimages, parts(CG * groups, groups), strict=True):
                dx[first:last, :, :, maps_in] = dimage[first:last]
        return dw, db

    dw, db = total(in_shares(share, len(x)))
    return np.ascontiguousarray(dw.reshape(OC, KH, KW, CG).transpose(0, 3, 1, 2)), db


# ---------------------------------------------------------------- what tinyalex.backend.cpu.winograd cuts likewise


def few(first: int, last: int, at_once: int) -> Iterator[slice]:
    """The rows or images first ... last - 1, at_once at a time."""
    return (slice(start, min(start + at_once, last)) for start in range(first, last, at_once))


def parts(maps: int, groups: int) -> list[slice]:
    """The maps of each group."""
    return [slice(g * maps // groups, (g + 1) * maps // groups) for g in range(groups)]


def total(sums: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """(dw, db) of all shares, added in their order, so that the result is the same on every run."""
    dw, db = sums[0]
    for more_dw, more_db in sums[1:]:
        dw += more_dw
        db += more_db
    return dw, db


def by_group(x: Floats, groups: int) -> list[Floats]:
    """x (N, H, W, C) as G arrays (N, H, W, C/G), each with the channels of a pixel in one run."""
    if groups == 1:
        return [x]
    images = [empty((*x.shape[:3], x.shape[3] // groups), x.dtype) for _ in range(groups)]
    for image, maps_in in zip(images, parts(x.shape[3], groups), strict=True):
        image[...] = x[..., maps_in]
    return images


def kernel_matrices(w: Floats, groups: int) -> Floats:
    """w (OC, C/G, KH, KW) -> (G, OC/G, KH*KW*C/G), entries in the order of the columns."""
    return w.transpose(0, 2, 3, 1).reshape(groups, w.shape[0] // groups, -1)
