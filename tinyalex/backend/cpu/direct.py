"""Convolution by the sum that defines it: im2col in tiles, each multiplied by the kernels while it is in cache.

A tile holds the patches of a few rows of outputs, and its product with the kernels is written to those rows of y. The
matrix of all patches (17.6 MB for one image in the paper's net) is never stored as a whole.
"""

from collections.abc import Callable, Iterator

import numpy as np

from tinyalex.backend.cpu.compiled import Floats, channels_last, compiled, geometry
from tinyalex.backend.memory import empty
from tinyalex.backend.threads import in_shares
from tinyalex.window import Window

TILE = 1 << 18  # numbers in a tile: 1 MB of float32, which fits the second-level cache of a core


def _im2col(x, patches, first, OH, KH, KW, SH, SW, PH, PW):
    """Fill patches (rows, OW, KH, KW, C) from x (N, H, W, C), for the rows of outputs n*OH + oh = first, first + 1, ...

    One row of a patch is KW*C contiguous numbers, in x and in `patches`.
    """
    N, H, W, C = x.shape
    OW = patches.shape[1]
    lines = x.reshape(N, H, W * C)
    runs = patches.reshape(len(patches), OW, KH, KW * C)
    for row in range(len(patches)):
        n, oh = divmod(first + row, OH)
        for ow in range(OW):
            left = ow * SW - PW
            begin, end = max(0, -left) * C, min(KW, W - left) * C  # the part of a row that lies in the image
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
    """The twin of tinyalex.layers.conv.im2col. It copies N*OH*OW*KH*KW*C numbers, and makes no padded image."""
    N, C, H, W = x.shape
    KH, KW = window.kernel
    OH, OW = window.output_size(H, W)
    patches = empty((N * OH, OW, KH, KW, C), x.dtype)
    x = channels_last(x)
    in_shares(lambda first, last: _im2col_compiled(x, patches[first:last], first, OH, *geometry(window)), N * OH)
    return patches.reshape(-1, KH * KW * C)


def _col2im(patches, x, first, OH, KH, KW, SH, SW, PH, PW):
    """Add patches (rows, OW, KH, KW, C) to the pixels of x (N, H, W, C) from which _im2col reads them."""
    N, H, W, C = x.shape
    OW = patches.shape[1]
    lines = x.reshape(N, H, W * C)
    runs = patches.reshape(len(patches), OW, KH, KW * C)
    for row in range(len(patches)):
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


def col2im(patches: Floats, x_shape: tuple[int, ...], window: Window) -> Floats:
    """The twin of tinyalex.layers.conv.col2im. It makes N*OH*OW*KH*KW*C additions; each thread has its own images."""
    N, C, H, W = x_shape
    OH, OW = window.output_size(H, W)
    patches = np.ascontiguousarray(patches).reshape(N * OH, OW, *window.kernel, C)
    x = empty((N, H, W, C), patches.dtype)

    def share(first: int, last: int) -> None:
        x[first:last] = 0
        _col2im_compiled(patches[first * OH : last * OH], x, first * OH, OH, *geometry(window))

    in_shares(share, N)
    return x.transpose(0, 3, 1, 2)


def forward(x: Floats, w: Floats, y: Floats, window: Window, groups: int, finish: Callable[[Floats], None]) -> None:
    """Fill y (N, OH, OW, OC) from x (N, H, W, C) and w (OC, C/G, KH, KW): N*OH*OW*OC*KH*KW*C/G multiply-adds.

    The threads divide the N*OH rows of y, so a single image uses all of them too.
    finish: called with each part (rows, OC) of y when it holds the sums and is still in cache.
    Bytes: x is read KH/SH times, from cache; y is written once; tiles stay in cache.
    """
    OC, CG, KH, KW = w.shape
    OH, OW = y.shape[1:3]
    kernels, images = kernel_matrices(w, groups), by_group(x, groups)
    y_rows = y.reshape(-1, OW, OC)  # (N*OH, OW, OC)
    at_once = max(1, TILE // (OW * KH * KW * CG))

    def share(first: int, last: int) -> None:
        tile = empty((min(at_once, last - first), OW, KH, KW, CG), x.dtype)
        for rows in chunks(first, last, at_once):
            patches, sums = tile[: rows.stop - rows.start], y_rows[rows].reshape(-1, OC)
            for g, maps_out in enumerate(group_slices(OC, groups)):
                _im2col_compiled(images[g], patches, rows.start, OH, *geometry(window))
                np.matmul(patches.reshape(len(sums), -1), kernels[g].T, out=sums[:, maps_out])
            finish(sums)

    in_shares(share, len(y_rows))


def backward(dy: Floats, x: Floats, w: Floats, dx: Floats | None, window: Window, groups: int) -> tuple[Floats, Floats]:
    """dw (OC, C/G, KH, KW) and db (OC,); fills dx (N, H, W, C) unless it is None.

    Twice the multiply-adds of `forward`, once without dx. It works in tiles as `forward` does. Each thread sums dw over
    its own images; these sums are then added in a fixed order.
    """
    OC, CG, KH, KW = w.shape
    OH, OW = dy.shape[1:3]
    kernels, images = kernel_matrices(w, groups), by_group(x, groups)
    dimages = [] if dx is None else [empty(image.shape, dx.dtype) for image in images] if groups > 1 else [dx]
    dy_rows = dy.reshape(-1, OW, OC)  # (N*OH, OW, OC)
    at_once = max(1, TILE // (OW * KH * KW * CG))

    def share(first: int, last: int) -> tuple[Floats, Floats]:
        dw, db = empty(kernels.shape, w.dtype), np.zeros(OC, w.dtype)
        dw[...] = 0
        for dimage in dimages:
            dimage[first:last] = 0
        tile = empty((min(at_once, (last - first) * OH), OW, KH, KW, CG), x.dtype)
        for rows in chunks(first * OH, last * OH, at_once):
            patches, slopes = tile[: rows.stop - rows.start], dy_rows[rows].reshape(-1, OC)
            matrix = patches.reshape(len(slopes), -1)  # (rows*OW, KH*KW*C/G), the same memory
            db += sum_of_rows(slopes)
            for g, maps_out in enumerate(group_slices(OC, groups)):
                _im2col_compiled(images[g], patches, rows.start, OH, *geometry(window))
                dw[g] += slopes[:, maps_out].T @ matrix
                if dimages:
                    np.matmul(slopes[:, maps_out], kernels[g], out=matrix)
                    _col2im_compiled(patches, dimages[g], rows.start, OH, *geometry(window))
        if dx is not None and groups > 1:
            for dimage, maps_in in zip(dimages, group_slices(CG * groups, groups), strict=True):
                dx[first:last, :, :, maps_in] = dimage[first:last]
        return dw, db

    dw, db = sum_of_shares(in_shares(share, len(x)))
    return np.ascontiguousarray(dw.reshape(OC, KH, KW, CG).transpose(0, 3, 1, 2)), db


# ---------------------------------------------------------------- also for tinyalex.backend.cpu.winograd


def chunks(first: int, last: int, at_once: int) -> Iterator[slice]:
    """Slices of first ... last - 1, each of `at_once` rows or images; the last may be shorter."""
    return (slice(start, min(start + at_once, last)) for start in range(first, last, at_once))


def group_slices(maps: int, groups: int) -> list[slice]:
    """A slice of `maps` for each group."""
    return [slice(g * maps // groups, (g + 1) * maps // groups) for g in range(groups)]


def sum_of_rows(rows: Floats) -> Floats:
    """The sum of `rows` (n, columns) over n, as a product with ones: BLAS adds four times as fast as NumPy's sum."""
    total: Floats = np.ones(len(rows), rows.dtype) @ rows
    return total


def sum_of_shares(sums: list[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """The sums of dw and of db over all shares, added in their order, so that every run gives the same bits."""
    dw, db = sums[0]
    for more_dw, more_db in sums[1:]:
        dw += more_dw
        db += more_db
    return dw, db


def by_group(x: Floats, groups: int) -> list[Floats]:
    """x (N, H, W, C) -> G arrays (N, H, W, C/G), each contiguous."""
    if groups == 1:
        return [x]
    images = [empty((*x.shape[:3], x.shape[3] // groups), x.dtype) for _ in range(groups)]
    for image, maps_in in zip(images, group_slices(x.shape[3], groups), strict=True):
        image[...] = x[..., maps_in]
    return images


def kernel_matrices(w: Floats, groups: int) -> Floats:
    """w (OC, C/G, KH, KW) -> (G, OC/G, KH*KW*C/G), entries in the order of a patch."""
    OC, CG, KH, KW = w.shape
    matrices = empty((OC, KH, KW, CG), w.dtype)
    matrices[...] = w.transpose(0, 2, 3, 1)
    return matrices.reshape(groups, OC // groups, -1)
