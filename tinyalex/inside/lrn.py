"""Inside local response normalisation: which maps damp which, forward and backward (section 3.3).

Axes: C channels (kernel maps), G groups (the net's columns).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinyalex.backend import use_kernels
from tinyalex.errors import ShapeError
from tinyalex.inside.sheet import TOP, Sheet, short
from tinyalex.inside.stepper import Stepper
from tinyalex.layers import LocalResponseNorm

Floats = NDArray[np.float64]
MOST = 32  # the most maps that fit on a page
NAMES = 3.5  # the width of the names of the rows, in cells


class LRNWindow(Stepper):
    """Which maps damp each map, one map in each step; with dy, also which maps its gradient comes from.

    x: (C,), the responses of all maps at one place.   dy: (C,), the gradient of the output, or None.
    The settings are those of LocalResponseNorm, but alpha is 0.1: the paper's 1e-4 hardly changes numbers near 1.
    scale: (C,), k + alpha * the sum of x**2 over the window.   y: (C,), the output.   dx: (C,), or None without dy.
    Raises ShapeError for arrays of another shape, or more maps than fit on a page.
    """

    def __init__(
        self,
        x: ArrayLike,
        dy: ArrayLike | None = None,
        *,
        size: int = 5,
        alpha: float = 0.1,
        beta: float = 0.75,
        k: float = 2.0,
        groups: int = 1,
    ) -> None:
        self.x: Floats = np.array(x, np.float64)
        self.dy: Floats | None = None if dy is None else np.array(dy, np.float64)
        if self.x.ndim != 1 or not 1 <= len(self.x) <= MOST:
            raise ShapeError(f"got responses of shape {self.x.shape}: expected (C,), at most {MOST} maps at one place")
        if self.dy is not None and self.dy.shape != self.x.shape:
            raise ShapeError(f"got dy of shape {self.dy.shape}: expected {self.x.shape}, like x")
        self.layer = LocalResponseNorm(size, alpha, beta, k, groups=groups)
        with use_kernels("reference"):  # the definition; for a few numbers no compiled kernel is needed
            self.y: Floats = self.layer.forward(_maps(self.x), train=self.dy is not None)[0, :, 0, 0]
            self.dx: Floats | None = None
            if self.dy is not None:
                self.dx = self.layer.backward(_maps(self.dy))[0, :, 0, 0]
            self.windows = _window_of_each(len(self.x), size, groups)
        self.scale: Floats = k + alpha * (self.windows @ self.x**2)

    def __len__(self) -> int:
        """The number of maps; twice as many with dy."""
        return len(self.x) * (1 if self.dy is None else 2)

    def caption(self, i: int) -> str:
        """The formula with the numbers of the map of step i."""
        backward, c = divmod(i, len(self.x))
        alpha, beta, k = short(self.layer.alpha), short(self.layer.beta), short(self.layer.k)
        x, y, scale = short(self.x[c]), short(self.y[c]), short(self.scale[c])
        if not backward:
            window, squares = _range("x", self.windows[c]), " + ".join(map(short, self.x[self.windows[c]] ** 2))
            return (
                f"x[{c}] is damped by {window}: scale = {k} + {alpha} ({squares}) = {scale}\n"
                f"y[{c}] = x[{c}] / scale^{beta} = {x} / {scale}^{beta} = {y}"
            )
        dy, dx = self._gradients
        own, others = dy[c] * self.scale[c] ** -self.layer.beta, self.windows[:, c] @ self._passed_back
        factor = short(2 * self.layer.alpha * self.layer.beta)
        mirrored = ", its mirrored window" if self.layer.size % 2 == 0 else ""
        return (
            f"x[{c}] has damped {_range('y', self.windows[:, c])}{mirrored}: its gradient comes from all of them\n"
            f"dx[{c}] = dy[{c}] / scale^{beta} - 2 alpha beta x[{c}] · sum = "
            f"{short(own)} - {factor} · {x} · {short(others)} = {short(dx[c])}"
        )

    @property
    def _gradients(self) -> tuple[Floats, Floats]:
        assert self.dy is not None
        assert self.dx is not None
        return self.dy, self.dx

    @property
    def _passed_back(self) -> Floats:
        """dy y / scale: what each map passes back to the maps that damp it."""
        passed: Floats = self._gradients[0] * self.y / self.scale
        return passed

    def _picture(self, i: int) -> Sheet:
        backward, c = divmod(i, len(self.x))
        if backward:
            dy, dx = self._gradients
            rows = {"x": self.x, "y": self.y, "dy": dy, "dy y / scale": self._passed_back, "dx": dx}
            return self._page(c, rows, ("dy y / scale", self.windows[:, c]), found=("dx",))
        rows = {"x": self.x, "x²": self.x**2, "scale": self.scale, "y": self.y}
        return self._page(c, rows, ("x²", self.windows[c]), found=("scale", "y"))

    def _page(
        self, c: int, rows: dict[str, Floats], window: tuple[str, NDArray[np.bool_]], found: tuple[str, ...]
    ) -> Sheet:
        """Draw the rows, map c in colour. window: (row, cells) to frame.   found: rows that are filled up to map c."""
        C = len(self.x)
        sheet = Sheet(TOP - 0.8 + 1.5 * len(rows), C + NAMES)
        sheet.text((TOP - 1.1, 0), "c")
        for map_ in range(C):
            sheet.text((TOP - 1.1, NAMES + map_ + 0.5), str(map_), colour="grey", middle=True)
        here, known = np.arange(C) == c, np.arange(C) <= c
        for number, (name, values) in enumerate(rows.items()):
            top = TOP - 0.5 + 1.5 * number
            in_window = window[1] if name == window[0] else np.zeros(C, bool)
            sheet.text((top + 0.5, 0), name)
            sheet.cells(
                (top, NAMES),
                values[None],
                fills=[(in_window[None], "pale"), (here[None], "amber")],
                known=known[None] if name in found else None,
            )
            for border in range(C // self.layer.groups, C, C // self.layer.groups):
                sheet.line([(top - 0.2, NAMES + border), (top + 1.2, NAMES + border)], "ink", 2.2)
            if in_window.any():
                sheet.frame((top, NAMES + float(np.argmax(in_window))), 1, float(in_window.sum()), "blue")
        return sheet


def _maps(values: Floats) -> Floats:
    return values[None, :, None, None]  # (1, C, 1, 1)


def _window_of_each(C: int, size: int, groups: int) -> NDArray[np.bool_]:
    """windows[c, j], (C, C): True if map j is in the window of map c. The layer itself tells.

    With k = 0, alpha = 1 and beta = -1 the layer computes y[c] = x[c] * the sum of the squares in the window of c.
    Image j of the batch is 2 in map j, and 1 elsewhere. So a sum is larger where the window contains map j.
    """
    probe = LocalResponseNorm(size, 1.0, -1.0, 0.0, groups=groups)
    images = np.ones((C + 1, C, 1, 1))
    images[np.arange(C), np.arange(C)] = 2.0
    sums = (probe.forward(images) / images)[:, :, 0, 0]  # (C + 1, C); the last image has no 2
    windows: NDArray[np.bool_] = (sums[:C] > sums[C]).T
    return windows


def _range(name: str, maps: NDArray[np.bool_]) -> str:
    """The first and the last map that is True, as in code: "x[1] ... x[5]"."""
    first, last = np.flatnonzero(maps)[[0, -1]]
    return f"{name}[{first}] ... {name}[{last}]" if last > first else f"{name}[{first}]"
