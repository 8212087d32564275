"""What training takes of a GPU's memory, from the shapes alone: CuPy's pool, and what convolutions need of it.

Shapes are those of channels-last memory: x (N, H, W, C), w (OC, C/G, KH, KW). Each list has an entry for each array,
all of which are there at the same time.
"""

import math

from tinyalex.window import Window

WORKSPACE = 1 << 28  # bytes that the columns of a convolution may take: enough images at once to fill any GPU
UNIT = 512  # bytes: CuPy's pool hands out multiples of it

Shape = tuple[int, ...]


def conv_forward(x: Shape, w: Shape, window: Window, groups: int, itemsize: int) -> list[int]:
    """Bytes of each array that conv_forward makes and drops: kernels as a matrix, columns, and products."""
    return [itemsize * math.prod(w), *_tile(x, w, window, groups, itemsize)]


def conv_backward(
    x: Shape,
    w: Shape,
    window: Window,
    groups: int,
    itemsize: int,
    input_gradient: bool = True,  # noqa: ARG001, as its columns are needed in either case
) -> list[int]:
    """Bytes of each array that conv_backward makes and drops."""
    kernels = itemsize * math.prod(w)
    return [kernels, kernels, kernels // groups, *_tile(x, w, window, groups, itemsize)]


def _tile(x: Shape, w: Shape, window: Window, groups: int, itemsize: int) -> list[int]:
    """The columns of some images, and what they are multiplied to or with."""
    rows = math.prod(window.output_size(*x[1:3]))
    of_an_image = rows * math.prod(w[1:]) * groups * itemsize
    images = min(x[0], max(1, WORKSPACE // of_an_image))
    return [images * of_an_image, images * rows * w[0] * itemsize]


class _Region:
    """A part of a piece of a GPU's memory, between two others; with a neighbour that is free too it is one again."""

    def __init__(self, size: int, before: "_Region | None" = None, after: "_Region | None" = None) -> None:
        self.size, self.before, self.after, self.free = size, before, after, False


class Taken:
    """Memory of the pool, until nothing refers to it."""

    def __init__(self, pool: "PoolOnPaper", region: _Region) -> None:
        self._pool, self._region = pool, region

    def __del__(self) -> None:
        self._pool.give_back(self._region)


class PoolOnPaper:
    """CuPy's memory pool, played with sizes: the smallest free region that is large enough, cut to size, or a new one.

    held: bytes of all that was taken from the GPU, in use or not.
    """

    def __init__(self) -> None:
        self.held = 0
        self._free: list[_Region] = []

    def memory(self, wanted: int) -> Taken:
        """`wanted` bytes, rounded up to UNIT, that nobody uses."""
        size = max(1, -(-wanted // UNIT)) * UNIT
        fitting = [region for region in self._free if region.size >= size]
        if not fitting:
            self.held += size
            return Taken(self, _Region(size))
        region = min(fitting, key=lambda region: region.size)
        self._free.remove(region)
        region.free = False
        if region.size > size:
            rest = _Region(region.size - size, region, region.after)
            if rest.after:
                rest.after.before = rest
            region.size, region.after, rest.free = size, rest, True
            self._free.append(rest)
        return Taken(self, region)

    def give_back(self, region: _Region) -> None:
        """Let others have a region, with the neighbours of it that are free."""
        region.free = True
        if region.after and region.after.free:
            self._free.remove(region.after)
            self._join(region, region.after)
        if region.before and region.before.free:
            self._free.remove(region.before)
            region = self._join(region.before, region)
        self._free.append(region)

    @staticmethod
    def _join(one: _Region, two: _Region) -> _Region:
        one.size, one.after = one.size + two.size, two.after
        if one.after:
            one.after.before = one
        return one
