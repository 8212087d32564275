"""A window's arrays: the canvas that an image is laid on, and what each cell of the window sees of it.

Axes: N images, C channels, H, W height and width, KH, KW window size, OH, OW output size.

A canvas is the image with its padding, cut to just what the windows cover: (N, C, (OH-1)*SH + KH, (OW-1)*SW + KW).
"""

from tinyalex.backend import Array, get_array_module
from tinyalex.window import Pair, Window


def empty_canvas(x_shape: tuple[int, ...], window: Window, like: Array, fill: float) -> Array:
    """A canvas for images of x_shape (N, C, H, W), every pixel `fill`; library and dtype are those of `like`."""
    N, C, H, W = x_shape
    rows, cols = (
        (count - 1) * stride + kernel
        for count, stride, kernel in zip(window.output_size(H, W), window.stride, window.kernel, strict=True)
    )
    canvas = get_array_module(like).full((N, rows, cols, C), fill, like.dtype)
    return canvas.transpose(0, 3, 1, 2)  # channels lie last in memory, as in every image here


def on_canvas(x: Array, window: Window, fill: float = 0.0) -> Array:
    """x (N, C, H, W) on a canvas; `fill` where there is no image."""
    canvas = empty_canvas(x.shape, window, x, fill)
    part, (rows, cols) = _image_on(canvas, window, *x.shape[2:])
    part[:] = x[:, :, :rows, :cols]
    return canvas


def off_canvas(canvas: Array, x_shape: tuple[int, ...], window: Window) -> Array:
    """The image cut out of its canvas again: (N, C, H, W), zero where no window reached."""
    N, C, H, W = x_shape
    x = get_array_module(canvas).zeros((N, H, W, C), canvas.dtype).transpose(0, 3, 1, 2)
    part, (rows, cols) = _image_on(canvas, window, H, W)
    x[:, :, :rows, :cols] = part
    return x


def seen_by(canvas: Array, window: Window, i: int, j: int) -> Array:
    """What cell (i, j) sees as the window moves: canvas (N, C, ...) -> (N, C, OH, OW), a view and not a copy."""
    bottom = canvas.shape[2] - window.kernel[0] + i + 1
    right = canvas.shape[3] - window.kernel[1] + j + 1
    return canvas[:, :, i : bottom : window.stride[0], j : right : window.stride[1]]


def _image_on(canvas: Array, window: Window, height: int, width: int) -> tuple[Array, Pair]:
    """The part of `canvas` that shows the image, a view, and how much of the image (rows, columns) that is."""
    top, left = window.pad
    part = canvas[:, :, top : top + height, left : left + width]
    return part, part.shape[2:]
