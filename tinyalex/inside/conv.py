"""Inside a convolution: which pixel im2col copies to which entry of the matrix, and where col2im adds it back.

Axes: C channels, H, W height and width, KH, KW kernel size, OH, OW output size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinyalex.backend import use_kernels
from tinyalex.errors import ShapeError
from tinyalex.inside.sheet import TOP, Sheet, short
from tinyalex.inside.stepper import Stepper
from tinyalex.layers.conv import col2im, im2col
from tinyalex.window import Pair, Window, pair

Floats = NDArray[np.float64]
MOST_ROWS, MOST_COLUMNS = 40, 30  # the largest matrix that fits on a page


class _ImageAndMatrix(Stepper):
    """An image beside its matrix of patches. A step is one entry of the matrix, row by row."""

    def __init__(self, shape: tuple[int, ...], window: Window) -> None:
        if len(shape) not in (2, 3):
            raise ShapeError(f"got an image of shape {shape}: expected (H, W) or (C, H, W)")
        self.window = window
        self.shape: tuple[int, int, int] = (shape[0] if len(shape) == 3 else 1, shape[-2], shape[-1])
        self.places = window.output_size(*self.shape[1:])  # (OH, OW)
        self.matrix_shape = (self.places[0] * self.places[1], window.kernel[0] * window.kernel[1] * self.shape[0])
        if self.matrix_shape[0] > MOST_ROWS or self.matrix_shape[1] > MOST_COLUMNS:
            raise ShapeError(
                f"got a matrix of {self.matrix_shape[0]} x {self.matrix_shape[1]} for an image of shape {shape}: "
                f"expected at most {MOST_ROWS} x {MOST_COLUMNS}, to fit on a page; use a smaller image"
            )

    def __len__(self) -> int:
        """The number of entries of the matrix."""
        return self.matrix_shape[0] * self.matrix_shape[1]

    def entry(self, i: int) -> tuple[int, int]:
        """(row, column) of the matrix entry of step i."""
        return divmod(i, self.matrix_shape[1])

    def pixel(self, i: int) -> tuple[int, int, int] | None:
        """(c, h, w) of the pixel of step i, or None outside the image."""
        channel, row, column = self._on_canvas(i)
        h, w = row - self.window.pad[0], column - self.window.pad[1]
        return (channel, h, w) if 0 <= h < self.shape[1] and 0 <= w < self.shape[2] else None

    def _on_canvas(self, i: int) -> tuple[int, int, int]:
        """(c, row, column) of the pixel of step i in the padded image."""
        (oh, ow), (di, dj), channel = self._read_at(i)
        return channel, oh * self.window.stride[0] + di, ow * self.window.stride[1] + dj

    def _read_at(self, i: int) -> tuple[Pair, Pair, int]:
        """The window (oh, ow), the cell (i, j) of the window, and the channel of the entry of step i."""
        row, column = self.entry(i)
        cell, channel = divmod(column, self.shape[0])
        return divmod(row, self.places[1]), divmod(cell, self.window.kernel[1]), channel

    def _words(self, i: int) -> tuple[str, str, str]:
        """Step i in words: the window and its cell, the entry of the matrix, the pixel."""
        row, column = self.entry(i)
        (oh, ow), (di, dj), channel = self._read_at(i)
        of_channel = f", c = {channel}" if self.shape[0] > 1 else ""
        where = f"window (oh, ow) = ({oh}, {ow}), its cell (i, j) = ({di}, {dj}){of_channel}"
        return where, f"{self._matrix_name}[{row}, {column}]", _name(self.pixel(i), self.shape[0])

    def _page(self, i: int, image: Floats, matrix: Floats, known: NDArray[np.bool_], into_matrix: bool) -> Sheet:
        """Draw the image (C, H, W) and the matrix; step i has a colour, and an arrow joins its pixel and its entry."""
        C, H, W = self.shape
        (KH, KW), (SH, SW), (PH, PW) = self.window.kernel, self.window.stride, self.window.pad
        height = max(H + 2 * PH, (self.places[0] - 1) * SH + KH)  # of the padded image
        width = max(W + 2 * PW, (self.places[1] - 1) * SW + KW)
        sheet = Sheet(TOP + 0.1 + max(C * (height + 2) - 2, self.matrix_shape[0]), width + self.matrix_shape[1] + 4)
        channel, row, column = self._on_canvas(i)
        place, _, _ = self._read_at(i)
        for c in range(C):
            canvas, outside = np.zeros((height, width)), np.ones((height, width), bool)
            canvas[PH : PH + H, PW : PW + W] = image[c]
            outside[PH : PH + H, PW : PW + W] = False
            inside, here = np.zeros((height, width), bool), np.zeros((height, width), bool)
            inside[place[0] * SH : place[0] * SH + KH, place[1] * SW : place[1] * SW + KW] = True
            here[row, column] = c == channel
            top = TOP + c * (height + 2)
            title = self._image_title.format(f"[{c}]" if C > 1 else "")
            sheet.grid(
                (top, 1),
                canvas,
                title,
                fills=[(outside, "outside"), (inside, "pale"), (here, "amber")],
                first=(-PH, -PW),
            )
            sheet.frame((top + place[0] * SH, 1 + place[1] * SW), KH, KW, "blue")
        left = width + 3.5
        at_row, at_column = self.entry(i)
        fills = [np.zeros(self.matrix_shape, bool) for _ in range(2)]
        fills[0][at_row] = True
        fills[1][at_row, at_column] = True
        title = f"{self._matrix_name}, {self.matrix_shape[0]} × {self.matrix_shape[1]}: a row for each window"
        sheet.grid((TOP, left), matrix, title, fills=[(fills[0], "pale"), (fills[1], "amber")], known=known)
        sheet.frame((TOP + at_row, left), 1, self.matrix_shape[1], "blue")
        in_image = (TOP + channel * (height + 2) + row + 0.5, 1 + width + 0.2)
        in_matrix = (TOP + at_row + 0.5, left - 0.8)
        sheet.arrow(*((in_image, in_matrix) if into_matrix else (in_matrix, in_image)), "orange")
        return sheet

    _image_title, _matrix_name = "x{}", "patches"


class Im2col(_ImageAndMatrix):
    """How im2col copies the windows of an image to the rows of a matrix: one entry in each step.

    x: (H, W), or (C, H, W).   kernel_size, stride, pad, ceil_mode: as for Conv2D.
    patches: the matrix (OH*OW, KH*KW*C), from `tinyalex.layers.conv.im2col`.
    Raises ShapeError for an image of another shape, or with a matrix that does not fit on a page.
    """

    def __init__(
        self,
        x: ArrayLike,
        kernel_size: int | Pair = 3,
        *,
        stride: int | Pair = 1,
        pad: int | Pair = 0,
        ceil_mode: bool = False,
    ) -> None:
        image = np.array(x, np.float64)
        super().__init__(image.shape, _window(kernel_size, stride, pad, ceil_mode))
        self.x = image.reshape(self.shape)
        with use_kernels("reference"):  # the definition; for a few numbers no compiled kernel is needed
            self.patches: Floats = im2col(self.x[None], self.window)

    def caption(self, i: int) -> str:
        """The entry, and the pixel that im2col copies to it."""
        where, entry, pixel = self._words(i)
        value = short(self.patches[self.entry(i)])
        return f"{where}\n{entry} = {pixel} = {value}"

    def _picture(self, i: int) -> Sheet:
        known = np.arange(len(self)).reshape(self.matrix_shape) <= i
        return self._page(i, self.x, self.patches, known, into_matrix=True)


class Col2im(_ImageAndMatrix):
    """How col2im adds each entry of the matrix to the pixel that it was copied from: one entry in each step.

    x_shape: (H, W), or (C, H, W), of the image.   kernel_size, stride, pad, ceil_mode: as for Conv2D.
    dpatches: the matrix (OH*OW, KH*KW*C). The default is ones; then each pixel counts the windows that contain it.
    Raises ShapeError for another shape of either, or a matrix that does not fit on a page.
    """

    _image_title, _matrix_name = "dx{} so far", "dpatches"

    def __init__(
        self,
        x_shape: tuple[int, ...],
        kernel_size: int | Pair = 3,
        *,
        stride: int | Pair = 1,
        pad: int | Pair = 0,
        ceil_mode: bool = False,
        dpatches: ArrayLike | None = None,
    ) -> None:
        super().__init__(tuple(x_shape), _window(kernel_size, stride, pad, ceil_mode))
        self.dpatches: Floats = np.ones(self.matrix_shape) if dpatches is None else np.array(dpatches, np.float64)
        if self.dpatches.shape != self.matrix_shape:
            raise ShapeError(f"got dpatches of shape {self.dpatches.shape}: expected {self.matrix_shape}")

    def dx(self, i: int) -> Floats:
        """The gradient of the image (C, H, W) after step i."""
        added = np.where(np.arange(len(self)).reshape(self.matrix_shape) <= i, self.dpatches, 0.0)
        with use_kernels("reference"):
            image: Floats = col2im(added, (1, *self.shape), self.window)[0]
        return image

    def caption(self, i: int) -> str:
        """The entry, and the pixel that col2im adds it to."""
        where, entry, name = self._words(i)
        pixel, value = self.pixel(i), self.dpatches[self.entry(i)]
        if pixel is None:
            return f"{where}\n{entry} = {short(value)} lies outside the image: it is dropped"
        before, after = self.dx(i - 1)[pixel], self.dx(i)[pixel]
        return f"{where}\nd{name} = {short(before)} + {entry} = {short(before)} + {short(value)} = {short(after)}"

    def _picture(self, i: int) -> Sheet:
        return self._page(i, self.dx(i), self.dpatches, np.ones(self.matrix_shape, bool), into_matrix=False)


def _window(kernel_size: int | Pair, stride: int | Pair, pad: int | Pair, ceil_mode: bool) -> Window:
    return Window(pair(kernel_size, "kernel_size", 1), pair(stride, "stride", 1), pair(pad, "pad", 0), ceil_mode)


def _name(pixel: tuple[int, int, int] | None, channels: int) -> str:
    """x[h, w], or with several channels x[c, h, w]."""
    if pixel is None:
        return "outside the image"
    return f"x[{', '.join(map(str, pixel if channels > 1 else pixel[1:]))}]"
