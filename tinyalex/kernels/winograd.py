"""Convolution with fewer multiplications: Winograd's minimal filtering, in all three directions.

A tile of m x m outputs of a kernel of r x r needs m*m*r*r multiplications if each output is summed on its own. It is
a product of polynomials in disguise, and one of those is known from its values at n = m + r - 1 points: n*n
multiplications are enough. With d the n x n pixels that a tile sees, w a kernel and * entry by entry:

    y = A' [(G w G') * (B' d B)] A            (m, m)   the forward pass
    dw = G' [(A dy A') * (B' d B)] G          (r, r)   its transposes, for the weights
    dx = B [(G w G') * (A dy A')] B'          (n, n)   and for the pixels, added where tiles overlap

B' d B and A dy A' are "values at the points". Summed over channels and tiles, "*" is one matrix product at each of
the n*n points, and there BLAS comes in. A 5 x 5 kernel needs 5.8 times fewer multiplications (27 x 27 outputs, m = 4),
a 3 x 3 kernel 3.4 times fewer (13 x 13, m = 5); the transforms, whose entries are small numbers, cost a quarter of
that again. A stride S is taken out first: conv1's kernel of 11 x 11 on 3 channels with stride 4 is one of 3 x 3 with
stride 1 on the 48 channels of the 4 x 4 phases of the image.

In float32 the result is within about 5e-6 of the exact one (norm over norm), a direct sum within 3e-7.

Axes: N images, C channels, H, W height and width, OC kernels, G groups, P = n*n points, TH, TW tiles of an image.

Source: S. Winograd, Arithmetic Complexity of Computations (1980); A. Lavin and S. Gray, Fast Algorithms for
Convolutional Neural Networks (2016).
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from tinyalex.kernels.compiled import Floats, compiled
from tinyalex.kernels.direct import few, parts, total
from tinyalex.kernels.memory import empty
from tinyalex.kernels.threads import in_shares
from tinyalex.window import Window

POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # and infinity; small ones, so that their powers stay small
SIZES = (6, 7, 8)  # n, the number of points along an axis
TERMS = 8  # of every weighted sum: the largest n
ROWS = 64  # of each matrix product, at least: tiles of several images together
FEWEST_MAPS = 16  # in and out of a group
KERNEL_COST = 6  # what a transformed kernel costs, in tiles: it is computed anew at each call
PRODUCT = 1 << 18  # numbers of a product that is added to another while it is still in cache
RUN = 1024  # numbers of eight rows that stay in the first-level cache while they are combined


class Transforms(NamedTuple):
    """The matrices of F(m x m, r x r) in n = m + r - 1 points: each of B', A', A, B with TERMS columns, zeros behind.

    to_points (n, n): B', pixels -> points.     from_points (n, n): B, points -> gradients of pixels.
    outputs (m, n): A', points -> outputs.      of_outputs (n, m): A, gradients of outputs -> points.
    kernel (n*n, r*r): G x G, a kernel -> points.
    """

    outputs_of_tile: int
    to_points: Floats
    from_points: Floats
    outputs: Floats
    of_outputs: Floats
    kernel: Floats


@cache
def transforms(m: int, r: int, dtype: str) -> Transforms:
    """The matrices, by interpolation: row j of G, column j of A' evaluate a polynomial at the point p[j].

    Row j of B' holds the coefficients of the product of all (x - p[l]), l != j, over which the value at p[j] is
    spread; infinity stands for the leading coefficient. What is divided by is shared out between B' and G.
    """
    n = m + r - 1
    points = np.array(POINTS[: n - 1])
    A, G, B = np.zeros((n, m)), np.zeros((n, r)), np.zeros((n, n))
    for j, point in enumerate(points):
        others = np.delete(points, j)
        A[j] = point ** np.arange(m)
        G[j] = point ** np.arange(r) / np.prod(point - others)
        B[: n - 1, j] = np.poly(others)[::-1]
    A[n - 1, m - 1] = G[n - 1, r - 1] = 1
    B[:, n - 1] = np.poly(points)[::-1]
    share = 2 ** np.round(np.log2(np.abs(B).max(axis=0)) / 2)  # rounds nothing itself, being a power of two
    B, G = B / share, G * share[:, None]

    def padded(matrix: Floats) -> Floats:
        return np.pad(matrix, ((0, 0), (0, TERMS - matrix.shape[1]))).astype(dtype)

    return Transforms(m, padded(B.T), padded(B), padded(A.T), padded(A), np.kron(G, G).astype(dtype))


class Plan(NamedTuple):
    """How one convolution is cut up: its stride, then r x r kernels in tiles of m x m, TH x TW of them an image."""

    stride: int
    r: int
    m: int
    TH: int
    TW: int
    pad: tuple[int, int]

    @property
    def n(self) -> int:
        """Points along an axis of a tile."""
        return self.m + self.r - 1

    @property
    def edge(self) -> tuple[int, int]:
        """The zeros above and left of what the tiles see; a canvas of phases holds them already."""
        return self.pad if self.stride == 1 else (0, 0)


def plan(x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window, groups: int) -> Plan | None:
    """The cheapest way to cut up a convolution of x (N, H, W, C) with w (OC, C/G, KH, KW); None if the direct sum is.

    That is so for kernels that are no squares of 3 or 5 (once a stride is taken out), for few channels, whose products
    are too thin, and for so few images that it does not pay to transform the kernels.
    """
    N, H, W, _ = x_shape
    OC, CG, KH, KW = w_shape
    S = window.stride[0]
    r = -(-KH // S)
    if KH != KW or window.stride != (S, S) or r not in (3, 5) or (S > 1 and groups > 1):
        return None
    if min(CG * S * S, OC // groups) < FEWEST_MAPS:
        return None
    OH, OW = window.output_size(H, W)
    plans = [Plan(S, r, n - r + 1, -(-OH // (n - r + 1)), -(-OW // (n - r + 1)), window.pad) for n in SIZES]
    best = min(plans, key=lambda plan: plan.TH * plan.TW * plan.n**2)
    transformed = best.n**2 * S * S * (N * best.TH * best.TW + KERNEL_COST * r * r)
    return best if transformed < N * OH * OW * KH * KW else None


# ---------------------------------------------------------------- to the points and back


def _weighted_sum(weights, memory, starts, out, add):
    """out = weights[0] * row 0 + ... + weights[7] * row 7, row l beginning at memory[starts[l]]; with `add` out += it.

    All eight terms at once: each number of `out` is written once, and stays in a register until then.
    """
    size = len(out)
    a, b = memory[starts[0] : starts[0] + size], memory[starts[1] : starts[1] + size]
    c, d = memory[starts[2] : starts[2] + size], memory[starts[3] : starts[3] + size]
    e, f = memory[starts[4] : starts[4] + size], memory[starts[5] : starts[5] + size]
    g, h = memory[starts[6] : starts[6] + size], memory[starts[7] : starts[7] + size]
    A, B, C, D = weights[0], weights[1], weights[2], weights[3]
    E, F, G, H = weights[4], weights[5], weights[6], weights[7]
    if add:
        for i in range(size):
            out[i] += A * a[i] + B * b[i] + C * c[i] + D * d[i] + E * e[i] + F * f[i] + G * g[i] + H * h[i]
    else:
        for i in range(size):
            out[i] = A * a[i] + B * b[i] + C * c[i] + D * d[i] + E * e[i] + F * f[i] + G * g[i] + H * h[i]


_weighted_sum_compiled = compiled(_weighted_sum)


def _to_points(x, points, matrix, seen, step, PH, PW, TH, TW):
    """points (P, n*TH*TW or more, C) from x (n, H, W, C): matrix @ tile @ matrix' of tiles of seen x seen pixels.

    The tiles lie `step` apart. The pixels of a row of tiles are sorted by their place in a tile, so that each weighted
    sum runs over one pixel of all these tiles, TW*C numbers side by side.
    """
    N, H, W, C = x.shape
    n = len(matrix)
    B = TW + (seen - 1) // step  # tiles in a row, and those that the last of them reaches into
    line, run = B * C, TW * C
    sorted_ = np.empty((seen, step, B, C), x.dtype)
    halfway = np.empty((n, step, line), x.dtype)  # summed along the columns, not yet along the rows
    rows, lines = sorted_.reshape(-1), halfway.reshape(n, step * line)
    planes = points.reshape(len(points), -1)
    starts = np.zeros(TERMS, np.int64)  # beyond `seen` a row again, with weight 0
    for image in range(N):
        for th in range(TH):
            for i in range(seen):
                h = th * step + i - PH
                for s in range(step):
                    for b in range(B):
                        w = b * step + s - PW
                        pixel = sorted_[i, s, b]
                        if 0 <= h < H and 0 <= w < W:
                            there = x[image, h, w]
                            for c in range(C):
                                pixel[c] = there[c]
                        else:
                            for c in range(C):
                                pixel[c] = 0
            for first in range(0, step * line, RUN):
                last = min(step * line, first + RUN)
                for term in range(TERMS):
                    starts[term] = (term if term < seen else 0) * step * line + first
                for i in range(n):
                    _weighted_sum_compiled(matrix[i], rows, starts, lines[i, first:last], False)
            tile = (image * TH + th) * TW * C
            flat = halfway.reshape(-1)
            for i in range(n):
                for term in range(TERMS):
                    place = term if term < seen else 0
                    starts[term] = (i * step + place % step) * line + place // step * C
                for j in range(n):
                    _weighted_sum_compiled(matrix[j], flat, starts, planes[i * n + j, tile : tile + run], False)


_to_points_compiled = compiled(_to_points)


def _from_points(points, x, matrix, n, step, PH, PW, TH, TW):
    """x (n, H, W, C) from points (P, n*TH*TW or more, C): matrix @ values @ matrix', added where tiles overlap.

    The way of _to_points backwards: pixels sorted by their place in a tile, then put where they belong.
    """
    N, H, W, C = x.shape
    made = len(matrix)  # pixels of a tile along an axis
    B = TW + (made - 1) // step
    line, run = B * C, TW * C
    halfway = np.empty((n, step, line), x.dtype)
    sorted_ = np.empty((made, step, B, C), x.dtype)
    flat, rows = halfway.reshape(-1), sorted_.reshape(made, step * line)
    plane = points.shape[1] * C
    values = points.reshape(-1)
    starts = np.zeros(TERMS, np.int64)
    for image in range(N):
        x[image] = 0
        for th in range(TH):
            tile = (image * TH + th) * TW * C
            flat[:] = 0
            for i in range(n):
                for term in range(TERMS):
                    starts[term] = (i * n + (term if term < n else 0)) * plane + tile
                for j in range(made):
                    place = j // step * C
                    _weighted_sum_compiled(matrix[j], values, starts, halfway[i, j % step, place : place + run], True)
            for first in range(0, step * line, RUN):
                last = min(step * line, first + RUN)
                for term in range(TERMS):
                    starts[term] = (term if term < n else 0) * step * line + first
                for i in range(made):
                    _weighted_sum_compiled(matrix[i], flat, starts, rows[i, first:last], False)
            for i in range(made):
                h = th * step + i - PH
                if 0 <= h < H:
                    for s in range(step):
                        for b in range(B):
                            w = b * step + s - PW
                            if 0 <= w < W:
                                there, pixel = x[image, h, w], sorted_[i, s, b]
                                for c in range(C):
                                    there[c] += pixel[c]


_from_points_compiled = compiled(_from_points)

# ---------------------------------------------------------------- the three directions


def forward(x: Floats, w: Floats, y: Floats, window: Window, groups: int, finish: Callable[[Floats], None]) -> None:
    """As tinyalex.kernels.direct.forward, in P*TH*TW / (OH*OW*r*r) times its multiplications.

    Bytes: the points of a few images, some 5 times as many numbers as their x and y have, stay in the cache; the
    transformed kernels, P / r*r times the size of w, are read once for each few images.
    """
    cut = _plan(x, w, window, groups)
    OC, maps_seen = len(w), x.shape[3] * cut.stride**2
    matrices = transforms(cut.m, cut.r, str(x.dtype))
    kernels = _at_points(w, cut, matrices)  # (P, S*S*C/G, OC)
    maps = [*zip(parts(maps_seen, groups), parts(OC, groups), strict=True)]
    at_once = _images_at_once(cut, maps_seen, OC, groups)

    def share(first: int, last: int) -> None:
        points_of_x, points_of_y = (_points(cut, at_once, channels, x) for channels in (maps_seen, OC))
        for images in few(first, last, at_once):
            seen, sums = _phases(x[images], cut, y.shape[1:3]), y[images]
            tiles = len(seen) * cut.TH * cut.TW
            _to_points_compiled(seen, points_of_x, matrices.to_points, cut.n, cut.m, *cut.edge, cut.TH, cut.TW)
            for maps_in, maps_out in maps:
                np.matmul(
                    points_of_x[:, :tiles, maps_in], kernels[:, :, maps_out], out=points_of_y[:, :tiles, maps_out]
                )
            _from_points_compiled(points_of_y, sums, matrices.outputs, cut.n, cut.m, 0, 0, cut.TH, cut.TW)
            finish(sums.reshape(-1, OC))

    in_shares(share, len(x))


def backward(dy: Floats, x: Floats, w: Floats, dx: Floats | None, window: Window, groups: int) -> tuple[Floats, Floats]:
    """As tinyalex.kernels.direct.backward; both products begin with the same A dy A'."""
    cut = _plan(x, w, window, groups)
    OC, CG = w.shape[:2]
    maps_seen = x.shape[3] * cut.stride**2
    matrices = transforms(cut.m, cut.r, str(x.dtype))
    kernels = None if dx is None else _at_points(w, cut, matrices, transposed=True)  # (P, OC, S*S*C/G)
    maps = [*zip(parts(maps_seen, groups), parts(OC, groups), strict=True)]
    at_once = _images_at_once(cut, maps_seen, OC, groups)

    def share(first: int, last: int) -> tuple[Floats, Floats]:
        points_of_x, points_of_y = (_points(cut, at_once, channels, x) for channels in (maps_seen, OC))
        dkernels = empty((cut.n**2, maps_seen // groups, OC), x.dtype)
        dkernels[...] = 0
        db = np.zeros(OC, x.dtype)
        for images in few(first, last, at_once):
            seen, slopes = _phases(x[images], cut, dy.shape[1:3]), dy[images]
            tiles = len(seen) * cut.TH * cut.TW
            db += slopes.reshape(-1, OC).sum(axis=0)
            _to_points_compiled(seen, points_of_x, matrices.to_points, cut.n, cut.m, *cut.edge, cut.TH, cut.TW)
            _to_points_compiled(slopes, points_of_y, matrices.of_outputs, cut.m, cut.m, 0, 0, cut.TH, cut.TW)
            for maps_in, maps_out in maps:
                of_x, of_y = points_of_x[:, :tiles, maps_in], points_of_y[:, :tiles, maps_out]
                for at in few(0, cut.n**2, max(1, PRODUCT * groups // dkernels[0].size)):
                    dkernels[at, :, maps_out] += of_x[at].transpose(0, 2, 1) @ of_y[at]
                if kernels is not None:
                    np.matmul(of_y, kernels[:, maps_out], out=of_x)  # what these points were is no longer needed
            if dx is not None:
                dseen = dx[images] if cut.stride == 1 else empty(seen.shape, x.dtype)
                _from_points_compiled(points_of_x, dseen, matrices.from_points, cut.n, cut.m, *cut.edge, cut.TH, cut.TW)
                if cut.stride > 1:
                    _from_phases(dseen, dx[images], cut)
        return matrices.kernel.T @ dkernels.reshape(cut.n**2, -1), db  # (r*r, S*S*C/G*OC)

    dw, db = total(in_shares(share, len(x)))
    S, r, KH, KW = cut.stride, cut.r, *w.shape[2:]
    dw = dw.reshape(r, r, S, S, CG, OC).transpose(5, 4, 0, 2, 1, 3).reshape(OC, CG, r * S, r * S)
    return np.ascontiguousarray(dw[:, :, :KH, :KW]), db


def _plan(x: Floats, w: Floats, window: Window, groups: int) -> Plan:
    found = plan(x.shape, w.shape, window, groups)
    assert found is not None  # the caller has asked
    return found


def _images_at_once(cut: Plan, maps_in: int, maps_out: int, groups: int) -> int:
    """So many images that their points take as much room as the kernels, which are read once for each lot of images.

    At least so many that a matrix product has ROWS rows, or nearly.
    """
    tiles = cut.TH * cut.TW
    return max(1, ROWS // tiles, maps_in * maps_out // groups // (tiles * (maps_in + maps_out)))


def _points(cut: Plan, images: int, maps: int, like: Floats) -> Floats:
    """Room for the points of a few images, (P, tiles, maps); an odd number of tiles.

    Else the same numbers of all planes, which are read together, might lie a power of two apart, and push each other
    out of the cache.
    """
    return empty((cut.n**2, images * cut.TH * cut.TW | 1, maps), like.dtype)


def _at_points(w: Floats, cut: Plan, matrices: Transforms, transposed: bool = False) -> Floats:
    """G w G' of w (OC, C/G, KH, KW), phase by phase: (P, S*S*C/G, OC), or (P, OC, S*S*C/G) if `transposed`."""
    OC, CG, KH, KW = w.shape
    S, r = cut.stride, cut.r
    whole = np.zeros((OC, CG, r * S, r * S), w.dtype)
    whole[:, :, :KH, :KW] = w
    order = (2, 4, 0, 3, 5, 1) if transposed else (2, 4, 3, 5, 1, 0)
    matrix = whole.reshape(OC, CG, r, S, r, S).transpose(order).reshape(r * r, -1)
    points = empty((cut.n**2, matrix.shape[1]), w.dtype)
    in_shares(lambda first, last: np.matmul(matrices.kernel[first:last], matrix, out=points[first:last]), len(points))
    return points.reshape(len(points), *((OC, -1) if transposed else (-1, OC)))


def _phases(x: Floats, cut: Plan, outputs: tuple[int, int]) -> Floats:
    """x (n, H, W, C) as a stride of 1 sees it: (n, OH + r - 1, OW + r - 1, S*S*C), the S x S phases side by side."""
    S, (top, left) = cut.stride, cut.pad
    if S == 1:
        return x
    rows, cols = (size + cut.r - 1 for size in outputs)
    canvas = np.zeros((len(x), rows * S, cols * S, x.shape[3]), x.dtype)
    seen = x[:, : rows * S - top, : cols * S - left]
    canvas[:, top : top + seen.shape[1], left : left + seen.shape[2]] = seen
    phases = canvas.reshape(len(x), rows, S, cols, S, -1).transpose(0, 1, 3, 2, 4, 5)  # (n, rows, cols, S, S, C)
    return phases.reshape(len(x), rows, cols, -1)


def _from_phases(phases: Floats, dx: Floats, cut: Plan) -> None:
    """dx (n, H, W, C) from the gradients of its phases: the way of _phases backwards, zero where no kernel reached."""
    S, (top, left) = cut.stride, cut.pad
    n, rows, cols, _ = phases.shape
    canvas = phases.reshape(n, rows, cols, S, S, -1).transpose(0, 1, 3, 2, 4, 5).reshape(n, rows * S, cols * S, -1)
    seen = canvas[:, top : top + dx.shape[1], left : left + dx.shape[2]]
    dx[...] = 0
    dx[:, : seen.shape[1], : seen.shape[2]] = seen
