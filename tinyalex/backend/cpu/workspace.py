"""The temporary arrays of the convolution twins, in bytes, computed from the shapes alone.

Each function returns one number for each array, in the order in which a thread allocates them. All these arrays can
exist at the same time, those of all threads too.
Shapes are in channels-last order: x (N, H, W, C); w (OC, C/G, KH, KW).
"""

import math

from tinyalex.backend.cpu import direct, thin, winograd
from tinyalex.backend.threads import shares
from tinyalex.window import Window

Shape = tuple[int, ...]


def conv_forward(x: Shape, w: Shape, window: Window, groups: int, itemsize: int) -> list[int]:
    """Bytes of each temporary array of conv_forward."""
    if thin.suits(x, w, window, groups):
        places = [8 * (last - first) * math.prod(window.output_size(*x[1:3])) for first, last in shares(x[0])]
        return [*_surrounded(x, window, itemsize, x[3]), *places]
    cut = winograd.plan(x, w, window, groups)
    if cut is None:
        return _direct(x, w, window, groups, itemsize, x[0] * window.output_size(*x[1:3])[0])
    maps_seen, points = x[3] * cut.stride**2, cut.n**2
    return [itemsize * points * maps_seen // groups * w[0], *_points(x, w, window, cut, groups, itemsize)]


def conv_backward(
    x: Shape, w: Shape, window: Window, groups: int, itemsize: int, input_gradient: bool = True
) -> list[int]:
    """Bytes of each temporary array of conv_backward."""
    if not input_gradient and thin.suits(x, w, window, groups):
        sums = [itemsize * (math.prod(w[1:]) + 1) * w[0]] * len(shares(x[0]))
        return [*_surrounded(x, window, itemsize, x[3] + 1), *sums]
    cut = winograd.plan(x, w, window, groups)
    if cut is None:
        sums = [itemsize * math.prod(w)] * len(shares(x[0]))
        apart = [itemsize * math.prod(x) // groups] * groups if groups > 1 and input_gradient else []
        rows = x[0] * window.output_size(*x[1:3])[0]
        kernels, *others = _direct(x, w, window, groups, itemsize, rows)
        return [kernels, *apart, *sums, *others]
    kernels = itemsize * cut.n**2 * x[3] * cut.stride**2 // groups * w[0]
    of_each_share = [kernels] * len(shares(x[0]))
    return [kernels] * input_gradient + _points(x, w, window, cut, groups, itemsize) + of_each_share


def _points(x: Shape, w: Shape, window: Window, cut: winograd.Plan, groups: int, itemsize: int) -> list[int]:
    """For each thread, the points of x and the points of y; with a stride also x on its canvas, and its phases."""
    maps = x[3] * cut.stride**2, w[0]
    at_once = winograd.at_once(cut, *maps, groups)
    of_an_image = maps[0] * math.prod(size + cut.r - 1 for size in window.output_size(*x[1:3]))
    found = []
    for first, last in shares(x[0]):
        found += [math.prod(winograd.points_shape(cut, at_once, last - first, count)) for count in maps]
        found += [min(at_once, last - first) * of_an_image] * 2 * (cut.stride > 1)
    return [itemsize * numbers for numbers in found]


def _surrounded(x: Shape, window: Window, itemsize: int, channels: int) -> list[int]:
    """For each thread, its images among zeros."""
    OH, OW = window.output_size(*x[1:3])
    rows, cols = (OH - 1) * window.stride[0] + window.kernel[0], (OW - 1) * window.stride[1] + window.kernel[1]
    return [itemsize * (last - first) * rows * cols * channels for first, last in shares(x[0])]


def _direct(x: Shape, w: Shape, window: Window, groups: int, itemsize: int, rows: int) -> list[int]:
    """The kernel matrices, a copy of x for each group, and one tile of patches for each thread."""
    width = window.output_size(*x[1:3])[1] * math.prod(w[1:])
    at_once = max(1, direct.TILE // width)
    apart = [itemsize * math.prod(x) // groups] * groups if groups > 1 else []
    tiles = [itemsize * min(at_once, last - first) * width for first, last in shares(rows)]
    return [itemsize * math.prod(w), *apart, *tiles]
