"""Overlapping max-pooling (Krizhevsky, Sutskever & Hinton 2012, section 3.4), and average pooling beside it.

Axes: N images, C channels, H, W height and width, KH, KW window size, OH, OW output size.
"""

import math

from tinyalex.backend import Array, get_array_module, kernel
from tinyalex.errors import ShapeError
from tinyalex.layers.canvas import empty_canvas, off_canvas, on_canvas, seen_by
from tinyalex.layers.layer import Layer
from tinyalex.window import Pair, Window, pair


@kernel
def max_pool_forward(x: Array, window: Window) -> tuple[Array, Array]:
    """The largest pixel under each window, and which cell of the window it was.

    x (N, C, H, W) -> y (N, C, OH, OW), argmax the same shape: cell (i, j) as i*KW + j, the first where several are
    equal. Cells outside the image never win. A window that holds a NaN gives NaN.
    """
    xp = get_array_module(x)
    N, C, H, W = x.shape
    OH, OW = window.output_size(H, W)
    canvas = on_canvas(x, window, fill=-math.inf)
    y = xp.full((N, OH, OW, C), -math.inf, x.dtype).transpose(0, 3, 1, 2)
    argmax = xp.empty((N, OH, OW, C), window.number_dtype).transpose(0, 3, 1, 2)
    argmax[:] = xp.asarray(window.first_numbers(OH, OW))  # of a window that sees -inf only
    for number, (i, j) in enumerate(window.cells()):
        cell = seen_by(canvas, window, i, j)
        wins = (cell > y) | (cell != cell)  # strictly greater: of equal cells the first stays; NaN always wins
        xp.copyto(y, cell, where=wins)
        argmax[wins] = number
    return y, argmax


@kernel
def maxima(x: Array, window: Window) -> Array:
    """The largest pixel under each window, as max_pool_forward gives it: all that inference needs.

    x (N, C, H, W) -> y (N, C, OH, OW).
    """
    return max_pool_forward(x, window)[0]


@kernel
def max_pool_backward(dy: Array, argmax: Array, x_shape: tuple[int, ...], window: Window) -> Array:
    """dx: each dy is added to the pixel that was the largest; windows overlap, so a pixel may receive several.

    dy, argmax (N, C, OH, OW) -> dx (N, C, H, W).
    """
    xp = get_array_module(dy, argmax)
    canvas = empty_canvas(x_shape, window, dy, 0.0)
    for number, (i, j) in enumerate(window.cells()):
        pixels = seen_by(canvas, window, i, j)
        pixels += xp.where(argmax == number, dy, dy.dtype.type(0))
    return off_canvas(canvas, x_shape, window)


@kernel
def average_pool_forward(x: Array, window: Window) -> Array:
    """The mean of the cells under each window; the padding is 0 and counts, what lies beyond it does not exist.

    x (N, C, H, W) -> y (N, C, OH, OW).
    """
    canvas = on_canvas(x, window)
    total = sum(seen_by(canvas, window, i, j) for i, j in window.cells())
    return total / _cells_under(window, x.shape, x)


@kernel
def average_pool_backward(dy: Array, x_shape: tuple[int, ...], window: Window) -> Array:
    """dx: every pixel under a window gets the same share of its dy; a pixel under several windows gets their sum.

    dy (N, C, OH, OW) -> dx (N, C, H, W).
    """
    share = dy / _cells_under(window, x_shape, dy)
    canvas = empty_canvas(x_shape, window, dy, 0.0)
    for i, j in window.cells():
        pixels = seen_by(canvas, window, i, j)
        pixels += share
    return off_canvas(canvas, x_shape, window)


def _cells_under(window: Window, x_shape: tuple[int, ...], like: Array) -> Array:
    """How many cells each window has in the padded image: (OH, OW); library and dtype are those of `like`."""
    return get_array_module(like).asarray(window.cells_inside(*x_shape[2:]), like.dtype)


class _Pool2D(Layer):
    """What both kinds of pooling share: a window that never lies wholly in the padding."""

    def __init__(
        self,
        kernel_size: int | Pair = 3,
        stride: int | Pair = 2,
        *,
        pad: int | Pair = 0,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.window = Window(
            pair(kernel_size, "kernel_size", 1), pair(stride, "stride", 1), pair(pad, "pad", 0), ceil_mode
        )
        if any(pad >= kernel for pad, kernel in zip(self.window.pad, self.window.kernel, strict=True)):
            raise ShapeError(
                f"{type(self).__name__}: got pad={pad} and kernel_size={kernel_size}: expected a pad smaller than the "
                "window, which else may see no pixel"
            )


class MaxPool2D(_Pool2D):
    """The maximum over windows of kernel_size cells, stride apart; they overlap where stride < kernel_size.

    y[n, c, oh, ow] = max over i, j of x[n, c, oh*SH + i - PH, ow*SW + j - PW]
    Shapes: x (N, C, H, W) -> y (N, C, OH, OW), OH = 1 + floor((H + 2*PH - KH) / SH).
    dtype:  that of x.
    Ties:   of equal cells the first, row by row, gets the gradient (Caffe's rule; cuda-convnet gives it to all).
    Raises: ShapeError for an image smaller than the window, or a pad that is not smaller than it.
    Source: section 3.4, where kernel_size 3 and stride 2 lower the top-1 and top-5 error by 0.4 % and 0.3 %.

    kernel_size, stride, pad: (KH, KW), (SH, SW), (PH, PW), or one number for both axes: the size of a window, the step
            from one window to the next, and the cells around the image that never win.
    ceil_mode: round the quotient in OH up. The last window may then reach past the right or lower edge.
    params, grads: empty, as there is nothing to learn.
    """

    def forward(self, x: Array, *, train: bool = False) -> Array:
        """x (N, C, H, W) -> y (N, C, OH, OW). train: keep which pixels were the largest for `backward`."""
        self._check_input(x, "N C H W")
        if not train:
            self._cache = None
            return maxima(x, self.window)
        y, argmax = max_pool_forward(x, self.window)
        self._cache = argmax, x.shape
        return y

    def backward(self, dy: Array) -> Array:
        """dy (N, C, OH, OW) -> dx (N, C, H, W)."""
        argmax, x_shape = self._take_cache()
        self._check_dy(dy, argmax.shape)
        return max_pool_backward(dy, argmax, x_shape, self.window)


class AveragePool2D(_Pool2D):
    """The mean over windows of kernel_size cells, stride apart; they overlap where stride < kernel_size.

    y[n, c, oh, ow] = the sum over i, j of x[n, c, oh*SH + i - PH, ow*SW + j - PW], divided by the number of cells
    Edges:  Caffe's rule. A window that reaches past the edge, as with ceil_mode, has only the cells that exist: its
            sum is divided by their number. With a pad, the image ends behind the padding: a cell of the padding is 0
            and counts.
    Shapes: x (N, C, H, W) -> y (N, C, OH, OW), OH = 1 + floor((H + 2*PH - KH) / SH).
    dtype:  that of x.
    Raises: ShapeError for an image smaller than the window, or a pad that is not smaller than it.
    Source: Caffe's pooling layer (AVE); PyTorch's AvgPool2d does the same. cuda-convnet's nets for CIFAR-10 have it.

    kernel_size, stride, pad: (KH, KW), (SH, SW), (PH, PW), or one number for both axes: the size of a window, the step
            from one window to the next, and the cells around the image that are 0.
    ceil_mode: round the quotient in OH up. The last window may then reach past the right or lower edge.
    params, grads: empty, as there is nothing to learn.
    """

    def forward(self, x: Array, *, train: bool = False) -> Array:
        """x (N, C, H, W) -> y (N, C, OH, OW). train: keep the shape of x for `backward`."""
        self._check_input(x, "N C H W")
        self._cache = x.shape if train else None
        return average_pool_forward(x, self.window)

    def backward(self, dy: Array) -> Array:
        """dy (N, C, OH, OW) -> dx (N, C, H, W)."""
        x_shape = self._take_cache()
        self._check_dy(dy, (*x_shape[:2], *self.window.output_size(*x_shape[2:])))
        return average_pool_backward(dy, x_shape, self.window)
