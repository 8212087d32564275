"""From pixels to the points of Winograd's transform and back: the compiled part of `winograd.py`.

A tile of pixels d becomes L d L' for a matrix L: first sums over the rows of the tile, then over its columns. Both are
weighted sums of whole rows of numbers: the tiles of a row of the image, and all their channels, lie side by side.

Axes: N images, C channels, H, W height and width, P = n*n points, TH, TW tiles of an image.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from tinyalex.backend.cpu.compiled import Floats, compiled
from tinyalex.window import Pair

POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)  # and infinity; small ones, so that their powers stay small
TERMS = 8  # of every weighted sum: the largest n
RUN = 512  # numbers of each of eight rows, that stay in the first-level cache while they are combined


class Transforms(NamedTuple):
    """The matrices of F(m x m, r x r) in n = m + r - 1 points: each of B', A', A, B with TERMS columns, zeros behind.

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
    """The matrices, by interpolation: row j of G, column j of A' evaluate a polynomial at the point p[j].

    Row j of B' holds the coefficients of the product of all (x - p[l]), l != j, over which the value at p[j] is
    spread; infinity stands for the leading coefficient. G is divided by what these products are at p[j]; a power of two
    then evens out the sizes of B' and G.
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

    return Transforms(padded(B.T), padded(B), padded(A.T), padded(A), np.kron(G, G).astype(dtype))


def _weighted_sum(weights, memory, starts, out, add):
    """out = weights[0] * row 0 + ... + weights[7] * row 7, row l beginning at memory[starts[l]]; with `add` out += it.

    All eight terms at once: each number of `out` is written once, and stays in a register until then.
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
    """lines (p, length) = matrix (p, TERMS) @ rows (count, length), in pieces whose rows stay in the nearest cache."""
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
    """pixels (rows, step, B, C): [i, s, b] is the pixel of the image (H, W, C) in row top + i, column b*step + s - PW.

    So one pixel of all tiles in a row, with all its channels, is a run of numbers. Zeros outside the image.
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


def _add_sorted(pixels, top, PW, image):
    """Add pixels (rows, step, B, C) to those of the image (H, W, C) that _sort takes them from."""
    H, W, C = image.shape
    rows, step, B = pixels.shape[:3]
    for i in range(max(0, -top), min(rows, H - top)):
        for s in range(step):
            for b in range(B):
                w = b * step + s - PW
                if 0 <= w < W:
                    there, pixel = image[top + i, w], pixels[i, s, b]
                    for c in range(C):
                        there[c] += pixel[c]


_add_sorted_compiled = compiled(_add_sorted)


def _to_points(x, points, matrix, seen, step, PH, PW, TH, TW):
    """points (P, n*TH*TW or more, C) from x (n, H, W, C): matrix @ tile @ matrix' of tiles of seen x seen pixels."""
    C, n = x.shape[3], len(matrix)
    B, run = TW + (seen - 1) // step, TW * C  # tiles in a row, and those that the last of them reaches into
    line = B * C
    pixels = np.empty((seen, step, B, C), x.dtype)
    lines = np.empty((n, step * line), x.dtype)  # summed over the rows of the tiles, not yet over their columns
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
    """Fill points (P, n*TH*TW or more, C) with those of x (n, H, W, C), in TH x TW tiles of seen x seen pixels each.

    For each tile and channel n*step + n*n weighted sums of eight terms: for the paper's conv2, with those of its
    outputs, a fifth of the operations of its products. x is read n/step times over, and the points are written once.
    """
    _to_points_compiled(x, points, matrix, seen, step, *edge, *tiles)


def _from_points(points, x, matrix, n, step, PH, PW, TH, TW):
    """x (n, H, W, C) from points (P, n*TH*TW or more, C): matrix @ values @ matrix', added where tiles overlap.

    The way of _to_points backwards: over the columns, then over the rows, then every pixel to its place.
    """
    C, made = x.shape[3], len(matrix)  # made x made pixels a tile
    B, run = TW + (made - 1) // step, TW * C
    line = B * C
    lines = np.empty((n, step * line), x.dtype)
    pixels = np.empty((made, step, B, C), x.dtype)
    plane, memory = points.shape[1] * C, points.reshape(-1)
    starts = np.zeros(TERMS, np.int64)
    for image in range(len(x)):
        x[image] = 0
        for th in range(TH):
            lines[:] = 0
            tile = (image * TH + th) * run
            for i in range(n):
                for term in range(TERMS):
                    starts[term] = (i * n + (term if term < n else 0)) * plane + tile
                for j in range(made):
                    place = j % step * line + j // step * C
                    _weighted_sum_compiled(matrix[j], memory, starts, lines[i, place : place + run], True)
            _sum_over_rows_compiled(matrix, lines, pixels.reshape(made, step * line))
            _add_sorted_compiled(pixels, th * step - PH, PW, x[image])


_from_points_compiled = compiled(_from_points)


def from_points(points: Floats, x: Floats, matrix: Floats, n: int, step: int, edge: Pair, tiles: Pair) -> None:
    """Fill x (n, H, W, C) with what the points (P, n*TH*TW or more, C) of its tiles add up to: to_points transposed."""
    _from_points_compiled(points, x, matrix, n, step, *edge, *tiles)
