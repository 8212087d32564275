"""Inside the net of two columns: how they exchange halves, forward and backward (section 3.2).

Axes: C maps or units of the whole layer, P places of a map; a column holds the first or the second half of the maps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinyalex.columns import TwoDevices, halved
from tinyalex.errors import ShapeError
from tinyalex.inside.sheet import TOP, Fill, Sheet
from tinyalex.inside.stepper import Stepper

Floats = NDArray[np.float32]
MOST = 12  # the most maps, and places of a map, that fit on a page
WORDS = (
    "forward: each column has computed its half of the maps of x",
    "gather: each column sends its half to the other, {bytes} bytes in all",
    "both columns now hold the whole of x: the next layer can read every map",
    "backward: each column has a gradient for all of x, but only from its own kernels",
    "scatter-sum: each column sends the half that belongs to the other, {bytes} bytes in all",
    "each column adds what it received to its own numbers: this is the gradient of its half of x",
)


class ColumnExchange(Stepper):
    """The exchange between two columns in six steps: an all-gather forward, a reduce-scatter backward.

    x: (C, P), the maps that the next layer reads, of P numbers each; (C,) for units.
    dx: two arrays like x, the gradient of x that each column has computed; the default is ones and tens.
    wholes: x in both columns after the gather.   sums: the halves of the summed gradient. Both are computed by
    `tinyalex.columns.TwoDevices`.   moved: the bytes that crossed, (forward, backward), in float32.
    Raises ShapeError for arrays of another shape, fewer than two maps, or more than fit on a page.
    """

    def __init__(self, x: ArrayLike, dx: tuple[ArrayLike, ArrayLike] | None = None) -> None:
        self.x = _maps(x)
        if not (2 <= self.x.shape[0] <= MOST and 1 <= self.x.shape[1] <= MOST):
            raise ShapeError(
                f"got x of shape {np.shape(x)}: expected (C, P) or (C,), 2 to {MOST} maps of 1 to {MOST} numbers"
            )
        given = (np.ones_like(self.x), np.full_like(self.x, 10)) if dx is None else dx
        self.dx = [_maps(one) for one in given]
        if [one.shape for one in self.dx] != [self.x.shape] * 2:
            raise ShapeError(
                f"got dx of shapes {[np.shape(one) for one in given]}: expected two arrays like x, {self.x.shape}"
            )
        self.sizes = halved(len(self.x))
        devices = TwoDevices(("cpu:0", "cpu:1"))
        self.halves = [half[0] for half in devices.halves(self.x[None], self.sizes)]
        self.wholes: list[Floats] = [whole[0] for whole in devices.gather([half[None] for half in self.halves])]
        forward = devices.moved
        self.sums: list[Floats] = [half[0] for half in devices.scatter_sum([one[None] for one in self.dx], self.sizes)]
        self.moved = (forward, devices.moved - forward)

    def __len__(self) -> int:
        """The number of steps: three forward, three backward."""
        return len(WORDS)

    def caption(self, i: int) -> str:
        """What the columns do in step i."""
        return WORDS[i].format(bytes=f"{self.moved[i // 3]:,}")

    def _picture(self, i: int) -> Sheet:
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
            sheet.frame((TOP + starts[column], lefts[column]), self.sizes[column], P, ("blue", "orange")[column])
        if i in (1, 4):  # forward a column sends its own half, backward the other's
            for column in (0, 1):
                sent = column if i == 1 else 1 - column
                row = TOP + starts[sent] + self.sizes[sent] / 2
                ends = (row, lefts[0] + P + 0.3), (row, lefts[1] - 0.9)
                sheet.arrow(*(ends if column == 0 else ends[::-1]), ("blue", "orange")[column])
                nbytes = self.halves[sent].nbytes
                sheet.text((row - 0.45, (ends[0][1] + ends[1][1]) / 2), f"{nbytes} bytes", colour="grey", middle=True)
        return sheet

    def _held(self, i: int, column: int, own: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_], list[Fill]]:
        """The numbers of a column in step i, which of its cells are filled, and their colours."""
        everywhere = np.ones_like(own)
        if i < 2:
            return self.x, own, [(own, "pale")]
        if i == 2:
            return self.wholes[column], everywhere, [(own, "pale"), (~own, "amber")]
        if i < 5:
            return self.dx[column], everywhere, [(own, "pale")]
        summed = np.zeros_like(self.x)
        summed[own] = self.sums[column].ravel()
        return summed, own, [(own, "amber")]


def _maps(array: ArrayLike) -> Floats:
    maps = np.array(array, np.float32)
    if maps.ndim not in (1, 2):
        raise ShapeError(f"got an array of shape {maps.shape}: expected (C, P), or (C,) for units")
    return maps if maps.ndim == 2 else maps[:, None]  # (C, P)
