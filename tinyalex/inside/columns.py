"""Inside the net of two columns: how they exchange halves where they meet, forward and backward (section 3.2).

Axes: C maps or units of the whole layer, P places of a map; a column holds the first or the second half of the maps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinyalex.columns import Devices, halved
from tinyalex.errors import ShapeError
from tinyalex.inside.sheet import TOP, Sheet
from tinyalex.inside.stepper import Stepper
from tinyalex.viz.canvas import AMBER, BLUE, GREY, ORANGE, PALE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float32]
MOST = 12  # maps, and places of a map, that still fit a page
WORDS = (
    "forward: each column has computed its half of the maps of x",
    "gather: each column sends its half to the other, {bytes} bytes in all",
    "both columns now hold the whole of x: the next layer can read every map",
    "backward: each column has a gradient for all of x, its own kernels' share of it",
    "scatter-sum: each column sends the half that belongs to the other, {bytes} bytes in all",
    "each column adds what it received to its own share: the gradient of its half of x",
)


class ColumnExchange(Stepper):
    """Two columns that meet: an all-gather on the way forward, a reduce-scatter on the way back, in six steps.

    x: (C, P), the maps that the next layer reads, P numbers each; (C,) for units.
    dx: two arrays like x, the gradient of x that each column has found; left out, ones and tens.
    wholes, sums: x on both columns after the gather, and the halves of the summed gradient, from `columns.Devices`.
    moved: the bytes of float32 that went from one column to the other, (forward, backward).
    Raises ShapeError for arrays of another shape, fewer than two maps, or more than fit a page.
    """

    def __init__(self, x: ArrayLike, dx: tuple[ArrayLike, ArrayLike] | None = None) -> None:
        self.x = _maps(x)
        if not (2 <= self.x.shape[0] <= MOST and self.x.shape[1] <= MOST):
            raise ShapeError(
                f"x of shape {np.shape(x)}: expected (C, P) or (C,), 2 to {MOST} maps of at most {MOST} numbers"
            )
        given = (np.ones_like(self.x), np.full_like(self.x, 10)) if dx is None else dx
        self.dx = [_maps(one) for one in given]
        if [one.shape for one in self.dx] != [self.x.shape] * 2:
            raise ShapeError(
                f"dx of shapes {[np.shape(one) for one in given]}: expected two arrays like x, {self.x.shape}"
            )
        self.sizes = halved(len(self.x))
        devices = Devices(("cpu:0", "cpu:1"))
        self.halves = [half[0] for half in devices.halves(self.x[None], self.sizes)]
        self.wholes: list[Floats] = [whole[0] for whole in devices.gather([half[None] for half in self.halves])]
        forward = devices.moved
        self.sums: list[Floats] = [half[0] for half in devices.scatter_sum([one[None] for one in self.dx], self.sizes)]
        self.moved = (forward, devices.moved - forward)

    def __len__(self) -> int:
        """Three steps forward, three backward."""
        return len(WORDS)

    def caption(self, i: int) -> str:
        """What the columns do."""
        return WORDS[i].format(bytes=f"{self.moved[i // 3]:,}")

    def _picture(self, i: int) -> Figure:
        C, P = self.x.shape
        lefts = (1.0, max(P + 7.0, 11.0))
        sheet = Sheet(TOP + C + 0.1, lefts[1] + P + 1)
        name = "x" if i < 3 else "dx"
        starts = (0, self.sizes[0])
        for column in (0, 1):
            own = np.zeros((C, P), bool)
            own[starts[column] : starts[column] + self.sizes[column]] = True
            values, known, fills = self._held(i, column, own)
            title = f"column {column + 1}: {name}"
            sheet.grid((TOP, lefts[column]), values, title, known=known, fills=fills)
            sheet.frame((TOP + starts[column], lefts[column]), self.sizes[column], P, (BLUE, ORANGE)[column])
        if i in (1, 4):  # the half that goes: one's own forward, the other's backward
            for column in (0, 1):
                sent = column if i == 1 else 1 - column
                row = TOP + starts[sent] + self.sizes[sent] / 2
                ends = (row, lefts[0] + P + 0.3), (row, lefts[1] - 0.9)
                sheet.arrow(*(ends if column == 0 else ends[::-1]), (BLUE, ORANGE)[column])
                nbytes = self.halves[sent].nbytes
                sheet.text((row - 0.45, (ends[0][1] + ends[1][1]) / 2), f"{nbytes} bytes", colour=GREY, middle=True)
        return sheet.figure

    def _held(
        self, i: int, column: int, own: NDArray[np.bool_]
    ) -> tuple[Floats, NDArray[np.bool_], list[tuple[NDArray[np.bool_], str]]]:
        """What a column holds in step i, which cells of it are there, and their colours."""
        all_of_it = np.ones_like(own)
        if i < 2:
            return self.x, own, [(own, PALE)]
        if i == 2:
            return self.wholes[column], all_of_it, [(own, PALE), (~own, AMBER)]
        if i < 5:
            return self.dx[column], all_of_it, [(own, PALE)]
        summed = np.zeros_like(self.x)
        summed[own] = self.sums[column].ravel()
        return summed, own, [(own, AMBER)]


def _maps(array: ArrayLike) -> Floats:
    maps = np.array(array, np.float32)
    if maps.ndim not in (1, 2):
        raise ShapeError(f"an array of shape {maps.shape}: expected (C, P), or (C,) for units")
    return maps.reshape(len(maps), -1)
