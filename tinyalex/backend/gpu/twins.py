"""All twins for CuPy arrays on a GPU, under the names of their definitions; their loops are in gpu.cu.

Axes: N images, C channels, H, W height and width, OC kernels, KH, KW window size, OH, OW output size, G groups.

Images lie channels last in memory, whatever comes in: the threads of a warp take neighbouring channels, so they read
and write memory in long runs. Products are cuBLAS's. Everything is queued on the current stream of the current device,
which must be that of the arrays, and nothing waits for it. Bytes are counted for float32, each number once.
"""

from collections.abc import Iterator
from typing import Any

from tinyalex.backend.gpu.launch import THREADS, along_a_line, cupy, geometry, per_pixel, small, start
from tinyalex.backend.gpu.memory import WORKSPACE
from tinyalex.window import Window

Array = Any  # an ndarray of CuPy
PARTS = 512  # sums that a column of numbers is first added up to, side by side

# ---------------------------------------------------------------- convolution


def im2col(x: Array, window: Window) -> Array:
    """The twin of tinyalex.layers.conv.im2col, for x in any order of memory.

    x is read from cache KH*KW/(SH*SW) times over, N*OH*OW*KH*KW*C numbers are written: 4 bytes each, in whole runs.
    """
    x = channels_last(x)
    OH, OW = window.output_size(*x.shape[1:3])
    columns = cupy().empty((1, len(x) * OH * OW, _cells(window) * x.shape[3]), x.dtype)
    _lay_out(x, columns, window)
    return columns[0]


def col2im(columns: Array, x_shape: tuple[int, ...], window: Window) -> Array:
    """The twin of tinyalex.layers.conv.col2im: the columns are read once and dx is written once.

    Each pixel gathers its KH*KW/(SH*SW) entries or fewer: no two threads add to one number.
    """
    N, C, H, W = x_shape
    columns = cupy().ascontiguousarray(columns)
    dx = cupy().empty((N, H, W, C), columns.dtype)
    _gather(columns[None], dx, window)
    return dx.transpose(0, 3, 1, 2)


def conv_forward(x: Array, w: Array, b: Array, window: Window, groups: int, relu: bool = False) -> Array:
    """The twin of tinyalex.layers.conv.conv_forward: im2col, a product for each group, bias and ReLU in one pass.

    N*OH*OW*OC*KH*KW*C/G multiply-adds in cuBLAS. The columns of some images at a time, at most WORKSPACE bytes, are
    written once and read once; so is what the products give, on its way to y.
    """
    xp, x, OC = cupy(), channels_last(x), len(w)
    kernels = _kernel_matrices(w, groups)  # (G, OC/G, KH*KW*C/G)
    y = xp.empty((len(x), *window.output_size(*x.shape[1:3]), OC), x.dtype)
    for images, columns in _tiles(x, window, groups):
        _lay_out(x[images], columns, window)
        sums = xp.empty((groups, columns.shape[1], OC // groups), x.dtype)  # (G, n*OH*OW, OC/G)
        for g in range(groups):  # CuPy's batched product would copy what is transposed, and knows no TF32
            xp.matmul(columns[g], kernels[g].T, out=sums[g])
        rows = sums.shape[1]
        per_pixel("finish", rows, OC, sums, xp.ascontiguousarray(b), y[images], rows, *small(OC, OC // groups, relu))
    return y.transpose(0, 3, 1, 2)


def conv_backward(
    dy: Array, x: Array, w: Array, window: Window, groups: int, input_gradient: bool = True
) -> tuple[Array | None, Array, Array]:
    """The twin of tinyalex.layers.conv.conv_backward: im2col again, two products for each group, col2im.

    Twice the multiply-adds of the forward pass. dcolumns take the place of the columns, which are read by then.
    """
    xp, dy, x = cupy(), channels_last(dy), channels_last(x)
    OC, CG, KH, KW = w.shape
    kernels = _kernel_matrices(w, groups)
    dkernels = xp.zeros(kernels.shape, w.dtype)
    dx = xp.empty(x.shape, x.dtype) if input_gradient else None
    for images, columns in _tiles(x, window, groups):
        slopes = dy[images].reshape(-1, groups, OC // groups).transpose(1, 0, 2)  # (G, n*OH*OW, OC/G)
        slopes = xp.ascontiguousarray(slopes)
        _lay_out(x[images], columns, window)
        for g in range(groups):
            dkernels[g] += xp.matmul(slopes[g].T, columns[g])
            if dx is not None:
                xp.matmul(slopes[g], kernels[g], out=columns[g])
        if dx is not None:
            _gather(columns, dx[images], window)
    dw = xp.ascontiguousarray(dkernels.reshape(OC, KH, KW, CG).transpose(0, 3, 1, 2))
    return None if dx is None else dx.transpose(0, 3, 1, 2), dw, _sum_of_rows(dy.reshape(-1, OC))


def _tiles(x: Array, window: Window, groups: int) -> Iterator[tuple[slice, Array]]:
    """Some images at a time, and memory for their columns (G, n*OH*OW, KH*KW*C/G); x (N, H, W, C)."""
    OH, OW = window.output_size(*x.shape[1:3])
    rows, length = OH * OW, _cells(window) * x.shape[3] // groups
    at_once = max(1, min(len(x), WORKSPACE // (rows * groups * length * x.itemsize)))
    memory = cupy().empty(groups * at_once * rows * length, x.dtype)
    for first in range(0, len(x), at_once):
        count = min(at_once, len(x) - first)
        yield (
            slice(first, first + count),
            memory[: groups * count * rows * length].reshape(groups, count * rows, length),
        )


def _lay_out(x: Array, columns: Array, window: Window) -> None:
    """x (N, H, W, C) into columns (G, N*OH*OW, KH*KW*C/G)."""
    groups, rows, length = columns.shape
    CG = length // _cells(window)
    run = (window.kernel[1] if groups == 1 else 1) * CG  # numbers side by side in memory, as gpu.cu tells
    block = min(run, THREADS), max(1, THREADS // run)
    start("im2col", (rows, groups), block, x, columns, *small(CG), *geometry(x.shape, window))


def _gather(columns: Array, dx: Array, window: Window) -> None:
    """columns (G, N*OH*OW, KH*KW*C/G) into dx (N, H, W, C)."""
    N, H, W, C = dx.shape
    CG = columns.shape[2] // _cells(window)
    per_pixel("col2im", N * H * W, C, columns, dx, N * H * W, *small(CG), *geometry(dx.shape, window))


def _kernel_matrices(w: Array, groups: int) -> Array:
    """Kernels as rows, in the order of im2col: w (OC, C/G, KH, KW) -> (G, OC/G, KH*KW*C/G)."""
    return cupy().ascontiguousarray(w.transpose(0, 2, 3, 1)).reshape(groups, len(w) // groups, -1)


def _cells(window: Window) -> int:
    return window.kernel[0] * window.kernel[1]


# ---------------------------------------------------------------- fully connected


def linear_forward(x: Array, w: Array, b: Array) -> Array:
    """The twin of tinyalex.layers.linear.linear_forward: N*D*U multiply-adds in one product, w read as it lies."""
    y = cupy().matmul(x, w.T)
    y += b
    return y


def linear_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """The twin of tinyalex.layers.linear.linear_backward: two products of N*D*U multiply-adds, nothing is copied."""
    xp = cupy()
    return xp.matmul(dy, w), xp.matmul(dy.T, x), _sum_of_rows(xp.ascontiguousarray(dy))


def _sum_of_rows(dy: Array) -> Array:
    """db: the sum over the rows of dy (rows, C), which is read once; 512 sums side by side, then those added up.

    CuPy's own sum gives the whole of a column to one block of threads; few columns would leave most of a GPU idle.
    """
    rows, C = dy.shape
    count = max(1, min(rows, PARTS))
    parts = cupy().empty((count, C), dy.dtype)
    per_pixel("sum_of_rows", count, C, dy, parts, rows, *small(count, C))
    return parts.sum(axis=0)


# ---------------------------------------------------------------- pooling and normalisation


def max_pool_forward(x: Array, window: Window) -> tuple[Array, Array]:
    """The twin of tinyalex.layers.pool.max_pool_forward: x is read once, but for the cache; 5 bytes an output."""
    xp, x, (N, C, H, W) = cupy(), channels_last(x), x.shape
    OH, OW = window.output_size(H, W)
    y, argmax = xp.empty((N, OH, OW, C), x.dtype), xp.empty((N, OH, OW, C), window.number_dtype)
    places = N * OH * OW
    per_pixel("max_pool_forward", places, C, x, y, argmax, places, *geometry(x.shape, window), cell=window.number_dtype)
    return y.transpose(0, 3, 1, 2), argmax.transpose(0, 3, 1, 2)


def max_pool_backward(dy: Array, argmax: Array, x_shape: tuple[int, ...], window: Window) -> Array:
    """The twin of tinyalex.layers.pool.max_pool_backward: each pixel gathers from the few windows that see it.

    dy and argmax are read once, but for the cache, and dx is written once, so it needs no zeros first.
    """
    N, C, H, W = x_shape
    dy, argmax, dx = channels_last(dy), channels_last(argmax), cupy().empty((N, H, W, C), dy.dtype)
    pixels = N * H * W
    per_pixel(
        "max_pool_backward", pixels, C, dy, argmax, dx, pixels, *geometry(dx.shape, window), cell=argmax.dtype.name
    )
    return dx.transpose(0, 3, 1, 2)


def lrn_forward(x: Array, size: int, alpha: float, beta: float, k: float, groups: int) -> Array:
    """The twin of tinyalex.layers.lrn.lrn_forward: x is read once, y written once, 8 bytes a number.

    The `size` squares of a window are read from the nearest cache; the power 0.75 is two square roots.
    """
    x = channels_last(x)
    y, C, pixels = cupy().empty(x.shape, x.dtype), x.shape[3], x[..., 0].size
    per_pixel("lrn_forward", pixels, C, x, y, pixels, *small(C, C // groups, size), alpha, beta, k)
    return y.transpose(0, 3, 1, 2)


def lrn_backward(dy: Array, x: Array, size: int, alpha: float, beta: float, k: float, groups: int) -> Array:
    """The twin of tinyalex.layers.lrn.lrn_backward: dy and x are read once, dx written once, 12 bytes a number.

    `size` scales are summed for each number, size**2 squares, from the nearest cache.
    """
    dy, x = channels_last(dy), channels_last(x)
    dx, C, pixels = cupy().empty(x.shape, x.dtype), x.shape[3], x[..., 0].size
    per_pixel("lrn_backward", pixels, C, dy, x, dx, pixels, *small(C, C // groups, size), alpha, beta, k)
    return dx.transpose(0, 3, 1, 2)


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
    arrays = tuple(cupy().ascontiguousarray(array) for array in arrays)
    result = cupy().empty(arrays[0].shape, arrays[0].dtype)
    along_a_line(name, result.size, *arrays, result, result.size, *numbers.values())
    return result.transpose(0, 3, 1, 2) if images else result


def sgd_update(w: Array, v: Array, g: Array, lr: float, momentum: float, decay: float) -> None:
    """The twin of tinyalex.optim.sgd_update: one pass, 20 bytes a weight, no temporary arrays."""
    in_one_piece = [cupy().ascontiguousarray(array) for array in (w, v, g)]
    along_a_line("sgd_update", w.size, *in_one_piece, w.size, float(lr), float(momentum), float(decay))
    for array, changed in zip((w, v), in_one_piece, strict=False):
        if not array.flags.c_contiguous:  # then `changed` is a copy, else the array itself
            array[...] = changed


def softmax(logits: Array) -> Array:
    """The twin of tinyalex.layers.loss.softmax: a block of threads for each row, 8 bytes a number and its cache."""
    logits = cupy().ascontiguousarray(logits)
    p = cupy().empty(logits.shape, logits.dtype)
    start("softmax", (len(logits),), (THREADS,), logits, p, *small(logits.shape[1]))
    return p


def channels_last(x: Array) -> Array:
    """x (N, C, H, W) -> (N, H, W, C), in one piece; a copy only if it does not lie so already."""
    return cupy().ascontiguousarray(x.transpose(0, 2, 3, 1))
