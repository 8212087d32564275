"""Convolution as a matrix product (Krizhevsky, Sutskever & Hinton 2012, section 3.5).

Axes: N images, C channels, H, W height and width, OC kernels, KH, KW kernel size, OH, OW output size, G groups.

im2col copies the patch of the image under each window position into one row of a matrix. Then one matrix product
gives all kernels at all positions. The net's two columns are `groups=2`: each half of the kernels reads its half of
the channels.
"""

from collections.abc import Iterator
from typing import Self

from numpy.random import Generator

from tinyalex.backend import Array, get_array_module, kernel
from tinyalex.errors import ShapeError
from tinyalex.layers.canvas import empty_canvas, off_canvas, on_canvas, seen_by
from tinyalex.layers.layer import Layer, initial_parameters
from tinyalex.window import Pair, Window, pair

PATCHES_IN_CACHE = 1 << 19  # entries of one im2col matrix: as many as the processor's cache holds during the product


@kernel
def im2col(x: Array, window: Window) -> Array:
    """The patches of x as rows: x (N, C, H, W) -> (N*OH*OW, KH*KW*C), zeros where a patch leaves the image.

    patches[n, oh, ow, i, j, c] = x[n, c, oh*SH + i - PH, ow*SW + j - PW]
    """
    xp = get_array_module(x)
    N, C, H, W = x.shape
    OH, OW = window.output_size(H, W)
    KH, KW = window.kernel
    canvas = on_canvas(x, window)
    patches = xp.empty((N, OH, OW, KH, KW, C), x.dtype)
    for i, j in window.cells():
        patches[:, :, :, i, j] = seen_by(canvas, window, i, j).transpose(0, 2, 3, 1)  # (N, OH, OW, C)
    return patches.reshape(N * OH * OW, KH * KW * C)


@kernel
def col2im(patches: Array, x_shape: tuple[int, ...], window: Window) -> Array:
    """The transpose of im2col: every entry is added to the pixel it was read from.

    patches (N*OH*OW, KH*KW*C) -> (N, C, H, W). Where patches overlap, a pixel receives several entries.
    """
    N, C, H, W = x_shape
    OH, OW = window.output_size(H, W)
    KH, KW = window.kernel
    patches = patches.reshape(N, OH, OW, KH, KW, C)
    canvas = empty_canvas(x_shape, window, patches, 0.0)
    for i, j in window.cells():
        pixels = seen_by(canvas, window, i, j)
        pixels += patches[:, :, :, i, j].transpose(0, 3, 1, 2)  # (N, C, OH, OW)
    return off_canvas(canvas, x_shape, window)


@kernel
def conv_forward(
    x: Array,
    w: Array,
    b: Array,
    window: Window,
    groups: int,
    relu: bool = False,
    inference: bool = False,  # noqa: ARG001, twins use it
) -> Array:
    """y[n, o, oh, ow] = b[o] + sum over c, i, j of w[o, c, i, j] * x[n, c, oh*SH + i - PH, ow*SW + j - PW].

    x (N, C, H, W), w (OC, C/G, KH, KW), b (OC,) -> y (N, OC, OH, OW); with `relu` max(0, y).
    inference: no gradient follows; a twin may use the algorithm that is fastest on this machine, whatever it rounds.
    """
    xp = get_array_module(x, w, b)
    N, OC = x.shape[0], w.shape[0]
    OH, OW = window.output_size(*x.shape[2:])
    y = xp.empty((N, OH, OW, OC), x.dtype)
    for images, maps_in, maps_out in _parts(x, w, groups, OH * OW):
        patches = im2col(x[images, maps_in], window)  # (n*OH*OW, KH*KW*C/G)
        product = patches @ _as_matrix(w[maps_out]).T  # (n*OH*OW, OC/G)
        y[images, :, :, maps_out] = product.reshape(-1, OH, OW, OC // groups)
    y += b
    if relu:
        xp.maximum(y, 0, out=y)
    return y.transpose(0, 3, 1, 2)  # (N, OC, OH, OW)


@kernel
def conv_backward(
    dy: Array, x: Array, w: Array, window: Window, groups: int, input_gradient: bool = True
) -> tuple[Array | None, Array, Array]:
    """The gradients of conv_forward: dy (N, OC, OH, OW) -> dx like x (None if not asked for), dw like w, db (OC,).

    With Y = patches @ W.T:   dW = dY.T @ patches,   dpatches = dY @ W,   db = the sum of dy over N, OH, OW.
    The patches are computed again rather than kept: in the paper's net they take 17.6 MB an image.
    """
    xp = get_array_module(dy, x, w)
    OC, CG, KH, KW = w.shape
    OH, OW = dy.shape[2:]
    dy = xp.ascontiguousarray(dy.transpose(0, 2, 3, 1))  # (N, OH, OW, OC)
    dw = xp.zeros((OC, KH * KW * CG), w.dtype)
    dx = xp.empty((x.shape[0], *x.shape[2:], x.shape[1]), x.dtype).transpose(0, 3, 1, 2) if input_gradient else None
    for images, maps_in, maps_out in _parts(x, w, groups, OH * OW):
        fields = x[images, maps_in]
        dy_rows = dy[images, :, :, maps_out].reshape(-1, OC // groups)  # (n*OH*OW, OC/G)
        dw[maps_out] += dy_rows.T @ im2col(fields, window)
        if dx is not None:
            dx[images, maps_in] = col2im(dy_rows @ _as_matrix(w[maps_out]), fields.shape, window)
    dw = dw.reshape(OC, KH, KW, CG).transpose(0, 3, 1, 2)  # (OC, C/G, KH, KW)
    return dx, xp.ascontiguousarray(dw), dy.sum(axis=(0, 1, 2))


def _as_matrix(w: Array) -> Array:
    """Kernels as rows, in the order of im2col: w (OC, C, KH, KW) -> (OC, KH*KW*C)."""
    return w.transpose(0, 2, 3, 1).reshape(w.shape[0], -1)


def _parts(x: Array, w: Array, groups: int, places: int) -> Iterator[tuple[slice, slice, slice]]:
    """(images, channels, kernels) of each product: one group, and as many images as have patches that fit the cache."""
    N, C = x.shape[:2]
    OC = w.shape[0]
    at_once = max(1, PATCHES_IN_CACHE // (places * w[0].size))
    for first in range(0, N, at_once):
        for g in range(groups):
            yield (
                slice(first, first + at_once),
                slice(g * C // groups, (g + 1) * C // groups),
                slice(g * OC // groups, (g + 1) * OC // groups),
            )


class Conv2D(Layer):
    """A bank of OC learned kernels, each slid over the image (section 3.5).

    y[n, o] = b[o] + sum over the channels c of kernel o's group of (x[n, c] correlated with w[o, c])
    Shapes: x (N, C, H, W) -> y (N, OC, OH, OW), OH = 1 + floor((H + 2*PH - KH) / SH)
    Raises: ShapeError for channels that do not divide by groups, or an image smaller than the kernel.

    in_channels, out_channels: C and OC. A kernel gives one map of the output.
    kernel_size, stride, pad: (KH, KW), (SH, SW), (PH, PW), or one number for both axes: the size of a kernel, the step
            from one position to the next, and the zeros put around the image, in pixels.
    groups: G equal parts of the channels and of the kernels. A kernel reads the channels of its own part only.
    ceil_mode: round the quotient in OH up (224 -> 55 in the paper). The last window then sees zeros past the edge.
    init_std, init_bias: at the start w ~ N(0, init_std**2) and b = init_bias (section 5).
    rng:    draws w; None: a new generator, with other numbers each time.
    dtype:  of the parameters, "float32" or "float64". x must have the same, and y has it.
    params: {"w": (OC, C/G, KH, KW), "b": (OC,)}, the kernels and their biases.
    grads:  the same keys and shapes. `backward` puts dL/dw and dL/db there.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        *,
        stride: int | Pair = 1,
        pad: int | Pair = 0,
        groups: int = 1,
        ceil_mode: bool = False,
        init_std: float = 0.01,
        init_bias: float = 0.0,
        rng: Generator | None = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        if min(in_channels, out_channels, groups) < 1 or in_channels % groups or out_channels % groups:
            raise ShapeError(
                f"Conv2D: got {in_channels} channels, {out_channels} kernels, {groups} groups: "
                "expected numbers of channels and kernels that divide into the groups"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.window = Window(
            pair(kernel_size, "kernel_size", 1), pair(stride, "stride", 1), pair(pad, "pad", 0), ceil_mode
        )
        shape = (out_channels, in_channels // groups, *self.window.kernel)
        self.params, self.grads = initial_parameters(shape, init_std, init_bias, rng, dtype)

    def for_column(self, units: int) -> Self:
        """A column's kernels: one group, and the channels of that group."""
        column = super().for_column(units)
        column.in_channels, column.out_channels, column.groups = self.in_channels // self.groups, units, 1
        return column

    def forward(self, x: Array, *, train: bool = False, relu: bool = False) -> Array:
        """x (N, C, H, W) -> y (N, OC, OH, OW); with `relu` max(0, y), as a ReLU after it would compute.

        train: keep x for `backward`.
        """
        self._check_input(x, "N C H W", self.in_channels)
        self._cache = x if train else None
        return conv_forward(x, self.params["w"], self.params["b"], self.window, self.groups, relu, inference=not train)

    def backward(self, dy: Array, *, input_gradient: bool = True) -> Array:
        """dy (N, OC, OH, OW) -> dx (N, C, H, W), or None with `input_gradient=False`: the images need no gradient."""
        x = self._take_cache()
        self._check_dy(dy, (len(x), self.out_channels, *self.window.output_size(*x.shape[2:])))
        self.grads = {}  # frees the old gradients, so that the new ones can reuse their memory
        dx, dw, db = conv_backward(dy, x, self.params["w"], self.window, self.groups, input_gradient)
        self.grads = {"w": dw, "b": db}
        return dx
