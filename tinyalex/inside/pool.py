"""Inside max-pooling: the pixel that gets the gradient of each window, where windows overlap (section 3.4).

Axes: H, W height and width, KH, KW window size, OH, OW output size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinyalex.backend import use_kernels
from tinyalex.errors import ShapeError
from tinyalex.inside.sheet import TOP, Sheet, short
from tinyalex.inside.stepper import Stepper
from tinyalex.layers.pool import MaxPool2D, max_pool_backward, max_pool_forward
from tinyalex.window import Pair

Floats = NDArray[np.float64]
MOST = 12  # the most rows and columns of an image that fit on a page


class MaxPoolGradient(Stepper):
    """How max-pooling distributes its gradient, one window in each step: the largest pixel of the window gets it.

    x: (H, W).   dy: (OH, OW), the gradient of the output; the default is 1, 2, 3, ...
    kernel_size, stride, ceil_mode: as for MaxPool2D.   y: (OH, OW), the output.
    Raises ShapeError for arrays of another shape, or an image that does not fit on a page.
    """

    def __init__(
        self,
        x: ArrayLike,
        dy: ArrayLike | None = None,
        *,
        kernel_size: int | Pair = 3,
        stride: int | Pair = 2,
        ceil_mode: bool = False,
    ) -> None:
        self.x: Floats = np.array(x, np.float64)
        if self.x.ndim != 2 or max(self.x.shape) > MOST:
            raise ShapeError(f"got an image of shape {self.x.shape}: expected (H, W) of at most {MOST} x {MOST}")
        self.window = MaxPool2D(kernel_size, stride, ceil_mode=ceil_mode).window
        with use_kernels("reference"):  # the definition; for a few numbers no compiled kernel is needed
            y, self._argmax = max_pool_forward(self.x[None, None], self.window)
        self.y: Floats = y[0, 0]
        self.dy: Floats = (
            np.arange(1.0, self.y.size + 1).reshape(self.y.shape) if dy is None else np.array(dy, np.float64)
        )
        if self.dy.shape != self.y.shape:
            raise ShapeError(f"got dy of shape {self.dy.shape}: expected {self.y.shape}, like y")

    def __len__(self) -> int:
        """The number of windows."""
        return self.y.size

    def place(self, i: int) -> tuple[int, int]:
        """(oh, ow) of the window of step i."""
        oh, ow = divmod(i, self.y.shape[1])
        return oh, ow

    def winner(self, i: int) -> tuple[int, int]:
        """(h, w) of the largest pixel in the window of step i, the first of equal ones."""
        (oh, ow), (SH, SW) = self.place(i), self.window.stride
        cell = divmod(int(self._argmax[0, 0, oh, ow]), self.window.kernel[1])
        return oh * SH + cell[0], ow * SW + cell[1]

    def dx(self, i: int) -> Floats:
        """The gradient of the image (H, W) after step i; after the last step it is complete."""
        sent = np.where(self._done(i), self.dy, 0.0)
        with use_kernels("reference"):
            image: Floats = max_pool_backward(sent[None, None], self._argmax, (1, 1, *self.x.shape), self.window)[0, 0]
        return image

    def _done(self, i: int) -> NDArray[np.bool_]:
        done: NDArray[np.bool_] = np.arange(len(self)).reshape(self.y.shape) <= i
        return done

    def caption(self, i: int) -> str:
        """The largest pixel of the window, and its gradient after the step."""
        (oh, ow), (h, w) = self.place(i), self.winner(i)
        before, after = self.dx(i - 1)[h, w], self.dx(i)[h, w]
        again = ", the largest of an earlier window too" if any(self.winner(j) == (h, w) for j in range(i)) else ""
        return (
            f"y[{oh}, {ow}] = {short(self.y[oh, ow])} is pixel x[{h}, {w}]{again}\n"
            f"dx[{h}, {w}] = {short(before)} + dy[{oh}, {ow}] = "
            f"{short(before)} + {short(self.dy[oh, ow])} = {short(after)}"
        )

    def _picture(self, i: int) -> Sheet:
        (H, W), (OH, OW) = self.x.shape, self.y.shape
        (KH, KW), (SH, SW) = self.window.kernel, self.window.stride
        (oh, ow), (h, w) = self.place(i), self.winner(i)
        here, there = np.zeros((H, W), bool), np.zeros((OH, OW), bool)
        here[h, w], there[oh, ow] = True, True
        seen = np.zeros((H, W), bool)
        seen[oh * SH : oh * SH + KH, ow * SW : ow * SW + KW] = True
        rows, columns = np.argwhere(seen).max(axis=0) + 1 - (oh * SH, ow * SW)  # with ceil_mode, less at an edge
        middle, right = W + 3.5, W + OW + 6.0
        below = TOP + OH + 2  # the first row of dy
        sheet = Sheet(max(TOP + H, below + OH) + 0.1, right + W + 0.5)
        sheet.grid((TOP, 1), self.x, "x", fills=[(seen, "pale"), (here, "amber")])
        sheet.frame((TOP + oh * SH, 1 + ow * SW), rows, columns, "blue")
        sheet.grid((TOP, middle), self.y, "y", fills=[(there, "amber")], known=self._done(i))
        sheet.grid((below, middle), self.dy, "dy", fills=[(there, "amber")])
        sheet.grid((TOP, right), self.dx(i), "dx so far", fills=[(seen, "pale"), (here, "amber")])
        sheet.frame((TOP + oh * SH, right + ow * SW), rows, columns, "blue")
        sheet.arrow((TOP + h + 0.5, 1 + W + 0.2), (TOP + oh + 0.5, middle - 0.8), "orange")
        sheet.arrow((below + oh + 0.5, middle + OW + 0.2), (TOP + h + 0.5, right - 0.8), "orange")
        return sheet
