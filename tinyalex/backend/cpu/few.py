"""Convolution of one image or a few, in inference: the threads divide one image, and sums stay in registers.

In a batch each thread has images of its own, and all of them share the kernels, laid out or transformed. Here the
threads divide the kernels of one image, or its rows, whichever is more to read. No thread needs another's results, so a
layer wakes the threads once. Two algorithms compute a layer, with the same product (registers.py):

direct: a row of the product is the patch of one output. It is read from the padded image itself, in KH runs of KW*C
    numbers, so there is no im2col. N*OH*OW*OC*KH*KW*C/G multiply-adds.
Winograd (winograd.py), at n x n points: two to six times fewer, but the kernels are transformed for this image alone.
    So fewer points than in a batch are best.

Each panel of kernels is laid out, and transformed, in cache when its turn comes. To keep the result from call to call
was slower: transformed kernels are three to seven times as large as the kernels, must come from memory for each image,
and the kernels must be read beside them, to see that nobody has changed them.

Axes: N images, C channels, H, W height and width, OC kernels, G groups, P = n*n points; TH rows of TW tiles an image.
"""

import math
from functools import cache, partial
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend.cpu.choice import choose
from tinyalex.backend.cpu.compiled import Floats, channels_last, compiled
from tinyalex.backend.cpu.points import from_points, to_points, transforms
from tinyalex.backend.cpu.registers import Kernels, place, product
from tinyalex.backend.cpu.thin import places
from tinyalex.backend.cpu.winograd import Plan, phases_of_kernels, plans
from tinyalex.backend.memory import empty
from tinyalex.backend.threads import WORTH_A_THREAD, in_shares, thread_count
from tinyalex.window import Pair, Window

MOST_IMAGES = 8
SIZES = (4, 5, 6, 7, 8)  # values of n to choose from
LAY_OUT = 45  # to lay out a number of the kernels takes as long as so many multiply-adds of the product
OF_PIXELS, OF_KERNELS = 3, 2  # as does a multiply-add of these transforms
WORTH_A_TRIAL = 1.3  # algorithms for which the rule expects at most so much more time than for the best


def forward(x: Floats, w: Floats, b: Floats, window: Window, groups: int, relu: bool) -> Floats:
    """conv_forward of x (N, C, H, W) -> (N, OC, OH, OW), for at most MOST_IMAGES images."""
    N, C, H, W = x.shape
    possible: dict[str, Plan | None] = {"direct": None}
    possible |= {f"winograd {plan.n}": plan for plan in plans((N, H, W, C), w.shape, window, groups, SIZES)}
    costs = {name: cost(plan, x.shape, w.shape, window) for name, plan in possible.items()}
    best = min(costs, key=lambda name: costs[name])
    tried = {
        name: partial(computed, plan, x, w, b, window, groups, relu)
        for name, plan in possible.items()
        if costs[name] <= WORTH_A_TRIAL * costs[best]
    }
    case = f"{x.shape} {w.shape} {tuple(window)} {groups} {x.dtype} {thread_count()}"
    return tried[choose(case, best, tried)]()


def cost(plan: Plan | None, x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window) -> float:
    """The rule: the time of a plan, or of the direct sum, in multiply-adds of the product. x (N, C, H, W)."""
    N, C = x_shape[:2]
    OC, numbers = w_shape[0], math.prod(w_shape)
    if plan is None:
        return numbers * (N * math.prod(window.output_size(*x_shape[2:])) + LAY_OUT)
    n, m, S, tiles = plan.n, plan.m, plan.stride, N * plan.tiles_an_image
    products = n * n * S * S * w_shape[1] * OC * (tiles + OF_KERNELS * plan.r**2)
    sums = (n * m + n * n) * (C * S * S + OC) * tiles  # of n terms each
    return products + LAY_OUT * numbers + OF_PIXELS * n * sums


def computed(plan: Plan | None, x: Floats, w: Floats, b: Floats, window: Window, groups: int, relu: bool) -> Floats:
    """The same by Winograd's algorithm with this plan, or by the direct sum."""
    y = empty((len(x), *window.output_size(*x.shape[2:]), len(w)), x.dtype)
    if plan is None:
        _direct(x, w, b, y, window, groups, relu)
    else:
        _winograd(x, w, b, y, plan, groups, relu)
    return y.transpose(0, 3, 1, 2)


# ---------------------------------------------------------------- the direct sum


def _direct(x: Floats, w: Floats, b: Floats, y: Floats, window: Window, groups: int, relu: bool) -> None:
    """Fill y (N, OH, OW, OC) by the direct sum."""
    OC, CG, KH, KW = w.shape
    C, (OH, OW), (SH, SW) = CG * groups, y.shape[1:3], window.stride
    kernels = Kernels(np.ascontiguousarray(w).reshape(OC, CG, -1), groups, np.empty((0, KH * KW), w.dtype))
    rows, cols = (OH - 1) * SH + KH, (OW - 1) * SW + KW
    pixels = _padded(x, window.pad, rows, cols, 1)
    starts = _starts((len(x), OH, OW), (rows * cols * C, SH * cols * C, SW * C))
    steps = (KH, cols * C, KW, C, CG, kernels.room)
    if groups == 1 and kernels.room == C:  # then a row of a patch is one run
        steps = (KH, cols * C, 1, 0, KW * C, KW * C)
    outputs = y.reshape(1, -1, OC)

    def share_of_kernels(first: int, last: int) -> None:
        product(pixels, starts, (0, CG), steps, kernels, b, relu, outputs, 0, first, last)

    def share_of_outputs(first: int, last: int) -> None:
        into = outputs[:, first:last]
        product(pixels, starts[first:last], (0, CG), steps, kernels, b, relu, into, 0, 0, kernels.panels)

    if _by_kernels(kernels, pixels.size):
        in_shares(share_of_kernels, kernels.panels)
    else:
        in_shares(share_of_outputs, len(starts))


@cache
def _starts(counts: tuple[int, ...], strides: tuple[int, ...]) -> NDArray[np.int64]:
    """Where the patch of each output begins, kept from call to call; counts and strides of each axis."""
    return places(*zip(counts, strides, strict=True))


def _by_kernels(kernels: Kernels, numbers_of_x: int) -> bool:
    """Whether the threads divide the kernels, and not the rows: if kernels are more to read, and divide evenly."""
    return kernels.w.size > numbers_of_x and kernels.panels % thread_count() == 0


# ---------------------------------------------------------------- Winograd


def _winograd(x: Floats, w: Floats, b: Floats, y: Floats, cut: Plan, groups: int, relu: bool) -> None:
    """Fill y (N, OH, OW, OC) by Winograd's algorithm."""
    N, OH, OW, OC = y.shape
    S, m, n = cut.stride, cut.m, cut.n
    matrices = transforms(m, cut.r, str(x.dtype))
    kernels = Kernels(phases_of_kernels(w, cut), groups, matrices.kernel)
    CG, count = kernels.w.shape[1], kernels.panels // groups
    seen = channels_last(x) if S == 1 else _padded(x, cut.pad, OH + cut.r - 1, OW + cut.r - 1, S)
    zeros = np.zeros(OC, x.dtype)

    def compute(images: slice, tops: slice, first: int, last: int) -> None:
        """The outputs of some rows of tiles of some images, for the panels first ... last - 1."""
        groups_in = slice(first // count, (last - 1) // count + 1)
        part = seen[images, ..., groups_in.start * CG : groups_in.stop * CG]
        part = np.ascontiguousarray(part)
        tiles, C = (tops.stop - tops.start, cut.tiles[1]), part.shape[-1]
        T = len(part) * math.prod(tiles)
        left, right = kernels.column(first), kernels.column(last)
        rows = slice(tops.start * m, min(OH, tops.stop * m))
        shapes = (n * n, T | 1, C), (n * n, T | 1, right - left), (len(part), rows.stop - rows.start, OW, right - left)
        of_x, of_y, sums = _empty_together(shapes, x.dtype)
        edge = cut.edge[0] - tops.start * m, cut.edge[1]
        to_points(part, of_x, matrices.to_points, n, m, edge, tiles)
        starts = _starts((T,), (C,)) - groups_in.start * CG
        product(of_x, starts, ((T | 1) * C, CG), (1, 0, 1, 0, CG, 0), kernels, zeros, False, of_y, left, first, last)
        from_points(of_y, sums, matrices.outputs, n, m, (0, 0), tiles)
        for image, of_image in zip(y[images, rows], sums, strict=True):
            place(of_image.reshape(-1, right - left), b, relu, image.reshape(-1, OC), left)

    every, all_images, all_rows = kernels.panels, slice(0, N), slice(0, cut.tiles[0])
    if _by_kernels(kernels, x.size):
        in_shares(lambda first, last: compute(all_images, all_rows, first, last), every)
    elif N == 1:
        in_shares(lambda first, last: compute(all_images, slice(first, last), 0, every), cut.tiles[0])
    else:
        in_shares(lambda first, last: compute(slice(first, last), all_rows, 0, every), N)


def _empty_together(shapes: tuple[tuple[int, ...], ...], dtype: np.dtype[Any]) -> list[Floats]:
    """Arrays in one piece of memory: each request to the pool takes five microseconds or more."""
    ends = list(accumulate(math.prod(shape) for shape in shapes))
    memory = empty((ends[-1],), dtype)
    return [memory[end - math.prod(shape) : end].reshape(shape) for end, shape in zip(ends, shapes, strict=True)]


# ---------------------------------------------------------------- the image


def _padded(x: Floats, pad: Pair, rows: int, cols: int, S: int) -> Floats:
    """x (N, C, H, W) -> (N, rows, cols, S*S*C): with zeros around it, channels last, its S x S phases as channels."""
    N, C = x.shape[:2]
    canvas = empty((N, rows, cols, S, S, C), x.dtype)
    lines = x.transpose(0, 2, 3, 1)  # (N, H, W, C)

    def share(first: int, last: int) -> None:
        _pad_compiled(lines, *pad, canvas, first, last)

    in_shares(share, N * rows, max(1, WORTH_A_THREAD // (cols * S * S * C)))
    return canvas.reshape(N, rows, cols, -1)


def _pad(x, PH, PW, canvas, first, last):
    """Fill rows n*rows + r = first ... last - 1: canvas[n, r, q, i, j] = x[n, r*S + i - PH, q*S + j - PW], or 0."""
    H, W = x.shape[1:3]
    rows, cols, S, _, C = canvas.shape[1:]
    for row in range(first, last):
        n, r = row // rows, row % rows
        for q in range(cols):
            for i in range(S):
                for j in range(S):
                    h, w, pixel = r * S + i - PH, q * S + j - PW, canvas[n, r, q, i, j]
                    if 0 <= h < H and 0 <= w < W:
                        for c in range(C):
                            pixel[c] = x[n, h, w, c]
                    else:
                        pixel[:] = 0


_pad_compiled = compiled(_pad)
