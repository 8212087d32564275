"""What training takes of a GPU's memory, from the shapes alone: what convolutions need, and CuPy's memory pool.

Shapes are those of channels-last memory: x (N, H, W, C), w (OC, C/G, KH, KW). Each list has an entry for each array;
all of them exist at the same time.
"""

import math

from tinyalex.backend.gpu.sums import PARTS
from tinyalex.window import Window

WORKSPACE = 1 << 28  # bytes that the patches of a convolution may take: of enough images to keep any GPU busy
UNIT = 512  # bytes: CuPy's pool hands out multiples of it

Shape = tuple[int, ...]


def conv_forward(x: Shape, w: Shape, window: Window, groups: int, itemsize: int) -> list[int]:  # noqa: ARG001
    """Bytes of each array that conv_forward allocates and frees: the kernels as matrices."""
    return [_kernel_matrices(w, window, itemsize)]


def conv_backward(
    x: Shape,  # noqa: ARG001
    w: Shape,
    window: Window,
    groups: int,  # noqa: ARG001
    itemsize: int,
    input_gradient: bool = True,  # noqa: ARG001
) -> list[int]:
    """Bytes of each array that conv_backward allocates and frees: kernels, their gradients, and partial sums of db."""
    kernels = _kernel_matrices(w, window, itemsize)
    return [kernels, kernels, PARTS * w[0] * itemsize]


def patches(x: Shape, window: Window, groups: int, itemsize: int) -> int:
    """Bytes that a convolution's patches take, in memory that the stream keeps: all of WORKSPACE, or what is enough."""
    N, H, W, C = x
    of_an_image = groups * math.prod(window.output_size(H, W)) * row_length(window, C // groups) * itemsize
    return min(N * of_an_image, max(of_an_image, WORKSPACE))


def images_at_once(N: int, of_an_image: int) -> int:
    """How many of N images have their patches, of so many bytes each, in WORKSPACE at the same time; at least one."""
    return max(1, min(N, WORKSPACE // max(1, of_an_image)))


def row_length(window: Window, CG: int) -> int:
    """Numbers in a row of patches: KH*KW*CG, rounded up to a multiple of 4, as cuBLAS is slow on other lengths."""
    return -(-cells(window) * CG // 4) * 4


def cells(window: Window) -> int:
    """KH*KW."""
    return window.kernel[0] * window.kernel[1]


def _kernel_matrices(w: Shape, window: Window, itemsize: int) -> int:
    return w[0] * row_length(window, w[1]) * itemsize


# ---------------------------------------------------------------- CuPy's memory pool


class _Region:
    """A part of a block of a GPU's memory, between two others. A free one is joined to the free ones next to it."""

    def __init__(self, size: int, before: "_Region | None" = None, after: "_Region | None" = None) -> None:
        self.size, self.before, self.after, self.free = size, before, after, False


class Taken:
    """Memory of the pool. It is free again when nothing refers to this object."""

    def __init__(self, pool: "SimulatedPool", region: _Region) -> None:
        self._pool, self._region = pool, region

    def __del__(self) -> None:
        self._pool.give_back(self._region)


class SimulatedPool:
    """CuPy's memory pool, with sizes instead of memory: the smallest free region that is large enough, cut to size.

    If there is none, a block of that size is taken from the GPU.
    held: bytes of all blocks that were taken from the GPU, in use or not.
    """

    def __init__(self) -> None:
        self.held = 0
        self._free: list[_Region] = []

    def memory(self, wanted: int) -> Taken:
        """`wanted` bytes, rounded up to UNIT, that are not in use."""
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
        """Free a region, and join it to the free ones next to it."""
        region.free = True
        if region.after and region.after.free:
            self._free.remove(region.after)
            self._join(region, region.after)
        if region.before and region.before.free:
            self._free.remove(region.before)
            region = self._join(region.before, region)
        self._free.append(region)

    def free_all_blocks(self) -> None:
        """Free each block that has no part in use."""
        whole = [region for region in self._free if region.before is None and region.after is None]
        for region in whole:
            self._free.remove(region)
            self.held -= region.size

    @staticmethod
    def _join(one: _Region, two: _Region) -> _Region:
        one.size, one.after = one.size + two.size, two.after
        if one.after:
            one.after.before = one
        return one
