"""The compiled twins of tinyalex.layers.lrn: one pass over the pixels, no temporary arrays."""

import numpy as np

from tinyalex.kernels.compiled import Floats, channels_last, compiled
from tinyalex.kernels.threads import in_shares


def _lrn_forward(first, last, x, y, scale, size, alpha, beta, k, groups):
    """y, scale (N, H, W, C) from x: the maps of one pixel lie side by side, so the window is a run of a short row.

    At beta = 0.75 the power is a division by two square roots, which a processor has instructions for.
    """
    H, W, C = x.shape[1:]
    per_group = C // groups
    row = np.zeros(per_group + size - 1, x.dtype)  # the squares, with zeros where the window is cut off
    squares = row[size // 2 : size // 2 + per_group]
    for n in range(first, last):
        for h in range(H):
            for w in range(W):
                for g in range(groups):
                    maps = slice(g * per_group, (g + 1) * per_group)
                    x_here, y_here, scale_here = x[n, h, w, maps], y[n, h, w, maps], scale[n, h, w, maps]
                    for c in range(per_group):
                        squares[c] = x_here[c] * x_here[c]
                        scale_here[c] = k
                    for shift in range(size):
                        neighbours = row[shift : shift + per_group]
                        for c in range(per_group):
                            scale_here[c] += alpha * neighbours[c]
                    if beta == 0.75:
                        for c in range(per_group):
                            root = np.sqrt(scale_here[c])
                            y_here[c] = x_here[c] / (root * np.sqrt(root))
                    else:
                        for c in range(per_group):
                            y_here[c] = x_here[c] * scale_here[c] ** -beta


_lrn_forward_compiled = compiled(_lrn_forward)


def lrn_forward(x: Floats, size: int, alpha: float, beta: float, k: float, groups: int) -> tuple[Floats, Floats]:
    """The twin of tinyalex.layers.lrn.lrn_forward: one pass over x instead of size + 3 over temporary arrays."""
    x = channels_last(x)
    y, scale = np.empty_like(x), np.empty_like(x)
    numbers = [x.dtype.type(number) for number in (alpha, beta, k)]
    in_shares(lambda first, last: _lrn_forward_compiled(first, last, x, y, scale, size, *numbers, groups), len(x))
    return y.transpose(0, 3, 1, 2), scale.transpose(0, 3, 1, 2)


def _lrn_backward(first, last, dy, x, y, scale, dx, size, alpha, beta, groups):
    """dx (N, H, W, C) from dy, x, y, scale of that shape; the window is mirrored."""
    H, W, C = x.shape[1:]
    per_group = C // groups
    row = np.zeros(per_group + size - 1, x.dtype)
    before = size - 1 - size // 2
    terms = row[before : before + per_group]
    total = np.empty(per_group, x.dtype)
    factor = 2 * alpha * beta
    for n in range(first, last):
        for h in range(H):
            for w in range(W):
                for g in range(groups):
                    maps = slice(g * per_group, (g + 1) * per_group)
                    dy_here, x_here, y_here = dy[n, h, w, maps], x[n, h, w, maps], y[n, h, w, maps]
                    scale_here, dx_here = scale[n, h, w, maps], dx[n, h, w, maps]
                    for c in range(per_group):
                        terms[c] = dy_here[c] * y_here[c] / scale_here[c]
                        total[c] = 0
                    for shift in range(size):
                        neighbours = row[shift : shift + per_group]
                        for c in range(per_group):
                            total[c] += neighbours[c]
                    if beta == 0.75:
                        for c in range(per_group):
                            root = np.sqrt(scale_here[c])
                            dx_here[c] = dy_here[c] / (root * np.sqrt(root)) - factor * x_here[c] * total[c]
                    else:
                        for c in range(per_group):
                            dx_here[c] = dy_here[c] * scale_here[c] ** -beta - factor * x_here[c] * total[c]


_lrn_backward_compiled = compiled(_lrn_backward)


def lrn_backward(
    dy: Floats, x: Floats, y: Floats, scale: Floats, size: int, alpha: float, beta: float, groups: int
) -> Floats:
    """The twin of tinyalex.layers.lrn.lrn_backward: one pass over dy, x, y and scale."""
    dy, x, y, scale = (channels_last(array) for array in (dy, x, y, scale))
    dx = np.empty_like(x)
    numbers = [x.dtype.type(number) for number in (alpha, beta)]
    in_shares(
        lambda first, last: _lrn_backward_compiled(first, last, dy, x, y, scale, dx, size, *numbers, groups), len(x)
    )
    return dx.transpose(0, 3, 1, 2)
