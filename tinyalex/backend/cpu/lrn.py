"""The compiled twins of tinyalex.layers.lrn: one pass over the maps, no large temporary arrays.

In channels-last memory the maps of a group at one pixel are a row of numbers, and a window over maps is a part of that
row. Several rows are copied into one long line, separated by as many zeros as a window reaches past their ends. Then
each sum is one loop over the long line, which is fast for any number of maps.

Each number costs about 2*size + 10 operations and 8 bytes of memory traffic forward, twice the operations and 12 bytes
backward. The power 0.75 takes two square roots and a quotient. Exact ones would take two thirds of the time; in float32
the processor's estimates, made precise by a step of Newton's method, are enough. So it takes twice as long as copying.
Where the sum of squares is infinite, which float32 reaches at activations of 1e19, the result is NaN.
"""

import numpy as np

from tinyalex.backend.cpu.compiled import Floats, channels_last, compiled
from tinyalex.backend.memory import empty
from tinyalex.backend.threads import in_shares

LINE = 256  # numbers in a line, about: while one is computed, the processor can fetch the next


def _sum_over_neighbours(line, total, start, factor, size):
    """total[i] = start + factor * (line[i] + ... + line[i + size - 1]); five terms a pass, as the paper's size is 5."""
    length = len(total)
    total[:] = start
    for shift in range(0, size - 4, 5):
        a, b, c, d, e = line[shift:], line[shift + 1 :], line[shift + 2 :], line[shift + 3 :], line[shift + 4 :]
        for i in range(length):
            total[i] += factor * (a[i] + b[i] + c[i] + d[i] + e[i])
    for shift in range(size - size % 5, size):
        neighbours = line[shift : shift + length]
        for i in range(length):
            total[i] += factor * neighbours[i]


_sum_over_neighbours_compiled = compiled(_sum_over_neighbours)


def _negative_power(scale, beta, power):
    """power = scale**-beta; for beta = 0.75 with two square roots, for which processors have an instruction."""
    if beta == 0.75:
        one = scale.dtype.type(1)  # a plain 1 would turn the result into float64
        for i in range(len(scale)):
            root = np.sqrt(scale[i])
            power[i] = one / (root * np.sqrt(root))
    else:
        for i in range(len(scale)):
            power[i] = scale[i] ** -beta


_negative_power_compiled = compiled(_negative_power, estimates=True)


def _lrn_forward(x, y, size, alpha, beta, k):
    """Fill y (rows, maps) from x (rows, maps); a row holds the maps of one group at one pixel."""
    maps = x.shape[1]
    wide, before = maps + size - 1, size // 2
    at_once = max(1, LINE // wide)
    squares = np.zeros(at_once * wide + size - 1, x.dtype)
    scale, power = np.empty(at_once * wide, x.dtype), np.empty(at_once * wide, x.dtype)
    for first in range(0, len(x), at_once):
        rows = min(at_once, len(x) - first)
        for row in range(rows):
            here, squares_here = x[first + row], squares[row * wide + before : row * wide + before + maps]
            for c in range(maps):
                squares_here[c] = here[c] * here[c]
        _sum_over_neighbours_compiled(squares, scale, k, alpha, size)
        _negative_power_compiled(scale, beta, power)
        for row in range(rows):
            here, there, power_here = x[first + row], y[first + row], power[row * wide : row * wide + maps]
            for c in range(maps):
                there[c] = here[c] * power_here[c]


_lrn_forward_compiled = compiled(_lrn_forward)


def lrn_forward(x: Floats, size: int, alpha: float, beta: float, k: float, groups: int) -> Floats:
    """The twin of tinyalex.layers.lrn.lrn_forward. It reads x once and writes y once."""
    x = channels_last(x)
    y = empty(x.shape, x.dtype)
    x_rows, y_rows = (array.reshape(-1, x.shape[3] // groups) for array in (x, y))
    numbers = [x.dtype.type(number) for number in (alpha, beta, k)]
    in_shares(
        lambda first, last: _lrn_forward_compiled(x_rows[first:last], y_rows[first:last], size, *numbers), len(x_rows)
    )
    return y.transpose(0, 3, 1, 2)


def _lrn_backward(dy, x, dx, size, alpha, beta, k, factor):
    """Fill dx (rows, maps) from dy, x (rows, maps). The scale is computed again; the terms use the mirrored window."""
    maps = x.shape[1]
    wide, before = maps + size - 1, size // 2
    mirrored = size - 1 - before
    at_once = max(1, LINE // wide)
    squares, terms = np.zeros(at_once * wide + size - 1, x.dtype), np.zeros(at_once * wide + size - 1, x.dtype)
    scale, power, seen_by = (
        np.empty(at_once * wide, x.dtype),
        np.empty(at_once * wide, x.dtype),
        np.empty(at_once * wide, x.dtype),
    )
    for first in range(0, len(x), at_once):
        rows = min(at_once, len(x) - first)
        for row in range(rows):
            here, squares_here = x[first + row], squares[row * wide + before : row * wide + before + maps]
            for c in range(maps):
                squares_here[c] = here[c] * here[c]
        _sum_over_neighbours_compiled(squares, scale, k, alpha, size)
        _negative_power_compiled(scale, beta, power)
        for row in range(rows):
            at = row * wide
            here, slope, terms_here = x[first + row], dy[first + row], terms[at + mirrored : at + mirrored + maps]
            power_here, scale_here = power[at : at + maps], scale[at : at + maps]
            for c in range(maps):
                terms_here[c] = slope[c] * here[c] * power_here[c] / scale_here[c]
        _sum_over_neighbours_compiled(terms, seen_by, dx.dtype.type(0), factor, size)
        for row in range(rows):
            at = row * wide
            here, slope, there = x[first + row], dy[first + row], dx[first + row]
            power_here, seen_by_here = power[at : at + maps], seen_by[at : at + maps]
            for c in range(maps):
                there[c] = slope[c] * power_here[c] - here[c] * seen_by_here[c]


_lrn_backward_compiled = compiled(_lrn_backward, estimates=True)


def lrn_backward(dy: Floats, x: Floats, size: int, alpha: float, beta: float, k: float, groups: int) -> Floats:
    """The twin of tinyalex.layers.lrn.lrn_backward. It reads dy and x once and writes dx once."""
    dy, x = channels_last(dy), channels_last(x)
    dx = empty(x.shape, x.dtype)
    dy_rows, x_rows, dx_rows = (array.reshape(-1, x.shape[3] // groups) for array in (dy, x, dx))
    numbers = [x.dtype.type(number) for number in (alpha, beta, k, 2 * alpha * beta)]

    def share(first: int, last: int) -> None:
        _lrn_backward_compiled(dy_rows[first:last], x_rows[first:last], dx_rows[first:last], size, *numbers)

    in_shares(share, len(x_rows))
    return dx.transpose(0, 3, 1, 2)
