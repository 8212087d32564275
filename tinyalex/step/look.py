"""A cell of a recorded pass, and the numbers that its own number is computed from.

Axes: C maps, H, W height and width, KH, KW window size, G groups, OC kernels. D units count as D maps of one cell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from tinyalex.backend import Array
from tinyalex.errors import ShapeError, UsageError
from tinyalex.step.field import Box, receptive_field
from tinyalex.step.recording import Recording
from tinyalex.step.steps import Direction, Step
from tinyalex.window import Pair, Window

COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class Look:
    """One cell of a step, with everything that is needed to draw it.

    image: the number of the image.   left, right: the map, or the unit, on the input side and on the output side.
    cell: (row, column), of the output in a forward step, of the input in a backward step.
    x, y, dy, dx: the arrays of the layer for this image, (C, H, W) or (D,); None for an array that the step lacks.
    """

    recording: Recording
    step: Step
    image: int
    left: int
    right: int
    cell: Pair
    x: Array
    y: Array
    dy: Array
    dx: Array

    @property
    def kind(self) -> str:
        """The kind of the layer."""
        return self.step.explanation.kind

    @property
    def back(self) -> bool:
        """True in a backward step."""
        return self.step.direction == "backward"

    @property
    def focus(self) -> Array:
        """The array that the cell lies in: y in a forward step, dx in a backward step."""
        return self.dx if self.back else self.y

    @property
    def in_maps(self) -> bool:
        """True where the cell lies in a map, False where it is a unit."""
        return bool(self.focus.ndim == 3)

    @property
    def reads_image(self) -> bool:
        """True for the first layer, whose input is the image in three colours."""
        return self.step.name == self.recording.rows[0].name and len(self.x) == 3

    @property
    def window(self) -> Window:
        """The window that the layer slides over its input; one cell for a layer without a window."""
        one_cell = Window((1, 1), (1, 1), (0, 0), False)
        return (self.step.row.window if self.step.row else None) or one_cell

    def name_of(self, channel: int) -> str:
        """The name of an input map, counted from 1; of the image, the colour."""
        return COLOURS[channel] if self.reads_image else f"map {channel + 1}"

    def parameter(self, key: str) -> Array:
        """The layer's "w" or "b"."""
        return self.recording.params[f"{self.step.name}.{key}"]

    def first_channel(self, kernel: int) -> int:
        """The first of the C/G channels that a kernel of the convolution reads."""
        w, layer = self.parameter("w"), self.step.layer
        return int(kernel // (len(w) // layer.groups) * w.shape[1])

    def first_kernel(self, channel: int) -> int:
        """The first of the OC/G kernels that read a channel of the convolution's input."""
        w, layer = self.parameter("w"), self.step.layer
        return int(channel // w.shape[1] * (len(w) // layer.groups))

    def receptive_field(self) -> Box:
        """The pixels of the image that the cell depends on; in a backward step, those of the input cell."""
        names = [row.name for row in self.recording.rows]
        if self.step.row is None:
            return receptive_field(self.recording.rows, names[-1])
        number = names.index(self.step.name) - self.back
        if number < 0:  # the cell is a pixel of the image itself
            return Box(*self.cell, self.cell[0] + 1, self.cell[1] + 1)
        return receptive_field(self.recording.rows, names[number], self.cell if self.in_maps else None)


def look(
    recording: Recording,
    name: str,
    *,
    cell: Pair | None = None,
    channel: int | None = None,
    other: int | None = None,
    direction: Direction = "forward",
    image: int = 0,
) -> Look:
    """The cell that `tinyalex.step.show` draws, from the same arguments.

    Raises UsageError for a layer, direction, image or map that the pass does not have, ShapeError for such a cell.
    """
    if direction not in ("forward", "backward"):
        raise UsageError(f"got direction={direction!r}: expected 'forward' or 'backward'")
    forward, backward = recording[name]
    step = forward if direction == "forward" else backward
    if step is None:
        raise UsageError(
            f"got direction='backward' for {name}: expected a layer with a backward step; record the pass with labels"
            if name != "loss"
            else "got direction='backward' for the loss: expected 'forward'; that step shows the gradient too"
        )
    if not 0 <= image < len(recording.x):
        raise UsageError(f"got image={image}: expected one of the pass, 0 ... {len(recording.x) - 1}")
    found = {**forward.arrays, **step.arrays}
    arrays: dict[str, Any] = {key: found[key][image] if key in found else None for key in ("x", "y", "dy", "dx")}
    focus = arrays["y" if direction == "forward" else "dx"]
    channel, cell = _chosen(step, focus, channel, cell, signed=direction == "forward")
    at = Look(recording, step, image, channel, channel, cell, **arrays)
    across = _other_side(at, channel, other)
    return replace(at, right=across) if at.back else replace(at, left=across)


def _chosen(step: Step, focus: Array, channel: int | None, cell: Pair | None, signed: bool) -> tuple[int, Pair]:
    """The map and cell asked for; else the one with the largest number, or if not `signed` the largest magnitude."""
    if focus.ndim == 1 and cell is not None:
        raise ShapeError(
            f"got cell={cell}: expected None, as {step.name} has units and no maps; choose a unit with channel="
        )
    maps = focus if focus.ndim == 3 else focus[:, None, None]
    C, H, W = maps.shape
    if channel is not None and not 0 <= channel < C:
        what = "map" if focus.ndim == 3 else "unit"
        raise UsageError(f"got channel={channel}: expected a {what} of {step.name}, 0 ... {C - 1}")
    if cell is not None and not (len(cell) == 2 and 0 <= cell[0] < H and 0 <= cell[1] < W):
        raise ShapeError(
            f"got cell={cell}: expected (row, column) in the {H} x {W} maps of {step.name}, counted from 0"
        )
    size = maps if signed else np.abs(maps)
    if channel is None:
        channel = int((size.max(axis=(1, 2)) if cell is None else size[:, cell[0], cell[1]]).argmax())
    if cell is None:
        row, column = np.unravel_index(size[channel].argmax(), (H, W))
        cell = int(row), int(column)
    return channel, (int(cell[0]), int(cell[1]))


def _other_side(at: Look, channel: int, other: int | None) -> int:
    """The map on the other side of the layer: the one asked for, else the one that adds most to the cell."""
    if at.kind == "conv":
        first, shares = conv_shares(at)
        if other is None:
            return first + int(np.abs(shares).argmax())
        if not first <= other < first + len(shares):
            what = "kernels" if at.back else "channels"
            raise UsageError(f"got other={other}: expected one of the {what} {first} ... {first + len(shares) - 1}")
        return other
    if other is not None:
        raise UsageError(f"got other={other}: expected None, as {at.step.name} is not a convolution")
    if at.kind == "flatten":
        shape = (at.dx if at.back else at.x).shape
        if at.back:
            return int(np.ravel_multi_index((channel, *at.cell), shape))
        return int(np.unravel_index(channel, shape)[0])
    return min(channel, len(at.dy if at.back else at.x) - 1)


# ---------------------------------------------------------------- the numbers that a cell is computed from


def window_contents(window: Window, maps: Array, cell: Pair) -> Array:
    """The cells of maps (..., H, W) in the window at an output cell: (..., KH, KW), NaN outside the maps."""
    KH, KW = window.kernel
    top, left = (place * stride - pad for place, stride, pad in zip(cell, window.stride, window.pad, strict=True))
    seen = np.full((*maps.shape[:-2], KH, KW), np.nan)
    for i, j in product(range(KH), range(KW)):
        if 0 <= top + i < maps.shape[-2] and 0 <= left + j < maps.shape[-1]:
            seen[..., i, j] = maps[..., top + i, left + j]
    return seen


def windows_containing(window: Window, cell: Pair, output: Pair) -> tuple[list[Pair], list[Pair]]:
    """The windows that contain an input cell, along each axis: a list of (position of the window, place inside it).

    output: the numbers of windows along both axes, (OH, OW).
    """
    sides: list[list[Pair]] = []
    for place, kernel, stride, pad, count in zip(cell, window.kernel, window.stride, window.pad, output, strict=True):
        found = [(number, place + pad - number * stride) for number in range(count)]
        sides.append([(number, inside) for number, inside in found if 0 <= inside < kernel])
    return sides[0], sides[1]


def connected_cells(at: Look) -> tuple[int, int, int, int] | None:
    """The box of cells on the other side that the cell is connected with: (top, left, bottom, right).

    The box is the whole window, even where it reaches past the edge of the map. None for a connection with units, or
    with all cells.
    """
    (row, column), window = at.cell, at.window
    if at.kind == "flatten" and not at.back:
        _, row, column = (int(place) for place in np.unravel_index(at.right, at.x.shape))
    elif not at.in_maps or at.kind == "flatten":
        return None
    elif at.back:
        rows, columns = windows_containing(window, at.cell, at.dy.shape[1:])
        return (rows[0][0], columns[0][0], rows[-1][0] + 1, columns[-1][0] + 1) if rows and columns else None
    top, left = (
        place * stride - pad for place, stride, pad in zip((row, column), window.stride, window.pad, strict=True)
    )
    return top, left, top + window.kernel[0], left + window.kernel[1]


def winner(at: Look, place: Pair) -> Pair:
    """The cell (i, j) of the pooling window at an output cell with the largest number, the first of equal ones."""
    seen = window_contents(at.window, at.x[at.left], place)
    i, j = np.unravel_index(np.where(np.isnan(seen), -np.inf, seen).argmax(), at.window.kernel)
    return int(i), int(j)


def conv_terms(at: Look) -> tuple[Array, Array]:
    """The two factors of every product of a convolution's cell.

    Forward: the pixels in the window, and the weights of the kernel, both (C/G, KH, KW).
    Backward: for each kernel that reads the map, dy of the windows that contain the cell, and the weight that each of
    them multiplied the cell by, both (OC/G, windows, windows).
    """
    w = at.parameter("w")
    if not at.back:
        first = at.first_channel(at.right)
        return window_contents(at.window, at.x[first : first + w.shape[1]], at.cell), w[at.right]
    first = at.first_kernel(at.left)
    rows, columns = windows_containing(at.window, at.cell, at.dy.shape[1:])
    count = len(w) // at.step.layer.groups
    kernels = slice(first, first + count)
    places = np.ix_(*([number for number, _ in side] for side in (rows, columns)))
    cells = np.ix_(*([inside for _, inside in side] for side in (rows, columns)))
    return at.dy[kernels][:, places[0], places[1]], w[kernels, at.left % w.shape[1]][:, cells[0], cells[1]]


def conv_shares(at: Look) -> tuple[int, Array]:
    """The first connected map on the other side, and the sum of the products of each: the share of each in the cell."""
    one, two = conv_terms(at)
    shares = np.nansum(one.astype("float64") * two, axis=(1, 2))
    return (at.first_kernel(at.left) if at.back else at.first_channel(at.right)), shares


def neighbours(at: Look, channel: int, first: int) -> list[int]:
    """The maps of a normalisation's window, from channel + first on, that exist in the group of the channel."""
    layer = at.step.layer
    per_group = len(at.y) // layer.groups
    start = channel // per_group * per_group
    window = range(channel + first, channel + first + layer.size)
    return [j for j in window if start <= j < start + per_group]
