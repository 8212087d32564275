"""Convolution on a GPU: patches, products by cuBLAS, and bias and ReLU in one pass.

Axes: N images, n of them at a time, C channels, H, W height and width, OC kernels, KH, KW window size, OH, OW output
size, G groups, K length of a row of patches (KH*KW*C/G rounded up to a multiple of 4, which cuBLAS needs to be fast).
"""

from tinyalex.backend.gpu.launch import Array, channels_last, cupy, lanes, per_row, small
from tinyalex.backend.gpu.memory import row_length
from tinyalex.backend.gpu.patches import gather, tiles
from tinyalex.backend.gpu.products import multiply
from tinyalex.backend.gpu.sums import sum_of_rows
from tinyalex.window import Window


def conv_forward(
    x: Array,
    w: Array,
    b: Array,
    window: Window,
    groups: int,
    relu: bool = False,
    inference: bool = False,  # noqa: ARG001
) -> Array:
    """The twin of tinyalex.layers.conv.conv_forward: im2col, a product for each group, bias and ReLU.

    N*OH*OW*OC*KH*KW*C/G multiply-adds in cuBLAS. The patches of some images at a time are written once and read once.
    The products lie in y at once, where bias and ReLU are applied in place: 8 bytes a number, mostly in the cache.
    """
    x, OC = channels_last(x), len(w)
    kernels, b = _kernel_matrices(w, window, groups), cupy().ascontiguousarray(b)
    y = cupy().empty((len(x), *window.output_size(*x.shape[1:3]), OC), x.dtype)
    for images, patches in tiles(x, window, groups):
        made = y[images]
        _multiply_each(patches, kernels.transpose(0, 2, 1), _by_group(made, groups))
        rows = made.size // OC
        per_row("add_bias", rows, lanes(OC), made, b, rows, *small(OC, relu))
    return y.transpose(0, 3, 1, 2)


def conv_backward(
    dy: Array, x: Array, w: Array, window: Window, groups: int, input_gradient: bool = True
) -> tuple[Array | None, Array, Array]:
    """The twin of tinyalex.layers.conv.conv_backward: im2col again, two products for each group, col2im.

    Twice the multiply-adds of the forward pass. cuBLAS adds the dw of each batch of images to that of those before,
    and reads dy where it lies. The gradients of the patches take the place of the patches, which are read by then.
    """
    dy, x = channels_last(dy), channels_last(x)
    kernels = _kernel_matrices(w, window, groups)
    dkernels = cupy().zeros(kernels.shape, w.dtype)
    dx = cupy().empty(x.shape, x.dtype) if input_gradient else None
    for images, patches in tiles(x, window, groups):
        slopes = _by_group(dy[images], groups)
        _multiply_each(slopes.transpose(0, 2, 1), patches, dkernels, add=True)
        if dx is not None:
            multiply(slopes, kernels, patches)
            gather(patches, dx[images], window)
    dw = cupy().ascontiguousarray(_as_kernels(dkernels, w.shape))
    return None if dx is None else dx.transpose(0, 3, 1, 2), dw, sum_of_rows(dy.reshape(-1, len(w)))


def _multiply_each(a: Array, b: Array, out: Array, *, add: bool = False) -> None:
    """`multiply` with a call for each group: for dw, a sum over many patches, cuBLAS then divides the sum among blocks.

    On an H200, dw of conv2 runs at 42 TFLOP/s in two calls and at 14 in one; y at 38 and 36. For the gradients of the
    patches one call for all groups is as fast, and saves a launch.
    """
    for g in range(len(a)):
        multiply(a[g : g + 1], b[g : g + 1], out[g : g + 1], add=add)


def _by_group(maps: Array, groups: int) -> Array:
    """maps (n, OH, OW, OC) as matrices (G, n*OH*OW, OC/G), not copied."""
    OC = maps.shape[3]
    return maps.reshape(maps.size // OC, groups, OC // groups).transpose(1, 0, 2)


def _kernel_matrices(w: Array, window: Window, groups: int) -> Array:
    """Kernels as rows, in the order of im2col: w (OC, C/G, KH, KW) -> (G, OC/G, K), with zeros at the end of a row."""
    OC, CG, KH, KW = w.shape
    length = row_length(window, CG)
    empty = cupy().empty if length == CG * KH * KW else cupy().zeros
    matrices = empty((groups, OC // groups, length), w.dtype)
    _as_kernels(matrices, w.shape)[...] = w
    return matrices


def _as_kernels(matrices: Array, shape: tuple[int, ...]) -> Array:
    """Kernel matrices (G, OC/G, K) as kernels of `shape` (OC, C/G, KH, KW), not copied."""
    OC, CG, KH, KW = shape
    rows = matrices.reshape(OC, matrices.shape[2])[:, : KH * KW * CG]
    return rows.reshape(OC, KH, KW, CG).transpose(0, 3, 1, 2)
