"""Convolution with fewer multiplications: Winograd's minimal filtering, in all three directions.

The direct sum needs m*m*r*r multiplications for a tile of m x m outputs with an r x r kernel. But a convolution is a
product of polynomials, and such a product is determined by its values at n = m + r - 1 points along each axis. So
n*n multiplications are enough. With d the n x n pixels that a tile reads, w a kernel, and * entry by entry:

    y = A' [(G w G') * (B' d B)] A            (m, m)   the forward pass
    dw = G' [(A dy A') * (B' d B)] G          (r, r)   its transpose for the weights
    dx = B [(G w G') * (A dy A')] B'          (n, n)   its transpose for the pixels; overlapping tiles are added

B' d B and A dy A' are called "values at the points". With the sum over channels or tiles, "*" becomes one matrix
product for each of the n*n points, which BLAS computes. A 5 x 5 kernel needs 5.8 times fewer multiplications (27 x 27
outputs, m = 4), a 3 x 3 kernel 3.4 times fewer (13 x 13, m = 5). The transforms add 10 to 30 % to these.

A stride S is removed first. conv1, with an 11 x 11 kernel, 3 channels and stride 4, becomes a convolution with a 3 x 3
kernel, 48 channels and stride 1: the image is split into its 4 x 4 phases, which become channels.

In float32 the result is within about 5e-6 of the exact one (norm over norm), a direct sum within 3e-7. A NaN or an
infinity in a pixel makes all outputs NaN in the tiles that read the pixel.

Axes: N images, C channels, H, W height and width, OC kernels, G groups, P = n*n points; TH rows of TW tiles an image.

Source: S. Winograd, Arithmetic Complexity of Computations (1980); A. Lavin and S. Gray, Fast Algorithms for
Convolutional Neural Networks (2016).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import numpy as np

from tinyalex.backend.cpu.compiled import Floats
from tinyalex.backend.cpu.direct import chunks, group_slices, sum_of_rows, sum_of_shares
from tinyalex.backend.cpu.points import Transforms, from_points, to_points, transforms
from tinyalex.backend.cpu.registers import multiply, panel_width
from tinyalex.backend.memory import empty
from tinyalex.backend.threads import in_shares
from tinyalex.window import Pair, Window

SIZES = (6, 7, 8)  # values of n to choose from
ROWS = 64  # each matrix product has at least so many rows, which are tiles of several images
FEWEST_MAPS = 16  # input and output maps of a group; with fewer, the matrix products are too thin to be fast
KERNEL_COST = 6  # to transform one of a kernel's r x r numbers, compared with one tile; repeated in each call
LONG_ROW = 128  # terms of a sum; for longer sums the products of registers.py are faster than those of BLAS
PRODUCT = 1 << 18  # numbers in a part of dw's products: small enough to be added while it is in cache


class Plan(NamedTuple):
    """How a convolution is divided: `stride` phases, r x r kernels, and (TH, TW) `tiles` of m x m outputs an image."""

    stride: int
    r: int
    m: int
    tiles: Pair
    pad: Pair

    @property
    def n(self) -> int:
        """The number of points along an axis of a tile."""
        return self.m + self.r - 1

    @property
    def tiles_an_image(self) -> int:
        """TH*TW."""
        return self.tiles[0] * self.tiles[1]

    @property
    def edge(self) -> Pair:
        """The padding that the transform adds. With a stride it is (0, 0), as `_phases` has added the padding."""
        return self.pad if self.stride == 1 else (0, 0)


_allowed: ContextVar[Callable[[Plan], bool]] = ContextVar("winograd", default=lambda _: True)


@contextmanager
def winograd_where(allowed: Callable[[Plan], bool]) -> Iterator[None]:
    """Within the block convolutions use Winograd only where allowed(plan) is true; to measure what it saves."""
    token = _allowed.set(allowed)
    try:
        yield
    finally:
        _allowed.reset(token)


def plan(x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window, groups: int) -> Plan | None:
    """The plan with the fewest multiplications for x (N, H, W, C) and w (OC, C/G, KH, KW); None for the direct sum.

    None if no plan is possible, and if there are too few images to repay the transform of the kernels.
    """
    N, H, W, _ = x_shape
    possible = plans(x_shape, w_shape, window, groups, SIZES)
    if not possible:
        return None
    best = min(possible, key=lambda plan: plan.tiles_an_image * plan.n**2)
    transformed = best.n**2 * best.stride**2 * (N * best.tiles_an_image + KERNEL_COST * best.r**2)
    return best if transformed < N * math.prod(window.output_size(H, W)) * math.prod(w_shape[2:]) else None


def plans(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], window: Window, groups: int, sizes: tuple[int, ...]
) -> list[Plan]:
    """A plan for each number n of `sizes`; none if the kernel, without its stride, is not 3 x 3 or 5 x 5, or few maps.

    x (N, H, W, C), w (OC, C/G, KH, KW).
    """
    _, H, W, _ = x_shape
    OC, CG, KH, KW = w_shape
    S = window.stride[0]
    r = -(-KH // S)
    if KH != KW or window.stride != (S, S) or r not in (3, 5) or (S > 1 and groups > 1):
        return []
    if min(CG * S * S, OC // groups) < FEWEST_MAPS:
        return []
    OH, OW = window.output_size(H, W)
    tiles = [n - r + 1 for n in sizes if n > r]
    possible = [Plan(S, r, m, (-(-OH // m), -(-OW // m)), window.pad) for m in tiles]
    return [plan for plan in possible if _allowed.get()(plan)]


# ---------------------------------------------------------------- the three directions


def forward(x: Floats, w: Floats, y: Floats, window: Window, groups: int, finish: Callable[[Floats], None]) -> None:
    """Like tinyalex.backend.cpu.direct.forward, with S*S*P*TH*TW / (OH*OW*KH*KW) times its multiplications.

    It works on a few images at a time. Bytes: their values at the points, two to four times as many numbers as in x
    and y, stay in the shared cache. The transformed kernels, P / (r*r) times the size of w, are read once each time.
    """
    work = _Work(x, w, window, groups)
    cut, OC = work.cut, len(w)
    kernels = _at_points(w, cut, groups, work.matrices)

    def share(first: int, last: int) -> None:
        points_of_x, points_of_y = (work.points(maps, last - first) for maps in (work.maps_seen, OC))
        for images in chunks(first, last, work.at_once):
            seen, sums = _phases(x[images], cut, y.shape[1:3]), y[images]
            rows = len(seen) * cut.tiles_an_image
            to_points(seen, points_of_x, work.matrices.to_points, cut.n, cut.m, cut.edge, cut.tiles)
            _multiply(points_of_x, kernels, points_of_y, rows, groups)
            from_points(points_of_y, sums, work.matrices.outputs, cut.n, cut.m, (0, 0), cut.tiles)
            finish(sums.reshape(-1, OC))

    in_shares(share, len(x))


def backward(dy: Floats, x: Floats, w: Floats, dx: Floats | None, window: Window, groups: int) -> tuple[Floats, Floats]:
    """Like tinyalex.backend.cpu.direct.backward. A dy A' is computed once, for dw and dx."""
    work = _Work(x, w, window, groups)
    cut, OC, P = work.cut, len(w), work.cut.n**2
    kernels = None if dx is None else _at_points(w, cut, groups, work.matrices, transposed=True)

    def share(first: int, last: int) -> tuple[Floats, Floats]:
        points_of_x, points_of_y = (work.points(maps, last - first) for maps in (work.maps_seen, OC))
        dkernels, db = empty((P, work.maps_seen // groups, OC), x.dtype), np.zeros(OC, x.dtype)
        dkernels[...] = 0
        for images in chunks(first, last, work.at_once):
            seen, slopes = _phases(x[images], cut, dy.shape[1:3]), dy[images]
            rows = len(seen) * cut.tiles_an_image
            db += sum_of_rows(slopes.reshape(-1, OC))
            to_points(seen, points_of_x, work.matrices.to_points, cut.n, cut.m, cut.edge, cut.tiles)
            to_points(slopes, points_of_y, work.matrices.of_outputs, cut.m, cut.m, (0, 0), cut.tiles)
            for maps_in, maps_out in work.maps:
                of_x, of_y = points_of_x[:, :rows, maps_in], points_of_y[:, :rows, maps_out]
                for at in chunks(0, P, max(1, PRODUCT * groups // dkernels[0].size)):
                    dkernels[at, :, maps_out] += of_x[at].transpose(0, 2, 1) @ of_y[at]
            if dx is not None and kernels is not None:
                _multiply(points_of_y, kernels, points_of_x, rows, groups)  # x at these points is no longer needed
                dseen = dx[images] if cut.stride == 1 else empty(seen.shape, x.dtype)
                from_points(points_of_x, dseen, work.matrices.from_points, cut.n, cut.m, cut.edge, cut.tiles)
                if cut.stride > 1:
                    _from_phases(dseen, dx[images], cut)
        return work.matrices.kernel.T @ dkernels.reshape(P, -1), db  # (r*r, S*S*C/G*OC)

    dw, db = sum_of_shares(in_shares(share, len(x)))
    return _kernels_of_phases(dw, w.shape, cut), db


class _Work:
    """What both passes need first: the plan, its matrices, the maps of each group, and the number of images at once."""

    def __init__(self, x: Floats, w: Floats, window: Window, groups: int) -> None:
        found = plan(x.shape, w.shape, window, groups)
        assert found is not None  # conv.py calls this module only if there is a plan
        self.cut, self.dtype = found, x.dtype
        self.matrices = transforms(found.m, found.r, str(x.dtype))
        self.maps_seen = x.shape[3] * found.stride**2
        self.maps = [*zip(group_slices(self.maps_seen, groups), group_slices(len(w), groups), strict=True)]
        self.at_once = at_once(found, self.maps_seen, len(w), groups)

    def points(self, maps: int, images: int) -> Floats:
        """Memory for the values at the points, for as many of the images as are computed at once."""
        return empty(points_shape(self.cut, self.at_once, images, maps), self.dtype)


def at_once(cut: Plan, maps_seen: int, maps_made: int, groups: int) -> int:
    """The number of images to compute at once.

    Their values at the points take about as much memory as the transformed kernels, which are read once for these
    images. There are at least enough images for matrix products of about ROWS rows.
    """
    as_large = maps_seen * maps_made // groups // (cut.tiles_an_image * (maps_seen + maps_made))
    return max(1, ROWS // cut.tiles_an_image, as_large)


def points_shape(cut: Plan, at_once: int, images: int, maps: int) -> tuple[int, int, int]:
    """The shape of an array for their values at the points: (P, tiles or one more, maps).

    The number of tiles is made odd. With an even number, the same entry of all P planes, which are read together, can
    lie a power of two apart; then they evict each other from the cache.
    """
    return cut.n**2, min(at_once, images) * cut.tiles_an_image | 1, maps


# ---------------------------------------------------------------- phases of a stride


def _at_points(w: Floats, cut: Plan, groups: int, matrices: Transforms, transposed: bool = False) -> Floats:
    """G w G' of w (OC, C/G, KH, KW), for each phase: the kernels that `_multiply` takes, from x to y or the way back.

    Where a row is long enough they are laid out in panels, (P, columns/width, row, width), else as (P, groups, row,
    columns of a group). A row has the S*S*C/G maps of x, the columns are the maps of y; `transposed` swaps the two.
    """
    phases = phases_of_kernels(w, cut)  # (OC, S*S*C/G, r*r)
    kernels = phases.reshape(groups, -1, *phases.shape[1:])  # (G, columns, row, r*r)
    if transposed:
        kernels = kernels.transpose(0, 2, 1, 3)
    _, columns, row, cells = kernels.shape
    width = panel_width(w.dtype)
    if row >= LONG_ROW and columns % width == 0:
        kernels = kernels.reshape(-1, width, row, cells)  # (G*columns/width, width, row, r*r)
    matrix = kernels.transpose(3, 0, 2, 1).reshape(cells, -1)
    points = empty((cut.n**2, matrix.shape[1]), w.dtype)
    in_shares(lambda first, last: np.matmul(matrices.kernel[first:last], matrix, out=points[first:last]), len(points))
    return points.reshape(len(points), len(kernels), row, -1)


def _multiply(points: Floats, kernels: Floats, into: Floats, rows: int, groups: int) -> None:
    """At each point: the first `rows` rows of into = those of points times the kernels; each group its own maps."""
    if kernels.shape[2] >= LONG_ROW and kernels.shape[3] == panel_width(kernels.dtype):
        multiply(points, kernels, into, rows)
        return
    maps = zip(group_slices(points.shape[2], groups), group_slices(into.shape[2], groups), strict=True)
    for g, (maps_in, maps_out) in enumerate(maps):
        np.matmul(points[:, :rows, maps_in], kernels[:, g], out=into[:, :rows, maps_out])


def phases_of_kernels(w: Floats, cut: Plan) -> Floats:
    """w (OC, C/G, KH, KW) -> its S x S phases as channels, (OC, S*S*C/G, r*r); 0 where a phase has fewer cells."""
    OC, CG, KH, KW = w.shape
    S, r = cut.stride, cut.r
    if S == 1:
        return np.ascontiguousarray(w).reshape(OC, CG, r * r)
    whole = np.zeros((OC, CG, r * S, r * S), w.dtype)
    whole[:, :, :KH, :KW] = w
    return whole.reshape(OC, CG, r, S, r, S).transpose(0, 3, 5, 1, 2, 4).reshape(OC, -1, r * r)


def _kernels_of_phases(matrix: Floats, w_shape: tuple[int, ...], cut: Plan) -> Floats:
    """Kernels of phases (r*r, S*S*C/G*OC) -> kernels (OC, C/G, KH, KW)."""
    OC, CG, KH, KW = w_shape
    S, r = cut.stride, cut.r
    whole = matrix.reshape(r, r, S, S, CG, OC).transpose(5, 4, 0, 2, 1, 3).reshape(OC, CG, r * S, r * S)
    return np.ascontiguousarray(whole[:, :, :KH, :KW])


def _phases(x: Floats, cut: Plan, outputs: tuple[int, int]) -> Floats:
    """x (n, H, W, C) -> (n, OH + r - 1, OW + r - 1, S*S*C): its S x S phases, padded, as channels. S = 1: x itself."""
    S, (top, left) = cut.stride, cut.pad
    if S == 1:
        return x
    rows, cols = (size + cut.r - 1 for size in outputs)
    canvas = empty((len(x), rows * S, cols * S, x.shape[3]), x.dtype)
    canvas[...] = 0
    seen = x[:, : rows * S - top, : cols * S - left]
    canvas[:, top : top + seen.shape[1], left : left + seen.shape[2]] = seen
    phases = empty((len(x), rows, cols, S, S, x.shape[3]), x.dtype)
    phases[...] = canvas.reshape(len(x), rows, S, cols, S, -1).transpose(0, 1, 3, 2, 4, 5)
    return phases.reshape(len(x), rows, cols, -1)


def _from_phases(phases: Floats, dx: Floats, cut: Plan) -> None:
    """Fill dx (n, H, W, C) from the gradients of its phases, the inverse of _phases; 0 where no kernel reads x."""
    S, (top, left) = cut.stride, cut.pad
    n, rows, cols, _ = phases.shape
    canvas = phases.reshape(n, rows, cols, S, S, -1).transpose(0, 1, 3, 2, 4, 5).reshape(n, rows * S, cols * S, -1)
    seen = canvas[:, top : top + dx.shape[1], left : left + dx.shape[2]]
    dx[...] = 0
    dx[:, : seen.shape[1], : seen.shape[2]] = seen
