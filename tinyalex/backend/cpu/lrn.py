"""The compiled twins of tinyalex.layers.lrn: one pass over the maps, no temporary arrays.

Channels last, the maps of a group at one pixel are a row of numbers, and a window over maps is a run of that row. Some
rows at a time are laid into one line, with as many zeros between them as a window reaches past their ends: so all
sums run over one long line, whatever the number of maps.

A number costs about 2*size + 10 operations forward, twice that backward, and 8 bytes (12 backward): with the two square
roots that make the power 0.75 it takes hardly longer than to copy it.
"""

import numpy as np

from tinyalex.backend.cpu.compiled import Floats, channels_last, compiled
from tinyalex.backend.memory import empty
from tinyalex.backend.threads import in_shares

LINE = 1024  # numbers in a line, about: it and its sums stay in the first-level cache


def _sum_over_neighbours(line, total, start, factor, size):
    """total[i] = start + factor * (line[i] + ... + line[i + size - 1]), five terms at a time (the paper's size)."""
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
    """power = scale**-beta; at beta = 0.75 by two square roots, which processors have instructions for."""
    if beta == 0.75:
        one = scale.dtype.type(1)  # a plain 1 would make a float64 of all that it meets
        for i in range(len(scale)):
            root = np.sqrt(scale[i])
            power[i] = one / (root * np.sqrt(root))
    else:
        for i in range(len(scale)):
            power[i] = scale[i] ** -beta


_negative_power_compiled = compiled(_negative_power)


def _lrn_forward(x, y, size, alpha, beta, k):
    """y (rows, maps) from x (rows, maps): each row is the maps of one group at one pixel."""
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
    """The twin of tinyalex.layers.lrn.lrn_forward: x is read once and y written once."""
    x = channels_last(x)
    y = empty(x.shape, x.dtype)
    x_rows, y_rows = (array.reshape(-1, x.shape[3] // groups) for array in (x, y))
    numbers = [x.dtype.type(number) for number in (alpha, beta, k)]
    in_shares(
        lambda first, last: _lrn_forward_compiled(x_rows[first:last], y_rows[first:last], size, *numbers), len(x_rows)
    )
    return y.transpose(0, 3, 1, 2)


def _lrn_backward(dy, x, dx, size, alpha, beta, k, factor):
    """dx (rows, maps) from dy, x (rows, maps); the scale is summed again, and its window mirrored for the terms."""
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


_lrn_backward_compiled = compiled(_lrn_backward)


def lrn_backward(dy: Floats, x: Floats, size: int, alpha: float, beta: float, k: float, groups: int) -> Floats:
    """The twin of tinyalex.layers.lrn.lrn_backward: dy and x are read once and dx written once."""
    dy, x = channels_last(dy), channels_last(x)
    dx = empty(x.shape, x.dtype)
    dy_rows, x_rows, dx_rows = (array.reshape(-1, x.shape[3] // groups) for array in (dy, x, dx))
    numbers = [x.dtype.type(number) for number in (alpha, beta, k, 2 * alpha * beta)]

    def share(first: int, last: int) -> None:
        _lrn_backward_compiled(dy_rows[first:last], x_rows[first:last], dx_rows[first:last], size, *numbers)

    in_shares(share, len(x_rows))
    return dx.transpose(0, 3, 1, 2)
