"""The compiled twins of tinyalex.layers.conv: im2col tiles that stay in cache, multiplied as they are made."""

from collections.abc import Iterator

import numpy as np

from tinyalex.kernels.compiled import Floats, channels_last, compiled, geometry
from tinyalex.kernels.threads import in_shares
from tinyalex.window import Window

TILE = 1 << 17  # numbers in one im2col tile: 512 kB of float32, what stays in a core's second-level cache


def _im2col(x, columns, KH, KW, SH, SW, PH, PW):
    """columns (n, OH, OW, KH, KW, C) from x (n, H, W, C): a row of a receptive field is one run of KW*C numbers."""
    N, H, W, C = x.shape
    OH, OW = columns.shape[1:3]
    rows = x.reshape(N, H, W * C)
    runs = columns.reshape(N, OH, OW, KH, KW * C)
    for n in range(N):
        for oh in range(OH):
            for ow in range(OW):
                left = ow * SW - PW
                begin, end = max(0, -left) * C, min(KW, W - left) * C  # the part of a run that lies in the image
                for i in range(KH):
                    h = oh * SH + i - PH
                    run = runs[n, oh, ow, i]
                    if h < 0 or h >= H or begin >= end:
                        for c in range(KW * C):
                            run[c] = 0
                        continue
                    inside, seen = run[begin:end], rows[n, h, left * C + begin : left * C + end]
                    for c in range(begin):
                        run[c] = 0
                    for c in range(end - begin):
                        inside[c] = seen[c]
                    for c in range(end, KW * C):
                        run[c] = 0


_im2col_compiled = compiled(_im2col)


def im2col(x: Floats, window: Window) -> Floats:
    """The twin of tinyalex.layers.conv.im2col; it copies N*OH*OW*KH*KW*C numbers, no padded image in between."""
    N, C, H, W = x.shape
    columns = np.empty((N, *window.output_size(H, W), *window.kernel, C), x.dtype)
    x = channels_last(x)
    in_shares(lambda first, last: _im2col_compiled(x[first:last], columns[first:last], *geometry(window)), N)
    return columns.reshape(-1, window.kernel[0] * window.kernel[1] * C)


def _col2im(columns, x, KH, KW, SH, SW, PH, PW):
    """x (n, H, W, C) from columns (n, OH, OW, KH, KW, C): every entry is added to the pixel it was read from."""
    N, H, W, C = x.shape
    OH, OW = columns.shape[1:3]
    rows = x.reshape(N, H, W * C)
    runs = columns.reshape(N, OH, OW, KH, KW * C)
    for n in range(N):
        x[n] = 0
        for oh in range(OH):
            for ow in range(OW):
                left = ow * SW - PW
                begin, end = max(0, -left) * C, min(KW, W - left) * C
                for i in range(KH):
                    h = oh * SH + i - PH
                    if 0 <= h < H and begin < end:
                        inside, seen = runs[n, oh, ow, i, begin:end], rows[n, h, left * C + begin : left * C + end]
                        for c in range(end - begin):
                            seen[c] += inside[c]


_col2im_compiled = compiled(_col2im)


def col2im(columns: Floats, x_shape: tuple[int, ...], window: Window) -> Floats:
    """The twin of tinyalex.layers.conv.col2im: N*OH*OW*KH*KW*C additions, image by image."""
    N, C, H, W = x_shape
    columns = np.ascontiguousarray(columns).reshape(N, *window.output_size(H, W), *window.kernel, C)
    x = np.empty((N, H, W, C), columns.dtype)
    in_shares(lambda first, last: _col2im_compiled(columns[first:last], x[first:last], *geometry(window)), N)
    return x.transpose(0, 3, 1, 2)


def conv_forward(x: Floats, w: Floats, b: Floats, window: Window, groups: int) -> Floats:
    """The twin of tinyalex.layers.conv.conv_forward, N*OH*OW*OC*KH*KW*C/G multiply-adds.

    A thread lays out the columns of an image or a few, a tile that stays in its cache, and multiplies them at once;
    the whole matrix of columns never exists.
    """
    OC, CG, KH, KW = w.shape
    OH, OW = window.output_size(*x.shape[2:])
    x, kernels = channels_last(x), _kernel_matrices(w, groups)  # (G, OC/G, KH*KW*C/G)
    y = np.empty((len(x), OH, OW, OC), x.dtype)
    at_once = max(1, TILE // (OH * OW * kernels.shape[2]))

    def share(first: int, last: int) -> None:
        tile = np.empty((min(at_once, last - first), OH, OW, KH, KW, CG), x.dtype)
        for images in _few(first, last, at_once):
            for g, (maps_in, maps_out) in enumerate(_parts(groups, CG, OC // groups)):
                fields = np.ascontiguousarray(x[images, :, :, maps_in])  # (n, H, W, C/G)
                columns = tile[: len(fields)]
                _im2col_compiled(fields, columns, *geometry(window))
                product = columns.reshape(-1, kernels.shape[2]) @ kernels[g].T  # (n*OH*OW, OC/G)
                product += b[maps_out]
                y[images, :, :, maps_out] = product.reshape(-1, OH, OW, OC // groups)

    in_shares(share, len(x))
    return y.transpose(0, 3, 1, 2)


def conv_backward(
    dy: Floats, x: Floats, w: Floats, window: Window, groups: int, input_gradient: bool = True
) -> tuple[Floats | None, Floats, Floats]:
    """The twin of tinyalex.layers.conv.conv_backward, twice the multiply-adds of the forward (once without dx).

    Tile by tile as in the forward. Each share of images sums its own dw; the sums are added in the order of shares.
    """
    OC, CG, KH, KW = w.shape
    OH, OW = dy.shape[2:]
    dy, x, kernels = channels_last(dy), channels_last(x), _kernel_matrices(w, groups)
    dx = np.empty_like(x) if input_gradient else None
    at_once = max(1, TILE // (OH * OW * kernels.shape[2]))
    sums: dict[int, Floats] = {}

    def share(first: int, last: int) -> None:
        dw = sums[first] = np.zeros_like(kernels)
        tile = np.empty((min(at_once, last - first), OH, OW, KH, KW, CG), x.dtype)
        for images in _few(first, last, at_once):
            for g, (maps_in, maps_out) in enumerate(_parts(groups, CG, OC // groups)):
                fields = np.ascontiguousarray(x[images, :, :, maps_in])  # (n, H, W, C/G)
                columns = tile[: len(fields)]
                rows = columns.reshape(-1, kernels.shape[2])  # (n*OH*OW, KH*KW*C/G), the same memory
                dy_rows = dy[images, :, :, maps_out].reshape(-1, OC // groups)  # (n*OH*OW, OC/G)
                _im2col_compiled(fields, columns, *geometry(window))
                dw[g] += dy_rows.T @ rows
                if dx is not None:
                    np.matmul(dy_rows, kernels[g], out=rows)
                    dfields = np.empty_like(fields)
                    _col2im_compiled(columns, dfields, *geometry(window))
                    dx[images, :, :, maps_in] = dfields

    in_shares(share, len(x))
    dw = np.zeros_like(kernels)
    for first in sorted(sums):
        dw += sums[first]
    dw = dw.reshape(OC, KH, KW, CG).transpose(0, 3, 1, 2)
    return None if dx is None else dx.transpose(0, 3, 1, 2), np.ascontiguousarray(dw), dy.sum(axis=(0, 1, 2))


def _few(first: int, last: int, at_once: int) -> Iterator[slice]:
    """The images first ... last - 1, at_once at a time."""
    return (slice(start, min(start + at_once, last)) for start in range(first, last, at_once))


def _parts(groups: int, maps_in: int, maps_out: int) -> Iterator[tuple[slice, slice]]:
    """The channels that each group of a convolution reads, and those that it writes."""
    for g in range(groups):
        yield slice(g * maps_in, (g + 1) * maps_in), slice(g * maps_out, (g + 1) * maps_out)


def _kernel_matrices(w: Floats, groups: int) -> Floats:
    """w (OC, C/G, KH, KW) -> (G, OC/G, KH*KW*C/G), entries in the order of the columns."""
    return w.transpose(0, 2, 3, 1).reshape(groups, w.shape[0] // groups, -1)
