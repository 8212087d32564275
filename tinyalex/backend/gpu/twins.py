"""All twins for CuPy arrays on a GPU but those of convolution, under the names of their definitions.

Axes: N images, C channels, H, W height and width, OH, OW output size, D features, U units, G groups.

Images lie channels last in memory, whatever comes in: the threads of a warp take neighbouring channels, so they read
and write memory in long runs. Everything is queued on the current stream of the current device, which must be that of
the arrays, and nothing waits for it. Bytes are counted for float32, each number once.
"""

from collections.abc import Sequence

import numpy as np

from tinyalex.backend.gpu.launch import (
    PARAMETERS,
    THREADS,
    Array,
    block_of,
    channels_last,
    cupy,
    geometry,
    module,
    per_line,
    per_number,
    small,
    start,
)
from tinyalex.backend.gpu.sums import sum_of_rows
from tinyalex.errors import ShapeError
from tinyalex.window import Window

SHARED = 48 << 10  # bytes of shared memory that a block may have on any GPU
RUNS = 8  # of maps for each thread: enough to hide the set-up of a block
UPDATE_BLOCKS = 1024  # for each parameter: enough for the largest to fill a GPU

# ---------------------------------------------------------------- fully connected


def linear_forward(x: Array, w: Array, b: Array) -> Array:
    """The twin of tinyalex.layers.linear.linear_forward: N*D*U multiply-adds in one product, w read as it lies."""
    y = cupy().matmul(x, w.T)
    y += b
    return y


def linear_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """The twin of tinyalex.layers.linear.linear_backward: two products of N*D*U multiply-adds, nothing is copied."""
    xp = cupy()
    return xp.matmul(dy, w), xp.matmul(dy.T, x), sum_of_rows(dy)


# ---------------------------------------------------------------- pooling and normalisation


def max_pool_forward(x: Array, window: Window) -> tuple[Array, Array]:
    """The twin of tinyalex.layers.pool.max_pool_forward: x is read once, but for the cache; y and argmax are written.

    5 bytes for each result, and 4 for each number of x. Two comparisons for each cell, four channels a load.
    """
    x = channels_last(x)
    N, H, W, C = x.shape
    shape, cell = (N, *window.output_size(H, W), C), window.number_dtype
    y, argmax = cupy().empty(shape, x.dtype), cupy().empty(shape, cell)
    per_line("max_pool_forward", N * shape[1], C, x, y, argmax, *geometry(H, W, C, window), cell=cell)
    return y.transpose(0, 3, 1, 2), argmax.transpose(0, 3, 1, 2)


def maxima(x: Array, window: Window) -> Array:
    """The twin of tinyalex.layers.pool.maxima; it writes argmax too, a byte for each result."""
    return max_pool_forward(x, window)[0]


def max_pool_backward(dy: Array, argmax: Array, x_shape: tuple[int, ...], window: Window) -> Array:
    """The twin of tinyalex.layers.pool.max_pool_backward: each pixel gathers from the few windows that see it.

    dy and argmax are read once, but for the cache, and dx is written once, 4 bytes a number, so it needs no zeros
    first. Which windows see a pixel is computed once for its line and once for its column, for all channels.
    """
    N, C, H, W = x_shape
    dy, argmax, dx = channels_last(dy), channels_last(argmax), cupy().empty((N, H, W, C), dy.dtype)
    per_line("max_pool_backward", N * H, C, dy, argmax, dx, *geometry(H, W, C, window), cell=argmax.dtype.name)
    return dx.transpose(0, 3, 1, 2)


def average_pool_forward(x: Array, window: Window) -> Array:
    """The twin of tinyalex.layers.pool.average_pool_forward: x is read once, but for the cache; y is written."""
    x = channels_last(x)
    N, H, W, C = x.shape
    y = cupy().empty((N, *window.output_size(H, W), C), x.dtype)
    per_line("average_pool_forward", N * y.shape[1], C, x, y, *geometry(H, W, C, window))
    return y.transpose(0, 3, 1, 2)


def average_pool_backward(dy: Array, x_shape: tuple[int, ...], window: Window) -> Array:
    """The twin of tinyalex.layers.pool.average_pool_backward: each pixel gathers from the few windows that see it."""
    N, C, H, W = x_shape
    dy, dx = channels_last(dy), cupy().empty((N, H, W, C), dy.dtype)
    per_line("average_pool_backward", N * H, C, dy, dx, *geometry(H, W, C, window))
    return dx.transpose(0, 3, 1, 2)


def lrn_forward(x: Array, size: int, alpha: float, beta: float, k: float, groups: int) -> Array:
    """The twin of tinyalex.layers.lrn.lrn_forward: x is read once, y written once, 8 bytes a number.

    The squares lie in shared memory, where each is read `size` times; the power 0.75 is two square roots.
    Raises ShapeError for more maps in a group than fit there, 12,000 in float32.
    """
    x = channels_last(x)
    y = cupy().empty(x.shape, x.dtype)
    _start_lrn("lrn_forward", (x, y), size, (alpha, beta, k), groups)
    return y.transpose(0, 3, 1, 2)


def lrn_backward(dy: Array, x: Array, size: int, alpha: float, beta: float, k: float, groups: int) -> Array:
    """The twin of tinyalex.layers.lrn.lrn_backward: dy and x are read once, dx written once, 12 bytes a number.

    Each scale and each term of the sum is computed once and lies in shared memory, where it is read `size` times:
    2*size additions, two square roots and a division for each number.
    Raises ShapeError for more maps in a group than fit there, 4,000 in float32.
    """
    dy, x = channels_last(dy), channels_last(x)
    dx = cupy().empty(x.shape, x.dtype)
    _start_lrn("lrn_backward", (dy, x, dx), size, (alpha, beta, k), groups)
    return dx.transpose(0, 3, 1, 2)


def _start_lrn(name: str, arrays: Sequence[Array], size: int, settings: tuple[float, ...], groups: int) -> None:
    """Start a kernel of the normalisation on arrays (N, H, W, C). A run is the maps of one group at one pixel."""
    x = arrays[0]
    CG = x.shape[3] // groups
    most, shared = runs_at_once(name, CG, size, x.itemsize)
    runs = x.size // CG
    start(name, (-(-runs // most),), block_of(CG), *arrays, runs, *small(most, CG, size), *settings, shared=shared)


def runs_at_once(name: str, CG: int, size: int, itemsize: int) -> tuple[int, int]:
    """How many runs of CG maps a block takes, and the bytes of shared memory for them.

    The forward pass keeps the squares of a run with size - 1 zeros, the backward pass also terms with as many zeros,
    and the direct parts of dx.
    """
    kept = itemsize * {"lrn_forward": CG + size - 1, "lrn_backward": 2 * (CG + size - 1) + CG}[name]
    if kept > SHARED:
        raise ShapeError(
            f"{name}: got {CG} maps in a group: expected what fits in {SHARED} bytes; set TINYALEX_KERNELS=reference"
        )
    most = min(RUNS * block_of(CG)[1], SHARED // kept)
    return most, most * kept


# ---------------------------------------------------------------- number by number


def relu_forward(x: Array) -> Array:
    """The twin of tinyalex.layers.activations.relu_forward: 8 bytes a number."""
    return _elementwise("relu_forward", x)


def relu_backward(dy: Array, y: Array) -> Array:
    """The twin of tinyalex.layers.activations.relu_backward: 12 bytes a number."""
    return _elementwise("relu_backward", dy, y)


def masked(x: Array, mask: Array, factor: float) -> Array:
    """The twin of tinyalex.layers.dropout.masked: 9 bytes a number."""
    return _elementwise("masked", x, mask, factor=float(factor))


def _elementwise(name: str, *arrays: Array, **numbers: float) -> Array:
    """A new array of the shape and dtype of the first, from numbers that lie at the same place in all of them."""
    if images := arrays[0].ndim == 4:
        arrays = tuple(array.transpose(0, 2, 3, 1) for array in arrays)
    arrays = tuple(array if array.flags.c_contiguous else cupy().ascontiguousarray(array) for array in arrays)
    result = cupy().empty(arrays[0].shape, arrays[0].dtype)
    per_number(name, result.size, *arrays, result, result.size, *numbers.values())
    return result.transpose(0, 3, 1, 2) if images else result


def sgd_update(w: Array, v: Array, g: Array, lr: float, momentum: float, decay: float) -> None:
    """The twin of tinyalex.optim.sgd_update: one pass, 20 bytes a weight, no temporary arrays."""
    in_one_piece = [cupy().ascontiguousarray(array) for array in (w, v, g)]
    per_number("sgd_update", w.size, *in_one_piece, w.size, float(lr), float(momentum), float(decay))
    for array, changed in zip((w, v), in_one_piece, strict=False):
        if not array.flags.c_contiguous:  # then `changed` is a copy, else the array itself
            array[...] = changed


def sgd_update_all(
    ws: Sequence[Array],
    vs: Sequence[Array],
    gs: Sequence[Array],
    lrs: Sequence[float],
    momentum: float,
    decays: Sequence[float],
) -> None:
    """The twin of tinyalex.optim.sgd_update_all: up to PARAMETERS parameters in one launch, 20 bytes a weight.

    A parameter that is not C-contiguous, or of another dtype than the first, gets an update of its own.
    """
    together = []
    for w, v, g, lr, decay in zip(ws, vs, gs, lrs, decays, strict=True):
        if all(array.flags.c_contiguous and array.dtype == ws[0].dtype for array in (w, v, g)):
            together.append((w, v, g, lr, decay))
        else:
            sgd_update(w, v, g, lr, momentum, decay)
    for first in range(0, len(together), PARAMETERS):
        some = together[first : first + PARAMETERS]
        dtype = ws[0].dtype
        pointers = [(name, np.uintp) for name in ("w", "v", "g")]
        row = np.dtype([*pointers, ("count", np.int64), ("lr", dtype), ("decay", dtype)], align=True)
        table = np.zeros(1, [("all", row, PARAMETERS)])  # one struct, which travels among the kernel's arguments
        for number, (w, v, g, lr, decay) in enumerate(some):
            table["all"][0, number] = w.data.ptr, v.data.ptr, g.data.ptr, w.size, lr, decay
        kernel = module(dtype.name, "uint8")["sgd_update_all"]
        kernel((UPDATE_BLOCKS, len(some)), (THREADS,), (table, dtype.type(momentum)))


def softmax(logits: Array) -> Array:
    """The twin of tinyalex.layers.loss.softmax: a block of threads for each row, 8 bytes a number and its cache."""
    logits = cupy().ascontiguousarray(logits)
    p = cupy().empty(logits.shape, logits.dtype)
    start("softmax", (len(logits),), (THREADS,), logits, p, *small(logits.shape[1]))
    return p


# ---------------------------------------------------------------- images


def augment(
    mean: Array,
    images: Array,
    tops: Array,
    lefts: Array,
    mirrored: Array,
    noise: Array,
    crop: int,
    scale: float,
) -> Array:
    """The twin of tinyalex.data.augment.augment: one pass, 5 bytes a number, and the mean from the cache."""
    mean, images, noise = (cupy().ascontiguousarray(array) for array in (mean, images, noise))
    y = cupy().empty((len(tops), crop, crop, 3), mean.dtype)
    numbers = small(len(tops) // max(1, len(images)), len(mean), crop)
    views = (tops, lefts, mirrored, noise)
    start("augment", (len(tops) * crop,), (THREADS,), mean, images, *views, y, *numbers, float(scale))
    return y.transpose(0, 3, 1, 2)
