"""Winograd's transform of pixels into values at the points, and back: the compiled part of `winograd.py`.

A tile of pixels d is transformed into L d L' with a matrix L: first sums over its rows, then over its columns. Both are
weighted sums of long rows of numbers, because the tiles of one row of the image lie side by side with all channels.

Axes: N images, C channels, H, W height and width, P = n*n points; TH rows of TW tiles an image.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from tinyalex.backend.cpu.compiled import Floats, compiled
from tinyalex.window import Pair

POINTS = (
    0.0,
    1.0,
    -1.0,
    2.0,
    -2.0,
    0.5,
    -0.5,
)  # and infinity; small, as rounding errors grow with powers
TERMS = 8  # of every weighted sum; this is the largest n
RUN = 512  # numbers of each row that are summed at a time; eight such parts fit the first-level cache


class Transforms(NamedTuple):
    """The matrices of F(m x m, r x r) at n = m + r - 1 points. B', B, A' and A are padded with zeros to TERMS columns.

    to_points (n, n): B', pixels -> points.     from_points (n, n): B, points -> gradients of pixels.
    outputs (m, n): A', points -> outputs.      of_outputs (n, m): A, gradients of outputs -> points.
    kernel (n*n, r*r): G x G, a kernel -> points.
    """

    to_points: Floats
    from_points: Floats
    outputs: Floats
    of_outputs: Floats
    kernel: Floats


@cache
def transforms(m: int, r: int, dtype: str) -> Transforms:
    """The matrices, by polynomial interpolation: row j of G and column j of A' evaluate a polynomial at the point p[j].

    Row j of B' holds the coefficients of the product of all (x - p[l]), l != j; the value at infinity is the leading
    coefficient. Row j of G is divided by the value of this product at p[j]. B' and G are then scaled by powers of two
    to numbers of similar size.
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
    share = 2 ** np.round(np.log2(np.abs(B).max(axis=0)) / 2)  # a power of two, so scaling is exact
    B, G = B / share, G * share[:, None]

    def padded(matrix: Floats) -> Floats:
        return np.pad(matrix, ((0, 0), (0, TERMS - matrix.shape[1]))).astype(dtype)

    return Transforms(padded(B.T), padded(B), padded(A.T), padded(A), np.kron(G, G).astype(dtype))


def _weighted_sum(weights, memory, starts, out, add):
    """out = weights[0] * row 0 + ... + weights[7] * row 7, where row l begins at memory[starts[l]]; with `add`, out +=.

    All eight terms are added in one loop, so each number of `out` is written once.
    """
    size = len(out)
    a, b = memory[starts[0] : starts[0] + size], memory[starts[1] : starts[1] + size]
    c, d = memory[starts[2] : starts[2] + size], memory[starts[3] : starts[3] + size]
    e, f = memory[starts[4] : starts[4] + size], memory[starts[5] : starts[5] + size]
    g, h = memory[starts[6] : starts[6] + size], memory[starts[7] : starts[7] + size]
    w0, w1, w2, w3 = weights[0], weights[1], weights[2], weights[3]
    w4, w5, w6, w7 = weights[4], weights[5], weights[6], weights[7]
    if add:
        for i in range(size):
            out[i] += w0 * a[i] + w1 * b[i] + w2 * c[i] + w3 * d[i] + w4 * e[i] + w5 * f[i] + w6 * g[i] + w7 * h[i]
    else:
        for i in range(size):
            out[i] = w0 * a[i] + w1 * b[i] + w2 * c[i] + w3 * d[i] + w4 * e[i] + w5 * f[i] + w6 * g[i] + w7 * h[i]


_weighted_sum_compiled = compiled(_weighted_sum)


def _sum_over_rows(matrix, rows, lines):
    """lines (p, length) = matrix (p, TERMS) @ rows (count, length), RUN columns at a time, which stay in cache."""
    count, length = rows.shape
    memory, starts = rows.reshape(-1), np.zeros(TERMS, np.int64)
    for first in range(0, length, RUN):
        last = min(length, first + RUN)
        for term in range(TERMS):
            starts[term] = (term if term < count else 0) * length + first  # beyond `count` the weight is 0
        for i in range(len(lines)):
            _weighted_sum_compiled(matrix[i], memory, starts, lines[i, first:last], False)


_sum_over_rows_compiled = compiled(_sum_over_rows)


def _sort(image, top, PW, pixels):
    """Fill pixels (rows, step, B, C): [i, s, b] is image[top + i, b*step + s - PW], or 0 outside the image (H, W, C).

    Then the pixels at one position of all tiles in a row of tiles are contiguous, with all channels.
    """
    H, W, C = image.shape
    rows, step, B = pixels.shape[:3]
    for i in range(rows):
        for s in range(step):
            for b in range(B):
                h, w, pixel = top + i, b * step + s - PW, pixels[i, s, b]
                if 0 <= h < H and 0 <= w < W:
                    there = image[h, w]
                    for c in range(C):
                        pixel[c] = there[c]
                else:
                    for c in range(C):
                        pixel[c] = 0


_sort_compiled = compiled(_sort)


def _put_back(pixels, top, PW, image, add):
    """Write pixels (rows, step, B, C) to the places in the image (H, W, C) from which _sort reads them, or add them."""
    H, W, C = image.shape
    rows, step, B = pixels.shape[:3]
    for i in range(max(0, -top), min(rows, H - top)):
        for s in range(step):
            for b in range(B):
                w = b * step + s - PW
                if 0 <= w < W:
                    there, pixel = image[top + i, w], pixels[i, s, b]
                    if add:
                        for c in range(C):
                            there[c] += pixel[c]
                    else:
                        for c in range(C):
                            there[c] = pixel[c]


_put_back_compiled = compiled(_put_back)


def _to_points(x, points, matrix, seen, step, PH, PW, TH, TW):
    """Fill points (P, n*TH*TW or more, C) from x (n, H, W, C): matrix @ tile @ matrix', tiles of seen x seen pixels."""
    C, n = x.shape[3], len(matrix)
    B, run = TW + (seen - 1) // step, TW * C  # B: steps along a row of tiles, with those that the last tile covers
    line = B * C
    pixels = np.empty((seen, step, B, C), x.dtype)
    lines = np.empty((n, step * line), x.dtype)  # sums over the rows of the tiles
    memory, planes = lines.reshape(-1), points.reshape(len(points), -1)
    starts = np.zeros(TERMS, np.int64)
    for image in range(len(x)):
        for th in range(TH):
            _sort_compiled(x[image], th * step - PH, PW, pixels)
            _sum_over_rows_compiled(matrix, pixels.reshape(seen, step * line), lines)
            tile = (image * TH + th) * run
            for i in range(n):
                for term in range(TERMS):
                    place = term if term < seen else 0
                    starts[term] = (i * step + place % step) * line + place // step * C
                for j in range(n):
                    _weighted_sum_compiled(matrix[j], memory, starts, planes[i * n + j, tile : tile + run], False)


_to_points_compiled = compiled(_to_points)


def to_points(x: Floats, points: Floats, matrix: Floats, seen: int, step: int, edge: Pair, tiles: Pair) -> None:
    """Fill points (P, n*TH*TW or more, C) with the values of x (n, H, W, C), in TH x TW tiles of seen x seen pixels.

    Cost: n*step + n*n weighted sums of eight terms for each tile and channel. In the paper's conv2, the transforms of x
    and y together have a fifth of the operations of the products. x is read n/step times, points is written once.
    """
    _to_points_compiled(x, points, matrix, seen, step, *edge, *tiles)


def _from_points(points, x, matrix, n, step, PH, PW, TH, TW):
    """Fill x (n, H, W, C) from points (P, n*TH*TW or more, C): matrix @ values @ matrix'; overlapping tiles are added.

    The steps of _to_points in reverse: sums over the columns, then over the rows, then each pixel to its place.
    """
    C, made = x.shape[3], len(matrix)  # a tile has made x made pixels
    overlap = made > step
    B, run = TW + (made - 1) // step, TW * C
    line = B * C
    lines = np.empty((n, step * line), x.dtype)
    pixels = np.empty((made, step, B, C), x.dtype)
    plane, memory = points.shape[1] * C, points.reshape(-1)
    starts = np.zeros(TERMS, np.int64)
    for image in range(len(x)):
        if overlap:
            x[image] = 0
        for th in range(TH):
            if overlap:
                lines[:] = 0
            tile = (image * TH + th) * run
            for i in range(n):
                for term in range(TERMS):
                    starts[term] = (i * n + (term if term < n else 0)) * plane + tile
                for j in range(made):
                    place = j % step * line + j // step * C
                    _weighted_sum_compiled(matrix[j], memory, starts, lines[i, place : place + run], overlap)
            _sum_over_rows_compiled(matrix, lines, pixels.reshape(made, step * line))
            _put_back_compiled(pixels, th * step - PH, PW, x[image], overlap)


_from_points_compiled = compiled(_from_points)


def from_points(points: Floats, x: Floats, matrix: Floats, n: int, step: int, edge: Pair, tiles: Pair) -> None:
    """Fill x (n, H, W, C) from the values at the points (P, n*TH*TW or more, C) of its tiles; to_points transposed."""
    _from_points_compiled(points, x, matrix, n, step, *edge, *tiles)
